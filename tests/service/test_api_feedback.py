"""Feedback over HTTP: what a false alarm and a confirmed defect do to a set, and undoing it."""

import threading
from unittest import mock

import httpx2
import pytest
from awkward import stack
from live import SHOTS, Live, encoded, files, picture

from inctrl import Client
from inctrl.errors import Conflict, NotStored, UnreadableImage
from inctrl.images import Picture
from inctrl.store import SetVersion

ODD = picture(9, spot=True)


def threshold(client: Client, set: str) -> float:
    found = client.detect([ODD], set=set).limit.threshold
    assert found is not None
    return found


def test_a_false_alarm_becomes_a_normal_of_a_new_version(client: Client) -> None:
    client.create_set("alarm", SHOTS)
    before = client.detect([ODD], set="alarm")
    assert before.results[0].verdict == "anomalous"
    told = client.false_alarm("alarm", ODD, note="a reflection")
    assert (told.kind, told.version_before, told.version_after) == ("false_alarm", 1, 2)
    assert told.threshold_before == before.limit.threshold
    assert told.threshold_after == threshold(client, "alarm@2")
    assert "alarm@2 has 5 shots" in told.words
    made = client.set("alarm")
    assert (made.origin, made.note, made.shots[-1].sha256) == (
        "false_alarm", "a reflection", told.sha256,
    )  # fmt: skip
    assert client.detect([ODD], set="alarm").results[0].verdict != "anomalous"
    assert client.detect([ODD], set="alarm@1").limit == before.limit  # it is as it was


def test_a_false_alarm_can_be_undone_once(client: Client) -> None:
    client.create_set("undone", SHOTS)
    told = client.false_alarm("undone", ODD)
    undone = client.undo(told.id)
    assert undone.undone
    assert (undone.version_before, undone.version_after) == (2, 3)
    assert undone.threshold_before == told.threshold_after
    assert undone.threshold_after == pytest.approx(told.threshold_before, abs=1e-12)
    assert client.set("undone").digest == client.set("undone", 1).digest
    with pytest.raises(Conflict, match="already"):
        client.undo(told.id)
    assert client.set("undone").version == 3


def test_a_defect_between_the_normals_and_the_limit_is_found_from_then_on(client: Client) -> None:
    normals = [picture(seed, spot=seed == 3) for seed in range(4)]
    normals[3][8:16, 8:16] = (150, 110, 110)
    defect = picture(12)
    defect[8:16, 8:16] = (190, 80, 80)
    client.create_set("between", normals)
    before = client.detect([defect], set="between")
    (missed,) = before.results
    assert max(before.limit.normal_scores) < missed.score < before.limit.threshold
    told = client.confirm_defect("between", defect)
    (found,) = client.detect([defect], set="between").results
    assert told.threshold_after == found.threshold < missed.score == found.score
    assert found.verdict == "anomalous"
    limit = client.detect([defect], set="between").limit
    assert limit.calibrated == before.limit.threshold  # what the shots alone say
    assert limit.defect_scores == [missed.score]
    assert f"{found.threshold:.4f}" in told.words
    assert client.set("between").version == 1
    assert client.undo(told.id).threshold_after == before.limit.threshold
    assert client.detect([defect], set="between").limit == before.limit


def test_a_defect_that_scores_like_the_normals_lowers_nothing(client: Client) -> None:
    client.create_set("alike", SHOTS)
    before = threshold(client, "alike")
    told = client.confirm_defect("alike", SHOTS[1])
    assert told.threshold_after == told.threshold_before == before
    assert "scores like a normal one" in told.words


def test_the_same_remark_twice_does_no_more_than_once(client: Client) -> None:
    client.create_set("twice", SHOTS)
    alarm = client.false_alarm("twice", ODD)
    assert (alarm.version_before, alarm.version_after) == (1, 2)
    assert client.false_alarm("twice", ODD) == alarm
    first, second = (client.confirm_defect("twice", picture(13, spot=True)) for _ in range(2))
    assert first.id == second.id


def test_remarks_are_listed_in_order_with_what_became_of_them(client: Client) -> None:
    client.create_set("listed", SHOTS)
    alarm = client.false_alarm("listed", ODD)
    defect = client.confirm_defect("listed", picture(13, spot=True))
    client.undo(alarm.id)
    found = client.feedback("listed")
    assert [(one.id, one.undone) for one in found] == [(defect.id, False), (alarm.id, True)]


@pytest.mark.parametrize("kind", ["false_alarm", "defect"])
def test_a_remark_whose_reply_was_lost_is_found_again_under_its_key(
    service: Live, client: Client, kind: str
) -> None:
    name = f"lost-{kind}".replace("_", "-")
    client.create_set(name, SHOTS)

    def tell() -> httpx2.Response:
        with service.http() as http:
            return http.post(
                "/v1/feedback",
                data={"kind": kind, "set": name},
                files=files("image", encoded(ODD)),
                headers={"Idempotency-Key": name},
            )

    died = OSError(5, "as if it were killed here")
    with mock.patch.object(service.bench.store.replies, "finish", side_effect=died):
        assert tell().status_code == 500
    (row,) = client.feedback(name)
    told = tell()
    assert told.status_code == 201
    reply = told.json()
    assert (reply["id"], list(client.feedback(name))) == (row.id, [row])
    if kind == "false_alarm":
        assert (reply["version_before"], reply["version_after"]) == (1, 2)
        assert reply["threshold_before"] == client.detect([ODD], set=f"{name}@1").limit.threshold
        assert reply["threshold_after"] == client.detect([ODD], set=f"{name}@2").limit.threshold
        assert f"{name}@2 has 5 shots" in reply["words"]
    assert tell().content == told.content


