"""Detection over HTTP: what is scored, against what, by how many passes through the model."""

import base64
import io
import shutil
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import PIL.Image
import pytest
from awkward import stack
from fakes import FakeBackbone
from live import DEFECT, SHOTS, Live, files, live, picture, png

from inctrl import Client
from inctrl.errors import NotStored, UnreadableImage, UsageError
from inctrl.service.detection_schemas import Detection, Scored
from inctrl.service.http.limits import Limits

COUNTED = "inctrl_verdicts_total{"


def scores(found: Detection) -> list[float]:
    return [one.score for one in found.results if isinstance(one, Scored)]


def test_a_set_and_the_same_shots_inline_give_the_same_scores(client: Client) -> None:
    queries = [picture(7), DEFECT]
    registered = client.detect(queries, set="part")
    inline = client.detect(queries, shots=SHOTS, item="part")
    assert scores(registered) == pytest.approx(scores(inline), abs=1e-6)
    assert registered.limit.threshold == pytest.approx(inline.limit.threshold, abs=1e-6)
    assert (registered.set, inline.set) == ("part@1", None)
    assert registered.shots == inline.shots
    usual, defect = registered.results
    assert usual.score < registered.limit.threshold < defect.score
    assert defect.verdict == "anomalous" != usual.verdict


def test_a_defect_is_told_with_place_nearest_normal_and_limit(client: Client) -> None:
    (found,) = client.detect([DEFECT], set="part").results
    assert isinstance(found, Scored)
    assert found.threshold is not None
    assert found.score > found.threshold
    assert 0 < found.p_floor <= found.p_value <= 1
    boxes = [region.box for region in found.regions]
    assert any(box.left <= 8 and box.top <= 8 and box.right >= 16 for box in boxes)
    assert found.evidence is not None
    assert found.evidence.shot_sha256 in client.detect([DEFECT], set="part").shots
    assert {"decode", "encode", "score"} <= set(found.timing)


def test_an_unreadable_query_fails_alone_and_keeps_its_place(client: Client) -> None:
    alone = client.detect([picture(7)], set="part")
    mixed = client.detect([b"no image", picture(7), b"", png(7)[:200]], set="part")
    assert [one.status for one in mixed.results] == [
        "unreadable", "scored", "unreadable", "unreadable",
    ]  # fmt: skip
    assert [one.index for one in mixed.results] == [0, 1, 2, 3]
    assert scores(mixed) == pytest.approx(scores(alone), abs=1e-6)


def test_a_batch_scores_as_its_queries_one_by_one(client: Client) -> None:
    queries = [picture(seed, spot=seed % 3 == 0, size=24 + seed) for seed in range(11)]
    together = scores(client.detect(queries, set="part"))
    single = [scores(client.detect([query], set="part"))[0] for query in queries]
    assert together == pytest.approx(single, abs=1e-6)


def test_an_unreadable_shot_is_left_out_and_told(client: Client) -> None:
    found = client.detect([DEFECT], shots=[SHOTS[0], b"no image", SHOTS[1]])
    assert [one.name for one in found.refused_shots] == ["shot-2"]
    assert len(found.shots) == 2


def test_a_version_of_a_set_can_be_named(client: Client) -> None:
    client.create_set("named", SHOTS[:2])
    client.add_images("named", SHOTS[2:])
    assert client.detect([DEFECT], set="named@1").limit.shots == 2
    assert client.detect([DEFECT], set="named").limit.shots == 4
    with pytest.raises(NotStored, match="no version 3"):
        client.detect([DEFECT], set="named@3")


def test_what_cannot_be_asked_is_refused_with_a_reason(client: Client) -> None:
    with pytest.raises(NotStored, match="absent"):
        client.detect([DEFECT], set="absent")
    with pytest.raises(UsageError, match="name a set or send shots"):
        client.detect([DEFECT])
    with pytest.raises(UsageError, match="detector"):
        client.detect([DEFECT], set="part", detector="nothing")
    with pytest.raises(UsageError, match="adapter"):
        client.detect([DEFECT], set="part", adapter="nothing")
    with pytest.raises(UsageError, match="alpha"):
        client.detect([DEFECT], set="part", alpha=0.7)
    with pytest.raises(UsageError, match="queries"):
        client.detect([], set="part")


def test_another_detector_and_another_alpha_can_be_asked_for(client: Client) -> None:
    usual = client.detect([DEFECT], set="part")
    other = client.detect([DEFECT], set="part", detector="spade")
    assert (usual.model.detector, other.model.detector) == ("incontext", "spade")
    strict = client.detect([DEFECT], set="part", alpha=0.01)
    assert strict.limit.alpha == 0.01
    assert strict.limit.threshold > usual.limit.threshold
    assert scores(strict) == scores(usual)


