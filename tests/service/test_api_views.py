"""Over HTTP: parts that lie any way round, and images seen in tiles, of sets and of shots sent."""

from typing import Any

import httpx2
import pytest
from live import DEFECT, SHOTS, Live, files, picture, png

from inctrl import Client, Inspector
from inctrl.detectors import build_detector
from inctrl.errors import Conflict, UsageError
from inctrl.images import Picture
from inctrl.service import effort
from inctrl.service.detection_schemas import Detection, Scored
from inctrl.service.engine import Expired
from inctrl.service.inspectors import Choice
from inctrl.views import Views

QUERY = files("queries", png(7))


def scores(found: Detection) -> list[float]:
    return [one.score for one in found.results if isinstance(one, Scored)]


def test_a_set_says_how_it_is_seen_in_lists_and_in_every_version(client: Client) -> None:
    usual = client.create_set("usual", SHOTS)
    assert (usual.orientation, usual.tiles) == ("fixed", 1)
    screw = client.create_set("screw", SHOTS, orientation="any", tiles=2)
    assert (screw.orientation, screw.tiles) == ("any", 2)
    assert screw.digest != usual.digest
    more = client.add_images("screw", [picture(40)])
    assert (more.version, more.orientation, more.tiles) == (2, "any", 2)
    listed = {one.name: (one.orientation, one.tiles) for one in client.sets()}
    assert (listed["usual"], listed["screw"]) == (("fixed", 1), ("any", 2))
    assert [(one.orientation, one.tiles) for one in client.versions("screw")] == [("any", 2)] * 2


def test_a_change_of_how_a_set_is_seen_is_a_version_and_those_before_stay(client: Client) -> None:
    made = client.create_set("changed", SHOTS)
    turned = client.change_set("changed", orientation="any", note="they fall out of a feeder")
    assert (turned.version, turned.origin, turned.note) == (
        *(2, "change", "they fall out of a feeder"),
    )
    assert (turned.orientation, turned.tiles, turned.shots) == ("any", 1, made.shots)
    tiled = client.change_set("changed", tiles="auto", base=turned)
    assert (tiled.version, tiled.orientation, tiled.tiles) == (3, "any", "auto")
    assert client.set("changed", 1) == made
    with pytest.raises(Conflict, match="at version 3 by now"):
        client.change_set("changed", orientation="fixed", base=made)


def test_a_change_to_what_is_so_answers_200(http: httpx2.Client, client: Client) -> None:
    client.create_set("same", SHOTS, tiles=3)
    for form in ({"tiles": "3"}, {"orientation": "fixed"}, {}):
        reply = http.patch("/v1/sets/same", data=form)
        assert (reply.status_code, reply.json()["version"]) == (200, 1), reply.text
    reply = http.patch("/v1/sets/same", data={"tiles": "auto"})
    assert (reply.status_code, reply.json()["tiles"]) == (201, "auto")
    assert reply.headers["location"] == "/v1/sets/same/versions/2"
    assert reply.headers["etag"] == f'"{reply.json()["digest"]}"'


@pytest.mark.parametrize(
    ("form", "says"),
    [
        ({"orientation": "ani"}, "orientation: 'ani' is not 'fixed' or 'any'"),
        ({"orientation": "ani"}, "did you mean 'any'?"),
        ({"tiles": "0"}, "tiles: '0' is not 'auto' or a number from 1 to 8"),
        ({"tiles": "9"}, "tiles: '9' is not 'auto' or a number from 1 to 8"),
        ({"tiles": "2.5"}, "tiles: '2.5' is not 'auto' or a number"),
        ({"tiles": "atuo"}, "did you mean 'auto'?"),
        ({"tile": "2"}, "tile: unknown field; did you mean 'tiles'?"),
    ],
)
def test_a_value_that_does_not_fit_is_told_by_its_name(
    http: httpx2.Client, form: dict[str, str], says: str
) -> None:
    for reply in (
        http.post("/v1/detect", data=form, files=[*QUERY, *files("shots", png(1), png(2))]),
        http.post("/v1/sets", data={"name": "wrong", **form}, files=files("images", png(1))),
        http.patch("/v1/sets/part", data=form),
    ):
        assert (reply.status_code, reply.json()["code"]) == (422, "invalid_request")
        assert says in reply.json()["detail"]


