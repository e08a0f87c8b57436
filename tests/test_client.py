"""The client: errors that can be acted on, what is sent again, and what images become."""

import io
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scripted import JSON, LIMITS, SET, Script, problem

from inctrl import Client, errors
from inctrl.client.uploads import upload, uploads
from inctrl.decoding import decode


@pytest.fixture
def server() -> Iterator[str]:
    Script.replies, Script.seen = [], []
    with ThreadingHTTPServer(("127.0.0.1", 0), Script) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    found: list[float] = []
    monkeypatch.setattr("inctrl.client.transport.time.sleep", found.append)
    return found


def test_importing_the_client_loads_no_model_library() -> None:
    check = (
        "import sys, inctrl; inctrl.Client('http://127.0.0.1:1').close(); "
        "print([n for n in ('torch', 'fastapi', 'scipy', 'gradio') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# Errors


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "bad_request", errors.UsageError),
        (401, "token_needed", errors.Unauthorised),
        (403, "foreign_origin", errors.UsageError),
        (404, "not_found", errors.NotStored),
        (409, "conflict", errors.Conflict),
        (409, "context_mismatch", errors.ContextMismatch),
        (412, "outdated", errors.Conflict),
        (413, "too_large", errors.UsageError),
        (422, "invalid_request", errors.UsageError),
        (422, "unreadable_image", errors.UnreadableImage),
        (422, "missing_model", errors.MissingModel),
        (422, "missing_data", errors.MissingData),
        (500, "bug", errors.ServiceFailed),
        (503, "busy", errors.Busy),
        (503, "draining", errors.Busy),
        (503, "damaged", errors.InvalidFile),
        (503, "unavailable", errors.ServiceFailed),
        (504, "deadline", errors.Busy),
        (507, "no_space", errors.NoSpace),
        (507, "not_writable", errors.OutputError),
    ],
)
def test_every_refusal_is_an_error_of_its_kind(
    server: str, status: int, code: str, kind: type[Exception]
) -> None:
    Script.replies = [problem(status, code, **{"Retry-After": "7"})]
    with Client(server, retries=0) as client, pytest.raises(errors.InctrlError) as caught:
        client.limits()
    assert type(caught.value) is kind
    assert f"told {code}" in str(caught.value)
    assert "\n" not in str(caught.value)
    if isinstance(caught.value, errors.Busy):
        assert caught.value.retry_after == 7
    if isinstance(caught.value, errors.ServiceFailed):
        assert "r-1" in str(caught.value)


@pytest.mark.parametrize(
    ("reply", "word"),
    [
        ((502, {"Content-Type": "text/html"}, b"<h1>Bad Gateway</h1>"), "not as inctrl"),
        ((404, {"Content-Type": "text/html"}, b"no"), "not as inctrl"),
        ((500, {"Content-Type": "application/problem+json"}, b"{"), "not as inctrl"),
        ((307, {"Location": "http://127.0.0.1:1/"}, b""), "redirect"),
        ((200, JSON, b"<html>"), "not understood"),
        ((200, JSON, b'{"file_bytes": "many"}'), "not understood"),
    ],
)
def test_what_is_no_service_is_told_as_such(server: str, reply: Any, word: str) -> None:
    Script.replies = [reply]
    with Client(server) as client, pytest.raises(errors.ServiceFailed, match=word):
        client.limits()
    assert len(Script.seen) == 1  # not asked again, and no redirect followed


def test_nobody_there_is_unreachable(slept: list[float]) -> None:
    with Client("http://127.0.0.1:1") as client:
        with pytest.raises(errors.Unreachable, match="inctrl serve"):
            client.limits()
        assert len(slept) == 2
        with pytest.raises(errors.Unreachable):
            client.ready()


