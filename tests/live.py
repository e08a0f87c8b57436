"""A whole service on a loopback port, in a thread, with a backbone that costs nothing."""

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

import httpx2
import numpy as np
from fakes import FakeBackbone
from fastapi import FastAPI
from numpy.typing import NDArray

from inctrl import Client
from inctrl.files.lock import lock
from inctrl.images import Picture, stored_bytes
from inctrl.service.app import build, guarded
from inctrl.service.http.drain import DrainingServer
from inctrl.service.http.layers import configuration
from inctrl.service.http.limits import Limits
from inctrl.service.jobs.specs import read_spec
from inctrl.service.settings import Settings
from inctrl.service.workbench import Workbench

SECONDS = 60.0


@dataclass(frozen=True)
class Live:
    """A service that runs, and what it is made of."""

    url: str
    app: FastAPI
    backbone: Any
    server: DrainingServer
    loop_thread: str

    @property
    def bench(self) -> Workbench:
        return self.app.state.workbench

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def client(self, **options: Any) -> Client:
        return Client(self.url, **options)

    def http(self, **options: Any) -> httpx2.Client:
        """The same address without any of the client's help."""
        return httpx2.Client(base_url=self.url, trust_env=False, timeout=SECONDS, **options)

    def wait_ready(self) -> None:
        with self.client() as client:
            until = time.monotonic() + SECONDS
            while not client.ready():
                assert time.monotonic() < until, "the service does not get ready"
                time.sleep(0.02)

    @contextlib.contextmanager
    def blocked(self) -> Iterator[None]:
        """While the model is at work on something else."""
        begun, go_on = threading.Event(), threading.Event()

        def block() -> None:
            begun.set()
            go_on.wait(SECONDS)

        engine = self.bench.engine
        waiting = threading.Thread(target=lambda: _run(engine.call(block)))
        waiting.start()
        assert begun.wait(SECONDS)
        try:
            yield
        finally:
            go_on.set()
            waiting.join(SECONDS)


@contextlib.contextmanager
def live(
    store: Path,
    *,
    backbone: Any = None,
    ready: bool = True,
    limits: Limits | None = None,
    **settings: Any,
) -> Iterator[Live]:
    """A service over a store; `backbone` None: a fake one, "tiny": the real one."""
    fake = FakeBackbone() if backbone is None else backbone
    chosen = Settings(store=store, threads=1, limits=limits or Limits(), **settings)
    patched: Any = contextlib.nullcontext()
    if fake != "tiny":
        chosen = replace(chosen, backbone="fake")
        patched = mock.patch("inctrl.service.inspectors.load_backbone", return_value=fake)
    with patched:
        app = build(chosen)
        config = configuration(guarded(app), chosen.limits, host="127.0.0.1", port=0)
        server = DrainingServer(config, app.state.drain, chosen.limits)
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            until = time.monotonic() + SECONDS
            while not server.started:
                assert thread.is_alive(), "the service has not started"
                assert time.monotonic() < until, "the service has not started in time"
                time.sleep(0.005)
            port = server.servers[0].sockets[0].getsockname()[1]
            running = Live(f"http://127.0.0.1:{port}", app, fake, server, thread.name)
            if ready:
                running.wait_ready()
            yield running
        finally:
            server.should_exit = True
            thread.join(SECONDS)


@contextlib.contextmanager
def strict(folder: Path) -> Iterator[Live]:
    """A service with short limits, the set `part`, jobs that stay queued, a secret beside it."""
    (folder / "data" / "parts").mkdir(parents=True)
    (folder / "secret.txt").write_text("sesame")
    store, data = folder / "store", folder / "data"
    limits = replace(Limits(), body_seconds=0.5, head_seconds=0.5, request_bytes=2_000_000)
    with idle_jobs(store), live(store, data_root=data, limits=limits) as running:
        with running.client() as client:
            client.create_set("part", SHOTS)
        yield running


@contextlib.contextmanager
def idle_jobs(store: Path) -> Iterator[None]:
    """While no job of a store is run: they stay in the queue."""
    folder = store / "jobs"
    folder.mkdir(parents=True)
    held = lock(folder / "lock")
    assert held is not None
    try:
        yield
    finally:
        os.close(held)


def finished_job(bench: Workbench, spec: dict[str, Any], **files: bytes) -> str:
    """The id of a job that has succeeded, with these files as its result."""
    id = bench.store.jobs.add(spec["kind"], read_spec(spec).model_dump(mode="json")).id
    for name, data in files.items():
        path = bench.store.jobs_folder / id / "result" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    bench.store.jobs.finish(id, "succeeded")
    return id


def _run(work: Any) -> None:
    import asyncio

    asyncio.run(work)


def picture(seed: int = 0, *, size: int = 32, spot: bool = False) -> NDArray[np.uint8]:
    """A gray, noisy square; with a spot where it is a defect."""
    noise = np.random.default_rng(seed).integers(110, 140, (size, size, 3))
    if spot:
        noise[8:16, 8:16] = (250, 10, 10)
    return noise.astype(np.uint8)


def png(seed: int = 0, **options: Any) -> bytes:
    return encoded(picture(seed, **options))


def encoded(pixels: NDArray[Any]) -> bytes:
    return stored_bytes(Picture(pixels, "picture"))


def files(field: str, *images: bytes, name: str = "{}.png") -> list[Any]:
    """Parts of a form."""
    return [(field, (name.format(number), image)) for number, image in enumerate(images)]


SHOTS = [picture(seed) for seed in range(4)]
DEFECT = picture(9, spot=True)