@pytest.mark.parametrize("views", [Views("any", 1), Views("fixed", 2), Views("any", "auto")])
def test_a_set_shots_that_come_along_and_python_give_the_same_scores(
    client: Client, service: Live, views: Views
) -> None:
    name, given = f"same-{views.orientation}-{views.tiles}", vars(views)
    client.create_set(name, SHOTS, item="part", **given)
    queries = [picture(7), DEFECT, picture(8, size=80)]
    registered = client.detect(queries, set=name)
    inline = client.detect(queries, shots=SHOTS, item="part", **given)
    fitted = Inspector(service.backbone, build_detector("incontext", {}, None)).fit(
        SHOTS, item="part", **given
    )
    here = fitted.inspect(queries)
    usual = client.detect(queries, set="part")
    for found in (registered, inline):
        assert scores(found) == pytest.approx([one.score for one in here], abs=1e-6)
        assert found.limit.threshold == pytest.approx(fitted.calibration.threshold, abs=1e-6)
        assert (found.model.orientation, found.model.tiles) == (views.orientation, views.tiles)
        assert scores(found) != pytest.approx(scores(usual), abs=1e-6)
    assert (usual.model.orientation, usual.model.tiles) == ("fixed", 1)


def test_the_history_says_how_images_were_seen(client: Client) -> None:
    client.create_set("kept", SHOTS, orientation="any", tiles="auto")
    (one,) = client.detect([DEFECT], set="kept").results
    identity = client.score(one.id).identity
    assert (identity["orientation"], identity["tiles"]) == ("any", "auto")


def test_a_set_in_tiles_learns_like_another(client: Client) -> None:
    client.create_set("learns", SHOTS, orientation="any", tiles=2)
    assert client.confirm_defect("learns", DEFECT).version_after == 1
    alarm = client.false_alarm("learns", picture(30))
    assert alarm.version_after == 2
    assert client.set("learns").tiles == 2
    assert client.undo(alarm.id).version_after == 3
    assert client.set("learns").orientation == "any"


@pytest.mark.parametrize("given", [{"orientation": "any"}, {"tiles": 2}])
def test_a_detector_that_compares_equal_places_alone_says_so(
    client: Client, given: dict[str, Any]
) -> None:
    with pytest.raises(UsageError, match="'padim' does not look for patches at any place"):
        client.detect([DEFECT], shots=SHOTS, detector="padim", **given)
    client.create_set(f"padim-{next(iter(given))}", SHOTS, **given)
    with pytest.raises(UsageError, match="'padim' does not look for patches at any place"):
        client.detect([DEFECT], set=f"padim-{next(iter(given))}", detector="padim")


def test_looks_at_shots_are_bounded(
    client: Client, service: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    def encoded() -> int:
        return int(service.backbone.encoded)

    client.create_set("many", SHOTS, orientation="any", tiles=2)
    monkeypatch.setattr(effort, "SENT_ALONG", 100)
    monkeypatch.setattr(effort, "OF_A_SET", 120)
    before = encoded()
    with pytest.raises(UsageError, match=r"128 looks, .* over 100; send fewer, .* a set first"):
        client.detect([DEFECT], shots=SHOTS, orientation="any", tiles=2)
    with pytest.raises(UsageError, match=r"'many@1' comes to 128 looks, .* over 120; use fewer"):
        client.detect([DEFECT], set="many")
    assert encoded() == before
    monkeypatch.setattr(effort, "OF_A_SET", 128)
    client.detect([DEFECT], set="many")
    assert encoded() > before


def test_shots_are_given_up_where_their_deadline_has_passed(service: Live) -> None:
    before = service.backbone.encoded
    shots = [Picture(shot, "shot") for shot in SHOTS]
    with pytest.raises(Expired, match="send less"):
        service.bench.inspectors.inline(shots, "part", Choice(), Views("any", 2), 0.0)
    assert service.backbone.encoded == before


@pytest.mark.parametrize("given", [{"orientation": "any"}, {"tiles": 1}])
def test_a_set_has_its_own_and_takes_none_from_a_request(
    client: Client, given: dict[str, Any]
) -> None:
    with pytest.raises(UsageError, match="for shots that come along; a set has its own"):
        client.detect([DEFECT], set="part", **given)