def test_a_reply_that_does_not_come_is_unreachable_in_time(server: str) -> None:
    Script.replies = [(200, {"Content-Length": "10"}, b"")]
    with Client(server, timeout=1.5) as client, pytest.raises(errors.Unreachable, match="in time"):
        client.limits()
    assert len(Script.seen) <= 1  # not sent again


@pytest.mark.parametrize(
    "url",
    ["ftp://host", "http://", "http://user:word@host", "", "file:///x", "/tmp/x", "http:/host",  # noqa: S108
     "a b", "host:port", "C:\\x", None],
)  # fmt: skip
def test_a_url_that_is_none_is_refused(url: Any) -> None:
    with pytest.raises(errors.UsageError, match="address"):
        Client(url)


@pytest.mark.parametrize(
    ("before", "behind", "path"),
    [
        ("http://", "", ""),
        ("", "", ""),
        ("  ", "/\n", ""),
        ("HTTP://", "/", ""),
        ("http://", "/v1", ""),
        ("http://", "/v1/", ""),
        ("", "/v1/detect", ""),
        ("http://", "/v1/openapi.json", ""),
        ("http://", "/?__theme=dark#sets", ""),
        ("http://", "/login?next=/", ""),
        ("http://", "/gradio_api/call/inspect", ""),
        ("http://", "/tools/inctrl", "/tools/inctrl"),
        ("http://", "/tools/inctrl/v1/", "/tools/inctrl"),
    ],
)
def test_every_address_of_a_service_that_is_copied_leads_to_it(
    server: str, before: str, behind: str, path: str
) -> None:
    Script.replies = [(200, JSON, LIMITS)]
    with Client(f"{before}{server.removeprefix('http://')}{behind}") as client:
        client.limits()
        client.ready()
    assert [one[1] for one in Script.seen] == [f"{path}/v1/limits", f"{path}/readyz"]


def test_https_where_there_is_none_is_told(server: str, slept: list[float]) -> None:
    said = "no TLS at https.*http://"
    with (
        Client(server.replace("http", "https")) as client,
        pytest.raises(errors.Unreachable, match=said),
    ):
        client.limits()


@pytest.mark.parametrize("token", ["a b\n", "t\u00f6ken", " token "])
def test_a_token_that_is_none_is_refused_before_it_is_sent(token: str) -> None:
    with pytest.raises(errors.UsageError, match="token"):
        Client(token=token)


# What is sent


