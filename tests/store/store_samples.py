"""Pictures and small disks for the tests of the store."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from inctrl.images import Picture
from inctrl.store import ScoreRecord

ENV = "/usr/bin/env"
"""Finds the command as a shell would."""


def picture(seed: int, name: str = "", side: int = 12) -> Picture:
    """An image that differs from that of every other seed."""
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    return Picture(pixels, name or f"{seed}.png")


def pictures(*seeds: int) -> list[Picture]:
    return [picture(seed) for seed in seeds]


def score(id: str, created: str = "2026-01-01T00:00:00+00:00", **changes: object) -> ScoreRecord:
    values = {
        "set": "bottle",
        "version": 1,
        "item": "bottle",
        "query_sha256": "0" * 64,
        "query_name": "query.png",
        "score": 0.5,
        "threshold": 0.4,
        "p_value": 0.01,
        "verdict": "anomalous",
        "identity": {"backbone": "tiny"},
        "calibration": {"scores": [0.1, 0.2]},
    }
    return ScoreRecord(id, created, **{**values, **changes})  # type: ignore[arg-type]


@contextlib.contextmanager
def small_disk(folder: Path, megabytes: int = 4) -> Iterator[Path]:
    """A tmpfs at `folder`; the test is skipped where none may be mounted."""
    folder.mkdir()
    options = f"size={megabytes}m"
    mounted = subprocess.run(
        [ENV, "mount", "-t", "tmpfs", "-o", options, "inctrl-test", str(folder)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("a small disk takes the rights to mount a tmpfs")
    try:
        yield folder
    finally:
        subprocess.run([ENV, "umount", "-l", str(folder)], check=False)


def fill(disk: Path) -> Path:
    """Leave no byte free; gives the file to remove."""
    ballast = disk / "ballast"
    with contextlib.suppress(OSError), ballast.open("ab", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    return ballast