def test_a_false_alarm_told_after_its_image_was_dropped_counts_anew(client: Client) -> None:
    client.create_set("anew", SHOTS)
    first = client.false_alarm("anew", ODD)
    client.drop_image("anew", 2, first.sha256)
    second = client.false_alarm("anew", ODD)
    assert second.id != first.id
    assert (second.version_before, second.version_after) == (3, 4)


def test_the_only_image_left_is_not_undone_away(client: Client) -> None:
    only = client.create_set("only", SHOTS[:1])
    told = client.false_alarm("only", ODD)
    client.drop_image("only", 2, only.shots[0].sha256)
    with pytest.raises(Conflict, match="the only image left in set 'only'; add another"):
        client.undo(told.id)
    (row,) = client.feedback("only")
    assert not row.undone
    client.add_images("only", SHOTS[1:])
    assert client.undo(told.id).version_after == 5


def test_an_image_that_was_dropped_meanwhile_is_undone_without_a_version(
    service: Live, client: Client
) -> None:
    client.create_set("meanwhile", SHOTS)
    told = client.false_alarm("meanwhile", ODD)
    look, sets = service.bench.version, service.bench.store.sets

    async def look_before_it_changes(reference: str) -> SetVersion:
        seen = await look(reference)
        sets.drop("meanwhile", [told.sha256])
        return seen

    with mock.patch.object(service.bench, "version", look_before_it_changes):
        undone = client.undo(told.id)
    assert undone.undone
    assert (undone.version_before, undone.version_after) == (3, 3)
    assert client.set("meanwhile").version == 3


def test_an_undo_goes_by_the_version_at_its_moment(service: Live, client: Client) -> None:
    client.create_set("moment", SHOTS)
    told = client.false_alarm("moment", ODD)
    look, sets = service.bench.version, service.bench.store.sets

    async def look_before_it_changes(reference: str) -> SetVersion:
        seen = await look(reference)
        sets.add("moment", [Picture(picture(30), "30")])
        return seen

    with mock.patch.object(service.bench, "version", look_before_it_changes):
        undone = client.undo(told.id)
    assert (undone.version_before, undone.version_after) == (3, 4)
    assert undone.threshold_before == client.detect([ODD], set="moment@3").limit.threshold
    assert len(client.set("moment").shots) == len(SHOTS) + 1


def test_remarks_on_what_is_not_there_are_refused(client: Client) -> None:
    with pytest.raises(NotStored):
        client.false_alarm("absent", ODD)
    with pytest.raises(NotStored):
        client.undo("0" * 32)
    client.create_set("seen", SHOTS)
    with pytest.raises(UnreadableImage):
        client.confirm_defect("seen", b"no image")
    assert list(client.feedback("seen")) == []
    assert client.set("seen").version == 1


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/feedback/{id}/undo"),
        ("POST", "/v1/jobs/{id}/cancel"),
        ("POST", "/v1/jobs/{id}/resume"),
        *[
            ("GET", path)
            for path in (
                "/v1/feedback?set=loop",
                "/v1/feedback/{id}",
                "/v1/sets",
                "/v1/sets/loop",
                "/v1/sets/loop/versions",
                "/v1/sets/loop/versions/1",
                "/v1/sets/loop/versions/1/images/{sha256}",
                "/v1/sets/loop/diff?before=1&after=1",
                "/v1/sets/loop/export",
                "/v1/scores",
                "/v1/scores/{id}",
                "/v1/jobs",
                "/v1/jobs/{id}",
                "/v1/models",
                "/v1/verify",
                "/metrics",
            )
        ],
    ],
)
def test_no_route_reads_the_store_on_the_event_loop(
    service: Live, client: Client, method: str, path: str
) -> None:
    """A store that is busy or slow would hold up everybody else's requests."""
    if "loop" not in {one.name for one in client.sets()}:
        client.create_set("loop", SHOTS)
    remark = client.confirm_defect("loop", ODD)
    path = path.format(id=remark.id, sha256=client.set("loop").shots[0].sha256)
    database, readers = service.bench.store.database, set[str]()
    lent = database._connections.lent

    def noting() -> object:
        readers.add(threading.current_thread().name)
        return lent()

    with mock.patch.object(database._connections, "lent", noting), service.http() as http:
        http.request(method, path)
    assert readers
    assert service.loop_thread not in readers


def test_a_remark_is_on_one_image_of_a_file(client: Client) -> None:
    client.create_set("stacked", SHOTS)
    both = stack(picture(7), ODD)
    with pytest.raises(UnreadableImage, match="holds 2 images; say which with frame"):
        client.false_alarm("stacked", both)
    told = client.false_alarm("stacked", both, frame=2)
    assert client.set("stacked").shots[-1].sha256 == told.sha256
    assert client.detect([ODD], set="stacked").results[0].sha256 == told.sha256
