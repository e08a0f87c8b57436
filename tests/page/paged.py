"""A service with a page, in this process or in one of its own, and images for it."""

import asyncio
import contextlib
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
import warnings
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image

with warnings.catch_warnings():
    # Of Gradio and what it imports; nothing here can change them.
    warnings.simplefilter("ignore", DeprecationWarning)
    from inctrl.page.offline import prepare

    prepare()

from inctrl.service.app import build
from inctrl.service.settings import Settings
from inctrl.service.workbench import Workbench

Work = Callable[[Workbench], Awaitable[Any]]


def field(seed: int, *, spot: bool = False) -> np.ndarray:
    """A noisy gray field; the spot is a bright patch."""
    values = np.random.default_rng(seed).normal(120, 12, (64, 80))
    if spot:
        values[20:36, 40:60] = 235
    return values.clip(0, 255).astype(np.uint8)


def write(folder: Path, name: str, seed: int, *, spot: bool = False) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(field(seed, spot=spot)).save(folder / name)
    return folder / name


def at_work(settings: Settings, work: Work) -> Any:
    """Do it while a service runs."""

    async def all_of_it() -> Any:
        app = build(settings)
        async with app.router.lifespan_context(app):
            app.state.workbench.runner = app.state.runner
            return await work(app.state.workbench)

    return asyncio.run(all_of_it())


class Served:
    """A service in a process of its own, with its page."""

    def __init__(self, store: Path, *options: str, small: bool = True) -> None:
        """small: images are seen at 64 pixels, which is quick"""
        quiet = {"OMP_NUM_THREADS": "1", "TMPDIR": str(store.parent)}
        command = [sys.executable, "-m", "inctrl", "serve", "--port", "0", "--threads", "1"]
        self._log = store.with_suffix(".log")
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                [
                    *command,
                    "--store",
                    str(store),
                    *(("--image-size", "64") if small else ()),
                    *options,
                ],
                stderr=log,
                env=os.environ | quiet,
            )
        self.url = ""
        self._wait()

    @property
    def log(self) -> str:
        return self._log.read_text()

    def _wait(self) -> None:
        until = time.monotonic() + 90
        while time.monotonic() < until and self.process.poll() is None:
            place = re.search(r"inctrl is at (http://\S+)", self.log)
            with contextlib.suppress(urllib.error.URLError):
                if place:
                    self.url = f"{place[1]}/"
                    self.get("readyz")
                    return
            time.sleep(0.1)
        self.process.kill()
        raise TimeoutError(f"the service did not get ready: {self.log}")

    def get(self, path: str) -> str:
        with urllib.request.urlopen(self.url + path, timeout=30) as reply:  # noqa: S310
            return str(reply.read().decode())

    def status(self, path: str, method: str = "GET") -> tuple[int, str]:
        """Status and content type."""
        request = urllib.request.Request(self.url + path, method=method)  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=30) as reply:  # noqa: S310
                return reply.status, str(reply.headers["content-type"])
        except urllib.error.HTTPError as error:
            with error:
                return error.code, str(error.headers["content-type"])

    def encoded(self) -> int:
        """Queries that a model has been shown so far."""
        name = 'inctrl_stage_duration_seconds_count{stage="encode"}'
        for line in self.get("metrics").splitlines():
            if line.startswith(name):
                return int(float(line.split()[-1]))
        return 0

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(30)
