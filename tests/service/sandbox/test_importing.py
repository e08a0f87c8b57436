"""Archives from outside, and looks at the whole store: what they may take of the machine."""

import asyncio
import errno
import io
import json
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import httpx2
import pytest
from live import Live, files, live, picture

from inctrl.service import housekeeping
from inctrl.service.housekeeping import scratch, sweep
from inctrl.service.http.limits import Limits
from inctrl.service.sandbox import importing
from inctrl.service.sandbox.decoder_process import environment
from inctrl.store import Store, open_store

CHILD = [sys.executable, "-P", "-m", "inctrl.service.sandbox.importer"]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    limits = replace(Limits(), pixels=2000)
    with live(tmp_path_factory.mktemp("importing"), limits=limits) as running:
        with running.client() as client:
            client.create_set("part", [picture(seed) for seed in range(2)])
        yield running


def bring(http: httpx2.Client, data: bytes, name: str = "copy") -> httpx2.Response:
    return http.post("/v1/imports", data={"name": name}, files=files("archive", data))


def exported(tmp_path: Path, *, size: int = 32) -> bytes:
    with open_store(tmp_path / "other") as store:
        from inctrl.decoding import decode
        from inctrl.store.transfer import export_set

        store.sets.create("part", [decode(picture(1, size=size), "p")])
        export_set(store, "part", tmp_path / "part.zip")
    return (tmp_path / "part.zip").read_bytes()


def test_an_archive_is_read_at_low_priority_within_memory_and_time(
    service: Live, http: httpx2.Client, tmp_path: Path
) -> None:
    ended: list[list[str]] = []
    start = asyncio.create_subprocess_exec

    async def watched(*words: str, **options: Any) -> Any:
        ended.append(list(words))
        assert options["stderr"] == subprocess.DEVNULL
        return await start(*words, **options)

    with mock.patch("asyncio.create_subprocess_exec", watched):
        assert bring(http, exported(tmp_path)).status_code == 201
    (words,) = ended
    assert {"--pixels=2000", f"--parent={os.getpid()}", "--memory=3000000000"} <= set(words)
    assert words[4].startswith(str(service.bench.store.folder / "tmp"))
    assert list((service.bench.store.folder / "tmp").iterdir()) == []


def test_the_child_confines_itself(tmp_path: Path) -> None:
    look = (
        "import os, resource; from inctrl.service.sandbox import importer;"
        "importer.confine(2**31, 60);"
        "print(resource.getrlimit(resource.RLIMIT_AS), resource.getrlimit(resource.RLIMIT_CPU),"
        "os.getpriority(os.PRIO_PROCESS, 0))"
    )
    done = subprocess.run(
        [sys.executable, "-c", look], env=environment(), capture_output=True, text=True, check=True
    )
    nice = os.getpriority(os.PRIO_PROCESS, 0) + 10
    assert done.stdout.split("\n")[0] == f"({2**31}, {2**31}) (60, 60) {min(19, nice)}"
    assert resource.getrlimit(resource.RLIMIT_CPU)[0] == resource.RLIM_INFINITY


def test_it_ends_with_its_parent_and_tells_what_memory_it_lacks(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(exported(tmp_path, size=3000))
    given = [str(tmp_path / "a.zip"), f"--store={tmp_path / 's'}", "--seconds=60"]
    given += ["--pixels=40000000", f"--parent={os.getpid()}"]

    def run(*more: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*CHILD, *given, *more], env=environment(), capture_output=True, text=True
        )

    assert json.loads(run("--memory=3000000000").stdout) == {"name": "part"}
    short = run("--memory=190000000", "--name=other")
    assert short.returncode != 0 or json.loads(short.stdout)["error"] == "MemoryError"
    gone = run("--memory=3000000000", "--parent=1", "--name=third")
    assert (gone.returncode, gone.stdout) == (1, "")
    with open_store(tmp_path / "s") as store:
        assert [one.name for one in store.sets.list()] == ["part"]


def test_an_image_over_the_limit_of_the_service_is_refused_in_an_archive_too(
    http: httpx2.Client, tmp_path: Path
) -> None:
    reply = bring(http, exported(tmp_path, size=60), "wide")
    assert (reply.status_code, reply.json()["code"]) == (422, "unusable_request")
    assert "pixels" in reply.json()["detail"]
    assert http.get("/v1/sets/wide").status_code == 404