def test_a_token_goes_as_bearer_and_no_proxy_is_asked(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    Script.replies = [(200, JSON, LIMITS)]
    with Client(server, token="secret") as client:  # noqa: S106
        client.limits()
    assert Script.seen[0][2]["authorization"] == "Bearer secret"


def test_a_deadline_is_told_with_detections_alone(server: str) -> None:
    Script.replies = [problem(404, "not_found")]
    with Client(server, deadline=2.5) as client:
        for ask in (lambda: client.detect([b"x"], set="part"), lambda: client.map(b"x", set="p")):
            with pytest.raises(errors.NotStored):
                ask()
        with pytest.raises(errors.NotStored):
            client.set("part")
    told = [headers.get("inctrl-deadline") for _, _, headers, _ in Script.seen]
    assert told == ["2.5", "2.5", None]


# What is sent again


def test_a_busy_service_is_asked_again_when_it_says(server: str, slept: list[float]) -> None:
    Script.replies = [problem(503, "busy", **{"Retry-After": "3"}), (200, JSON, LIMITS)]
    with Client(server) as client:
        assert client.limits().queue == 1
    assert len(slept) == 1
    assert 3 <= slept[0] <= 3.75


def test_a_service_that_is_busy_for_long_is_not_waited_for(server: str, slept: list[float]) -> None:
    Script.replies = [problem(503, "busy", **{"Retry-After": "600"})]
    with Client(server) as client, pytest.raises(errors.Busy):
        client.limits()
    assert slept == []


def test_what_came_too_late_is_not_asked_for_again(server: str, slept: list[float]) -> None:
    Script.replies = [problem(504, "deadline")]
    with Client(server) as client, pytest.raises(errors.Busy, match="told deadline"):
        client.detect([b"x"], set="part")
    assert (len(Script.seen), slept) == (1, [])


def test_nothing_is_sent_again_after_the_deadline(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr("inctrl.client.transport.time.monotonic", lambda: now[0])
    monkeypatch.setattr("inctrl.client.transport.random.random", lambda: 0.0)
    monkeypatch.setattr(
        "inctrl.client.transport.time.sleep", lambda s: now.__setitem__(0, now[0] + s)
    )
    Script.replies = [problem(503, "busy", **{"Retry-After": "2"})]
    with Client(server, deadline=5, retries=9) as client:
        with pytest.raises(errors.Busy):
            client.detect([b"x"], set="part")
        told = [headers["inctrl-deadline"] for _, _, headers, _ in Script.seen]
        assert told == ["5", "3", "1"]  # each is told what is left
        Script.seen = []
        Script.replies = [(0, {}, b"")]
        with pytest.raises(errors.Unreachable):
            client.detect([b"x"], set="part")
    told = [headers["inctrl-deadline"] for _, _, headers, _ in Script.seen]
    assert told[:3] == ["5", "4.8", "4.4"]
    assert float(told[-1]) > 0
    assert len(told) == 5  # 0.2, 0.4, 0.8 and 1.6 s are waited; 3.2 s more would be too many


def test_a_lost_reply_to_a_write_is_asked_for_again_under_the_same_key(
    server: str, slept: list[float]
) -> None:
    Script.replies = [(0, {}, b""), problem(409, "in_flight"), (201, JSON, SET)]
    with Client(server) as client:
        assert client.create_set("part", [b"x"]).name == "part"
        first = [headers["idempotency-key"] for _, _, headers, _ in Script.seen]
        client.create_set("part", [b"x"])
    last = Script.seen[-1][2]["idempotency-key"]
    assert len(first) == 3
    assert len(set(first)) == 1
    assert last not in first
    assert len(slept) == 2


@pytest.mark.parametrize(
    "act",
    [
        lambda client: client.remove_set("part"),
        lambda client: client.drop_image("part", 1, "0" * 64),
        lambda client: client.undo("0" * 32),
        lambda client: client.cancel("0" * 32),
    ],
)
def test_what_would_be_done_twice_is_not_sent_again(
    server: str, slept: list[float], act: Callable[[Client], object]
) -> None:
    Script.replies = [(0, {}, b"")]
    with Client(server) as client, pytest.raises(errors.Unreachable, match="lost"):
        act(client)
    assert len(Script.seen) == 1
    assert slept == []


def test_every_creating_call_has_a_key(server: str, tmp_path: Path) -> None:
    Script.replies = [problem(404, "not_found")]
    spec = {"kind": "folder", "data": "x", "set": "part"}
    with Client(server, retries=0) as client:
        for act in (
            lambda: client.create_set("part", [b"x"]),
            lambda: client.add_images("part", [b"x"]),
            lambda: client.false_alarm("part", b"x"),
            lambda: client.confirm_defect("part", b"x"),
            lambda: client.submit(spec),
        ):
            with pytest.raises(errors.NotStored):
                act()
    assert all(len(headers["idempotency-key"]) == 32 for _, _, headers, _ in Script.seen)
    assert json.loads(Script.seen[-1][3]) == spec


# Images and files


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.float32])
def test_arrays_are_sent_without_loss(dtype: type[np.generic]) -> None:
    shape = (8, 9, 3) if dtype is np.uint8 else (8, 9)
    array = (np.arange(np.prod(shape)) % 251).reshape(shape).astype(dtype)
    name, data = upload(array, "query-1")
    kept = decode(data)
    assert name == "query-1"
    assert kept.pixels.dtype == dtype
    assert np.array_equal(kept.pixels, array)


