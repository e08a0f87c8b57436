"""The watch over the network itself: it sees, it refuses, and it reaches child processes."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from offline import sitecustomize as offline

ELSEWHERE = "192.0.2.1"  # reserved for documentation (RFC 5737): nobody is there


def test_leaving_this_machine_is_refused_and_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = tmp_path / "notes"
    monkeypatch.setenv(offline.NOTES, str(notes))
    with socket.socket() as dialling, pytest.raises(PermissionError, match="may not leave"):
        dialling.connect((ELSEWHERE, 80))
    with pytest.raises(PermissionError):
        socket.getaddrinfo("example.org", 80)
    assert [line.split()[:2] for line in notes.read_text().splitlines()] == [
        ["socket.connect", f"'{ELSEWHERE}'"],
        ["socket.getaddrinfo", "'example.org'"],
    ]


@pytest.mark.parametrize(
    ("look_up", "event"),
    [
        (lambda: socket.gethostbyname("example.org"), "gethostbyname 'example.org'"),
        (lambda: socket.gethostbyname_ex("example.org"), "gethostbyname 'example.org'"),
        (lambda: socket.gethostbyaddr(ELSEWHERE), f"gethostbyaddr '{ELSEWHERE}'"),
        (lambda: socket.getnameinfo((ELSEWHERE, 80), 0), f"getnameinfo '{ELSEWHERE}'"),
    ],
)
def test_no_name_server_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, look_up: Callable[[], object], event: str
) -> None:
    notes = tmp_path / "notes"
    monkeypatch.setenv(offline.NOTES, str(notes))
    with pytest.raises(PermissionError, match="may not leave"):
        look_up()
    assert notes.read_text().startswith(f"socket.{event} by ")


def test_looking_up_this_machine_is_no_leaving() -> None:
    assert socket.gethostbyname("localhost") == "127.0.0.1"
    assert socket.getnameinfo(("127.0.0.1", 80), socket.NI_NUMERICHOST)[0] == "127.0.0.1"


def test_child_processes_are_watched_too(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    dial = f"import socket; socket.create_connection(({ELSEWHERE!r}, 80), 1)"
    environment = {**os.environ, offline.NOTES: str(notes)}
    ended = subprocess.run([sys.executable, "-c", dial], env=environment, capture_output=True)
    assert ended.returncode == 1
    assert ELSEWHERE in notes.read_text()


def test_this_machine_may_be_reached() -> None:
    with socket.socket() as server, socket.socket() as client:
        server.bind(("127.0.0.1", 0))
        server.listen()
        client.connect(server.getsockname())


@pytest.mark.parametrize(
    ("host", "local"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), (None, True), ("0.0.0.0", True),  # noqa: S104
     ("10.0.0.1", False), ("example.org", False), (b"example.org", False), ("fe80::1%eth0", False)],
)  # fmt: skip
def test_what_counts_as_this_machine(host: object, local: bool) -> None:
    assert offline.is_local(host) is local