# Maps


def test_a_map_comes_in_three_formats(client: Client, service: Live) -> None:
    values = client.map(DEFECT, set="part")
    assert (values.dtype, values.shape) == (np.float32, (32, 32))
    assert np.unravel_index(values.argmax(), values.shape) in {
        (row, column) for row in range(6, 18) for column in range(6, 18)
    }
    for format in ("png", "overlay"):
        data = client.map(DEFECT, set="part", format=format)
        shown = PIL.Image.open(io.BytesIO(data))
        assert (shown.format, shown.size) == ("PNG", (32, 32))
    sent = {"data": {"set": "part"}, "files": files("query", png(9, spot=True))}
    with service.http() as http:
        reply = http.post("/v1/maps", **sent)
    assert reply.headers["content-type"] == "image/png"
    assert reply.headers["inctrl-verdict"] == "anomalous"
    (told,) = client.detect([DEFECT], set="part").results
    assert float(reply.headers["inctrl-score"]) == pytest.approx(told.score, abs=1e-6)
    assert float(reply.headers["inctrl-threshold"]) == told.threshold


@pytest.mark.parametrize("format", ["npz", "png", "overlay"])
def test_a_map_comes_along_with_the_scores(client: Client, format: Any) -> None:
    (found,) = client.detect([DEFECT], set="part", maps=format).results
    assert isinstance(found, Scored)
    data = base64.b64decode(found.map or "")
    if format == "npz":
        values = np.load(io.BytesIO(data), allow_pickle=False)["anomaly_map"]
        assert np.array_equal(values, client.map(DEFECT, set="part"))
    else:
        assert data == client.map(DEFECT, set="part", format=format)


def test_the_map_of_an_unreadable_query_is_an_error_of_its_own(client: Client) -> None:
    with pytest.raises(UnreadableImage, match="not an image"):
        client.map(b"no image", set="part")


# Passes through the model


def test_a_registered_set_is_encoded_once_and_never_again(tmp_path: Path) -> None:
    with live(tmp_path) as service, service.client() as client:
        client.create_set("part", SHOTS)
        client.detect([DEFECT], set="part")
        assert service.backbone.encoded == len(SHOTS) + 1
        client.detect([DEFECT, picture(7)], set="part")
        client.map(DEFECT, set="part")
        assert service.backbone.encoded == len(SHOTS) + 4
        before = client.detect([DEFECT], set="part")
    shutil.rmtree(tmp_path / "features")  # the context is kept, not only what it is made of
    after_restart = FakeBackbone()
    with live(tmp_path, backbone=after_restart) as service, service.client() as client:
        found = client.detect([DEFECT], set="part")
    assert after_restart.encoded == 1  # the query: no shot is encoded again
    assert scores(found) == pytest.approx(scores(before), abs=1e-6)
    assert found.limit == before.limit


def test_of_a_new_version_only_the_new_shot_is_encoded(tmp_path: Path) -> None:
    with live(tmp_path) as service, service.client() as client:
        client.create_set("part", SHOTS)
        client.detect([DEFECT], set="part")
        before = service.backbone.encoded
        client.add_images("part", [picture(20)])
        client.detect([DEFECT], set="part")
        assert service.backbone.encoded == before + 2  # the new shot, and the query


def test_another_model_is_not_given_what_this_one_has_remembered(tmp_path: Path) -> None:
    with live(tmp_path) as service, service.client() as client:
        client.create_set("part", SHOTS)
        client.detect([DEFECT], set="part")
    other = FakeBackbone("fake-2")
    with live(tmp_path, backbone=other) as service, service.client() as client:
        assert client.detect([DEFECT], set="part").model.fingerprint == "fake-2"
    assert other.encoded == len(SHOTS) + 1


def test_shots_inline_leave_nothing_in_the_store(tmp_path: Path) -> None:
    with live(tmp_path, history=False) as service, service.client() as client:
        client.detect([DEFECT], shots=SHOTS)
        assert not list(service.bench.store.sets.list())
        kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.name.split("-")[0] for path in kept} <= {"store.sqlite3", "lock"}


def test_a_reply_is_plain_json_without_nan_or_infinity(service: Live, client: Client) -> None:
    client.create_set("single", SHOTS[:1])
    with service.http() as http:
        for name in ("single", "part"):
            sent: dict[str, Any] = {"data": {"set": name}, "files": files("queries", png(1))}
            text = http.post("/v1/detect", **sent).text
            assert "NaN" not in text
            assert "Infinity" not in text