def test_files_are_sent_as_they_are_under_their_base_names(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"whatever it holds")
    assert uploads([path, str(path), b"x"], "query") == [
        ("a.png", b"whatever it holds"), ("a.png", b"whatever it holds"), ("query-3", b"x"),
    ]  # fmt: skip


def test_what_is_no_image_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    with pytest.raises(errors.UnreadableImage, match="absent"):
        uploads([tmp_path / "absent.png"], "query")
    with pytest.raises(errors.UnreadableImage, match="shape"):
        uploads([np.zeros((2, 3, 4, 5), np.uint8)], "query")
    for single in (b"x", "a.png", tmp_path, np.zeros((8, 8), np.uint8)):
        with pytest.raises(errors.UsageError, match="list"):
            uploads(single, "query")  # type: ignore[arg-type]
    with Client() as client, pytest.raises(errors.UsageError, match="not both"):
        client.detect([b"x"], set="part", shots=[b"x"])
    with Client() as client, pytest.raises(errors.UsageError, match="list"):
        client.detect([b"x"], shots=np.zeros((2, 8, 8), np.uint8))  # type: ignore[arg-type]


def test_a_misspelt_argument_is_never_left_out_in_silence() -> None:
    with Client() as client:
        for ask in (client.detect, client.map):
            with pytest.raises(errors.UsageError, match="'detecter'; did you mean 'detector'"):
                ask([b"x"], set="part", detecter="padim")  # type: ignore[operator]
        with pytest.raises(errors.UsageError, match="unknown argument 'threshold'"):
            client.detect([b"x"], set="part", threshold=0.9)  # type: ignore[call-arg]


def test_a_file_is_saved_whole_or_not_at_all(server: str, tmp_path: Path) -> None:
    target = tmp_path / "part.zip"
    Script.replies = [(200, {}, b"whole")]
    with Client(server) as client:
        assert client.export_set("part", target).read_bytes() == b"whole"
        with pytest.raises(errors.OutputError, match="already"):
            client.export_set("part", target)
        Script.replies = [(200, {"Content-Length": "100", "Connection": "close"}, b"torn")]
        with pytest.raises(errors.Unreachable):
            client.export_set("part", target, overwrite=True)
        Script.replies = [problem(404, "not_found")]
        with pytest.raises(errors.NotStored):
            client.adapter("0" * 32, tmp_path / "none.zip")
    assert [path.name for path in tmp_path.iterdir()] == ["part.zip"]
    assert target.read_bytes() == b"whole"


def test_a_map_that_holds_a_pickle_is_refused(server: str) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, anomaly_map=np.array([object()], dtype=object))
    Script.replies = [(200, {}, buffer.getvalue())]
    with Client(server) as client, pytest.raises(errors.ServiceFailed, match="npz"):
        client.map(b"x", set="part")


def test_waiting_for_a_job_tells_of_every_change_and_gives_up_in_time(server: str) -> None:
    def job(state: str, log: str) -> tuple[int, dict[str, str], bytes]:
        values = {"id": "j", "kind": "folder", "spec": {}, "state": state, "created": "2026",
                  "started": None, "finished": None, "attempts": 1, "error": "", "progress": None,
                  "rows": [], "cells": [], "log": log, "files": []}  # fmt: skip
        return 200, JSON, json.dumps(values).encode()

    seen: list[tuple[str, str]] = []
    with Client(server) as client:
        Script.replies = [job("queued", ""), job("running", "1"), job("running", "1"),
                          job("running", "2"), job("failed", "2")]  # fmt: skip
        ended = client.wait("j", lambda one: seen.append((one.state, one.log)), every=0.01)
        assert ended.state == "failed"
        assert seen == [("queued", ""), ("running", "1"), ("running", "2"), ("failed", "2")]
        Script.replies = [job("running", "")]
        with pytest.raises(errors.Busy, match="running after"):
            client.wait("j", every=0.01, timeout=0.05)
