"""What a refusal says to somebody who has no command line."""

import re
from pathlib import Path
from typing import get_args

import httpx2
from live import files, png

import inctrl
from inctrl.cli import main
from inctrl.errors import Fix
from inctrl.page import events
from inctrl.service import error_replies


def test_each_face_words_every_fix() -> None:
    fixes = set(get_args(Fix))
    assert set(error_replies.FIXES) == set(main.FIXES) == set(events.FIXES) == fixes
    assert not any("--" in words for words in error_replies.FIXES.values())


def test_the_rooms_below_speak_of_no_option() -> None:
    root = Path(inctrl.__file__).parent
    for room in ("detectors", "inspection", "adapters"):
        for path in (root / room).rglob("*.py"):
            code = [line for line in path.read_text().splitlines() if "`--" not in line]
            assert not re.search(r"--[a-z]", "\n".join(code)), path


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
    assert "name a set or send shots" in reply.json()["detail"]
    assert "--" not in reply.json()["detail"]
    reply = http.post("/v1/detect", data={"set": "part", "detector": "inctrl"}, files=query)
    assert reply.status_code == 422
    assert "--" not in reply.json()["detail"]
    assert "GET /v1/models" in reply.json()["detail"]
