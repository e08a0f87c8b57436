"""A real service for benchmarks: `inctrl serve` in a process of its own, on a free port."""

import io
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import numpy as np
import PIL.Image

START_SECONDS = 60.0


class Service:
    """`inctrl serve` until the block ends; what it says goes to a file, for a pipe would fill."""

    def __init__(self, store: Path, threads: int, *options: str, log: Path | None = None) -> None:
        self.log = log or store.with_name(f"{store.name}.log")
        self._command = [sys.executable, "-m", "inctrl", "serve", "--port", "0"]
        self._command += ["--store", str(store), "--threads", str(threads), *options]
        self._environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}

    def __enter__(self) -> "Service":
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(self._command, stderr=log, env=self._environment)
        try:
            self.url = self._address()
            self.port = int(self.url.rpartition(":")[2])
            self.client = httpx2.Client(base_url=self.url, timeout=60, trust_env=False)
            self._wait_ready()
        except BaseException:
            self.process.kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(30)

    def processes(self) -> list[int]:
        """The service and its children."""
        main = self.process.pid
        listed = Path(f"/proc/{main}/task/{main}/children").read_text().split()
        return [main, *map(int, listed)]

    def memory(self) -> int:
        """Bytes that they hold in memory, what they share counted once for each."""
        total = 0
        for pid in self.processes():
            try:
                pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
            except OSError:  # a decoder that was replaced just now
                continue
            total += int(pages) * os.sysconf("SC_PAGE_SIZE")
        return total

    def register(self, name: str, shots: int, random: np.random.Generator) -> None:
        """A set of so many photographs, prepared by a first query."""
        files = [("images", (f"{i}.png", photograph(random))) for i in range(shots)]
        self.client.post("/v1/sets", data={"name": name}, files=files).raise_for_status()
        query = [("queries", ("q.png", photograph(random)))]
        headers = {"inctrl-deadline": "60"}
        self.client.post(
            "/v1/detect", data={"set": name}, files=query, headers=headers
        ).raise_for_status()

    def _address(self) -> str:
        """What its first line says."""
        for _ in self._tries():
            if found := re.search(r"http://\S+", self.log.read_text("utf-8")):
                return found[0]
        raise SystemExit(f"the service did not start: {self.log.read_text('utf-8')}")

    def _wait_ready(self) -> None:
        for _ in self._tries():
            if self.client.get("/readyz").status_code == 200:
                return
        raise SystemExit(f"the service did not get ready: {self.log.read_text('utf-8')}")

    def _tries(self) -> Iterator[None]:
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end and self.process.poll() is None:
            yield
            time.sleep(0.02)


def photograph(random: np.random.Generator, kind: str = "PNG", **options: int) -> bytes:
    """A smooth field of 320 x 240 with noise, as a file; `options` are the encoder's."""
    coarse = PIL.Image.fromarray(random.integers(90, 150, (6, 8, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((320, 240), PIL.Image.Resampling.BICUBIC), dtype=np.int16)
    noisy = smooth + random.integers(-6, 7, smooth.shape)
    buffer = io.BytesIO()
    PIL.Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(buffer, kind, **options)
    return buffer.getvalue()
