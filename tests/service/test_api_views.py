"""Over HTTP: parts that lie any way round, and images seen in tiles, of sets and of shots sent."""

from typing import Any

import httpx2
import pytest
from live import DEFECT, SHOTS, files, picture, png

from inctrl import Client
from inctrl.errors import Conflict, UsageError

QUERY = files("queries", png(7))


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


@pytest.mark.parametrize("given", [{"orientation": "any"}, {"tiles": 1}])
def test_a_set_has_its_own_and_takes_none_from_a_request(
    client: Client, given: dict[str, Any]
) -> None:
    with pytest.raises(UsageError, match="for shots that come along; a set has its own"):
        client.detect([DEFECT], set="part", **given)