def test_forms_are_checked_field_by_field(service: Live) -> None:
    with service.http() as http:
        wrong: list[tuple[dict[str, str], list[Any], str]] = [
            ({"set": "part", "maps": "gif"}, files("queries", png(1)), "body.maps"),
            ({"set": "../part"}, files("queries", png(1)), "body.set"),
            ({"set": "part", "alpha": "much"}, files("queries", png(1)), "body.alpha"),
            ({"set": "part"}, [], "body.queries"),
            ({"set": "part", "queries": "http://127.0.0.1:1/x.png"}, [], "body.queries"),
        ]
        for form, sent, field in wrong:
            reply = http.post("/v1/detect", data=form, files=sent or None)
            assert reply.status_code == 422, form
            problem = reply.json()
            assert problem["code"] == "invalid_request"
            assert any(one["field"].startswith(field) for one in problem["errors"])


def test_more_or_larger_files_than_are_taken_are_413(tmp_path: Path) -> None:
    limits = Limits(images=2, file_bytes=10_000, request_bytes=50_000)
    with live(tmp_path, limits=limits) as service, service.http() as http:
        sent: list[tuple[str, dict[str, Any]]] = [
            ("images", {"files": files("images", png(1), png(2), png(3))}),
            ("file", {"files": files("images", png(1) + b"\0" * 10_000)}),
            ("body", {"files": files("images", png(1) + b"\0" * 50_000)}),
        ]
        for what, parts in sent:
            reply = http.post("/v1/sets", data={"name": "large"}, **parts)
            assert (reply.status_code, reply.json()["code"]) == (413, "too_large"), what
        head = b'--x\r\nContent-Disposition: form-data; name="images"; filename="a"\r\n\r\n'
        chunks = (head if number == 0 else b"x" * 10_000 for number in range(10))
        kind = {"Content-Type": "multipart/form-data; boundary=x"}
        reply = http.post("/v1/sets", content=chunks, headers=kind)  # of a length that is not told
        assert (reply.status_code, reply.json()["code"]) == (413, "too_large")


def test_each_image_of_a_file_has_an_answer(client: Client) -> None:
    found = client.detect([stack(picture(7), DEFECT), picture(8)], set="part").results
    assert [(one.index, one.name) for one in found] == [
        (0, "query-1#1"), (0, "query-1#2"), (1, "query-2"),
    ]  # fmt: skip
    assert [one.verdict == "anomalous" for one in found[:2]] == [False, True]
    (second,) = client.detect([stack(picture(7), DEFECT)], set="part", frame=2).results
    assert second.score == pytest.approx(found[1].score, abs=1e-6)
    (first,) = client.detect([stack(picture(7), DEFECT)], set="part", frame="first").results
    assert first.notes == ["frame 1 of 2 used"]


def test_images_beyond_the_limit_of_a_file_are_told(tmp_path: Path) -> None:
    with live(tmp_path, limits=Limits(images=2)) as running, running.client() as client:
        client.create_set("part", SHOTS[:2])
        found = client.detect([stack(picture(7), picture(8), DEFECT)], set="part").results
        assert [one.status for one in found] == ["scored", "scored", "unreadable"]
        assert found[-1].error == "'query-1' holds 3 images: 3 to 3 are left out; split the file"


def test_a_map_is_of_one_image(client: Client) -> None:
    both = stack(picture(7), DEFECT)
    with pytest.raises(UsageError, match="'query' holds several images; say which with frame"):
        client.map(both, set="part")
    of_second = client.map(both, set="part", frame=2)
    np.testing.assert_allclose(of_second, client.map(DEFECT, set="part"), atol=1e-6)


def test_a_file_of_many_images_is_not_scored_to_ask_which_is_meant(
    client: Client, http: httpx2.Client
) -> None:
    def scored() -> float:
        lines = http.get("/metrics").text.splitlines()
        return sum(float(line.split()[1]) for line in lines if line.startswith(COUNTED))

    before = scored()
    with pytest.raises(UsageError, match="holds several images"):
        client.map(stack(picture(7), picture(8), DEFECT), set="part")
    assert scored() - before == 1  # which told that there are more


def test_the_images_of_a_file_are_shots_of_a_set(client: Client) -> None:
    made = client.create_set("stacked", [stack(picture(1), picture(2)), picture(3)])
    assert [shot.name for shot in made.shots] == ["image-1#1", "image-1#2", "image-2"]
    more = client.add_images("stacked", [stack(picture(4), picture(5))], frame=2)
    assert len(more.shots) == 4


def test_a_frame_is_a_word_or_a_number_from_1(service: Live) -> None:
    with service.http() as http:
        for frame in ("last", "0", "1.5"):
            sent = [("queries", ("q.png", png(7), "image/png"))]
            reply = http.post("/v1/detect", data={"set": "part", "frame": frame}, files=sent)
            assert reply.status_code == 422
            assert "frame" in reply.text
