"""What a refusal says to somebody who has no command line."""

from pathlib import Path

import httpx2
import pytest
from live import files, png

import inctrl
from inctrl.service.refusals import WORDS


@pytest.mark.parametrize("phrase", [theirs for theirs, _ in WORDS])
def test_what_is_put_in_other_words_is_still_said_somewhere(phrase: str) -> None:
    root = Path(inctrl.__file__).parent
    rooms = [*(root / "detectors").glob("*.py"), root / "inspection" / "inputs.py"]
    text = "".join(path.read_text() for path in rooms)
    first, _, last = phrase.partition(" (")
    assert first in text
    assert last in text


def test_a_version_where_only_a_name_is_taken_is_told(http: httpx2.Client) -> None:
    form = {"set": "part@1", "kind": "defect"}
    image = files("image", png(1))
    for reply in (
        http.post("/v1/feedback", data=form, files=image),
        http.get("/v1/feedback?set=part@1"),
        http.get("/v1/scores?set=part@1"),
        http.get("/v1/sets/part@1"),
        http.post("/v1/sets", data={"name": "part@1"}, files=files("images", png(1))),
    ):
        assert (reply.status_code, reply.json()["code"]) == (422, "invalid_request")
        assert "without @VERSION" in reply.json()["detail"], reply.text
    assert "without" not in http.get("/v1/sets/UPPER").json()["detail"]


def test_a_detection_without_normals_is_told_what_to_send(http: httpx2.Client) -> None:
    query = files("queries", png(1))
    reply = http.post("/v1/detect", files=query)
    assert reply.status_code == 422
    assert reply.json()["detail"].startswith("name a set or send shots")
    reply = http.post("/v1/detect", data={"set": "part", "detector": "inctrl"}, files=query)
    assert reply.status_code == 422
    assert "--" not in reply.json()["detail"]
    assert "GET /v1/models" in reply.json()["detail"]