@pytest.mark.parametrize(
    ("code", "said", "status", "named"),
    [
        (1, b"", 503, "unavailable"),
        (-9, b"", 503, "unavailable"),
        (-24, b"", 503, "unavailable"),
        (0, b"no json", 503, "unavailable"),
        (0, b'{"error": "Busy", "detail": "d"}', 503, "busy"),
        (0, b'{"error": "Conflict", "detail": "d"}', 409, "conflict"),
        (0, b'{"error": "NoSpace", "detail": "d"}', 507, "no_space"),
        (0, b'{"error": "OutputError", "detail": "d"}', 507, "not_writable"),
        (0, b'{"error": "MemoryError", "detail": ""}', 413, "too_large"),
        (0, b'{"error": "InvalidFile", "detail": "d"}', 422, "unusable_request"),
    ],
)
def test_how_the_child_ended_is_told_apart(
    http: httpx2.Client, code: int, said: bytes, status: int, named: str
) -> None:
    with mock.patch.object(importing.Importer, "_read", return_value=(code, said)):
        reply = bring(http, b"x")
    assert (reply.status_code, reply.json()["code"]) == (status, named)


def test_a_conflict_is_told_by_a_real_child(http: httpx2.Client, tmp_path: Path) -> None:
    reply = bring(http, exported(tmp_path), "part")
    assert (reply.status_code, reply.json()["code"]) == (409, "conflict")
    assert "--" not in reply.json()["detail"]  # no word of the command line


def test_a_disk_that_is_full_is_no_fault_of_the_archive(http: httpx2.Client) -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    with mock.patch.object(importing.shutil, "copyfileobj", side_effect=full):
        reply = bring(http, b"x")
    assert (reply.status_code, reply.json()["code"]) == (507, "no_space")


def test_one_archive_is_read_at_a_time(service: Live, http: httpx2.Client) -> None:
    begun, go_on = threading.Event(), threading.Event()

    async def slow(*_: object) -> tuple[int, bytes]:
        begun.set()
        await asyncio.to_thread(go_on.wait, 30)
        return 0, b'{"name": "part"}'

    replies: list[int] = []
    with mock.patch.object(importing.Importer, "_read", slow):

        def first() -> None:
            with service.http() as other:
                replies.append(bring(other, b"x").status_code)

        thread = threading.Thread(target=first)
        thread.start()
        assert begun.wait(30)
        refused = bring(http, b"y")
        go_on.set()
        thread.join(30)
        assert replies == [201]
        assert bring(http, b"y").status_code == 201
    assert (refused.status_code, refused.json()["code"]) == (503, "busy")
    assert int(refused.headers["retry-after"]) > 0


def test_the_store_is_verified_for_one_at_a_time(service: Live, http: httpx2.Client) -> None:
    begun, go_on = threading.Event(), threading.Event()
    names: list[str] = []

    def slow(_: Store) -> tuple[()]:
        names.append(threading.current_thread().name)
        begun.set()
        go_on.wait(30)
        return ()

    replies: list[int] = []
    with mock.patch.object(housekeeping, "verify", slow):

        def first() -> None:
            with service.http() as other:
                replies.append(other.get("/v1/verify").status_code)

        thread = threading.Thread(target=first)
        thread.start()
        assert begun.wait(30)
        refused = http.get("/v1/verify")
        assert http.get("/v1/sets").status_code == 200
        go_on.set()
        thread.join(30)
    assert (refused.status_code, refused.json()["code"]) == (503, "busy")
    assert replies == [200]
    assert names[0].startswith("inctrl-verify")
    assert http.get("/v1/verify").json()["clean"]


def test_what_a_killed_service_has_left_is_swept(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        with scratch(store) as folder:
            assert Path(folder).parent == tmp_path / "tmp"
            assert Path(folder).parent.stat().st_mode & 0o077 == 0
        left, young = tmp_path / "tmp" / "left", scratch(store)
        left.mkdir()
        (left / "archive.zip").write_bytes(b"x")
        old = time.time() - 7200
        os.utime(left, (old, old))
        sweep(store)
        assert not left.exists()
        assert Path(young.name).exists()
        young.cleanup()
        sweep(store)


def test_an_export_goes_through_the_store_and_leaves_nothing(
    service: Live, http: httpx2.Client
) -> None:
    made: list[Path] = []

    def watched(store: Store) -> Any:
        found = scratch(store)
        made.append(Path(found.name))
        return found

    with mock.patch("inctrl.service.routes.store.scratch", watched):
        data = http.get("/v1/sets/part/export").content
    assert io.BytesIO(data).read(2) == b"PK"
    assert made[0].parent == service.bench.store.folder / "tmp"
    until = time.monotonic() + 10
    while made[0].exists():  # it goes when the reply has gone out
        assert time.monotonic() < until
        time.sleep(0.01)
