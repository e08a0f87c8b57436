"""SIGKILL at random points: what was acknowledged is there, and nothing is torn.

A smaller share of `python -m benchmarks.durability`, by the same writers.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from store_samples import pictures

from inctrl.store import open_store
from inctrl.store.verify import orphans, verify

REPOSITORY = Path(__file__).resolve().parents[2]
WRITER = """
import os, sys
from pathlib import Path
from benchmarks.durability_writer import write_until_killed
write_until_killed(Path(sys.argv[1]), sys.argv[2], 1)
"""
PUT = """
import os, sys
from pathlib import Path
import inctrl.store.blobs
from inctrl.store import open_store
from store_samples import pictures
store = open_store(Path(sys.argv[1]))
step, kill = int(sys.argv[2]), lambda *_: os.kill(os.getpid(), 9)
calls = []
for name in ("fsync", "replace"):
    real = getattr(os, name)
    def counted(*args, real=real):
        calls.append(name)
        return kill() if len(calls) == step else real(*args)
    setattr(os, name, counted)
store.sets.add("bottle", pictures(2, 3))
"""


@pytest.fixture
def environment() -> dict[str, str]:
    paths = [str(REPOSITORY), str(Path(__file__).parent), *sys.path]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def test_every_acknowledged_write_outlasts_the_kill(
    tmp_path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(REPOSITORY))
    from benchmarks.durability_writer import Expected

    rounds, written = [], 0
    for kill, seconds in enumerate((0.02, 0.05, 0.1, 0.15, 0.3)):
        writers = [
            subprocess.Popen(
                [sys.executable, "-c", WRITER, str(tmp_path), f"{kill}-{i}"],
                stdout=subprocess.PIPE,
                env=environment,
            )
            for i in range(2)
        ]
        assert writers[0].stdout is not None
        first = writers[0].stdout.readline()  # it is at work
        time.sleep(seconds)
        for writer in writers:
            writer.kill()
        given = [writer.communicate()[0].split(b"\n")[:-1] for writer in writers]
        assert [writer.returncode for writer in writers] == [-signal.SIGKILL] * 2
        lines = [[json.loads(line) for line in lines] for lines in ([first, *given[0]], given[1])]
        rounds.append(Expected.of(lines))
        written += rounds[-1].written
        with open_store(tmp_path) as store:
            for expected in rounds:
                assert list(expected.missing(store)) == []
            assert verify(store) == ()
    assert written > 20


@pytest.mark.parametrize("step", range(1, 9))
def test_a_kill_at_any_step_of_writing_images_leaves_at_worst_unused_files(
    tmp_path: Path, environment: dict[str, str], step: int
) -> None:
    """Of each of two images: sync its folder's parent, sync it, rename, sync its folder."""
    images, within = divmod(step - 1, 4)
    left = images + (within > 0)
    with open_store(tmp_path) as store:
        before = store.sets.create("bottle", pictures(1))
    ended = subprocess.run(
        [sys.executable, "-c", PUT, str(tmp_path), str(step)], env=environment, check=False
    )
    assert ended.returncode == -signal.SIGKILL
    with open_store(tmp_path) as store:
        assert store.sets.versions("bottle") == (before,)
        assert verify(store) == ()
        assert len(orphans(store)) == left
        assert store.sweep(older_than=0) == left
        assert orphans(store) == ()
        assert len(store.sets.add("bottle", pictures(2, 3)).shots) == 3
