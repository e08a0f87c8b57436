"""What the store keeps when its writers are killed, when many write at once, and on a full disk.

    python -m benchmarks.durability [--kills 200] [--seed 0] [--folder DIR]

Kills: three processes write all that a store holds, each telling what it begins and what was
acknowledged. After a random time all get SIGKILL; then the store is opened, verified, and every
acknowledged write looked for. One kill in ten hits the making of a new store. The full disk is a
tmpfs of 16 MB, which takes the rights to mount one. Ends with 1 where a promise is broken.
"""

import argparse
import contextlib
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.durability_writer import Expected, Line, noise, write_until_killed
from benchmarks.machine import describe
from inctrl.errors import NoSpace
from inctrl.files.whole import PARTIAL
from inctrl.images import Picture, stored_digest
from inctrl.store import Store, open_store
from inctrl.store.verify import orphans, verify

WRITERS = 3
LONGEST = 0.4
"""Seconds after which the writers are killed at the latest."""
FRESH = 0.05
"""The same where they make a new store."""
ADDERS, ADDS = 8, 50


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="a folder on the disk to try")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        folder = Path(name)
        print(f"{describe()}\nfsync of 4 kB: {1e3 * fsync_seconds(folder):.2f} ms; ", end="")
        print(f"seed {args.seed}\n", flush=True)
        faults = kills(folder, args.kills, args.seed) + adds(folder, args.seed)
        faults += full_disk(args.seed)
    for fault in faults:
        print(f"BROKEN: {fault}")
    sys.exit(1 if faults else 0)


def kills(folder: Path, count: int, seed: int) -> list[str]:
    """SIGKILL for all writers, `count` times; what was broken, in words."""
    rng = random.Random(seed)  # noqa: S311
    rounds, ready, faults = list[Expected](), list[float](), list[str]()
    cut_short = 0
    for kill in range(count):
        fresh = kill % 10 == 5
        store_folder = folder / (f"fresh-{kill}" if fresh else "kills")
        reported = killed_after(
            store_folder, rng.uniform(0, FRESH if fresh else LONGEST), f"{seed}-{kill}"
        )
        expected = Expected.of(reported)
        cut_short += sum(bool(lines) and lines[-1]["do"].startswith("begin") for lines in reported)
        started = time.perf_counter()
        with open_store(store_folder) as store:
            store.sets.list()
            ready.append(time.perf_counter() - started)
            faults += [f"kill {kill}: {fault}" for fault in expected.missing(store)]
            faults += [f"kill {kill}: {finding}" for finding in verify(store)]
        rounds.append(expected if not fresh else Expected(written=expected.written))
    with open_store(folder / "kills") as store:
        faults += [f"at the end: {fault}" for round in rounds for fault in round.missing(store)]
        print(
            f"{count} kills of {WRITERS} writers: {sum(r.written for r in rounds)} acknowledged "
            f"writes, {cut_short} cut short, {len(faults)} faults\n"
            f"  open and first read after a kill: p50 {1e3 * statistics.median(ready):.1f} ms, "
            f"max {1e3 * max(ready):.1f} ms\n"
            f"  at the end {len(store.referenced())} files in use, {len(orphans(store))} unused",
            flush=True,
        )
    return faults


def killed_after(folder: Path, seconds: float, seed: str) -> list[list[Line]]:
    """What each writer reported until it was killed."""
    children = [Child(partial(write_until_killed, folder, f"{seed}-{i}")) for i in range(WRITERS)]
    time.sleep(seconds)
    for child in children:
        os.kill(child.pid, signal.SIGKILL)
    reported = []
    for child in children:
        lines, status = child.ended()
        reported.append([json.loads(line) for line in lines])
        if not os.WIFSIGNALED(status):
            reported[-1].append({"do": "failed", "name": f"a writer ended with {status}"})
    return reported


class Child:
    """A forked process that runs `work` with a pipe to write lines to."""

    def __init__(self, work: Callable[[int], object]) -> None:
        ours, theirs = os.pipe()
        sys.stdout.flush()
        self.pid = os.fork()
        if not self.pid:
            code = 1
            try:
                work(theirs)
                code = 0
            except BaseException as error:
                print(f"child: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
            finally:
                os._exit(code)
        os.close(theirs)
        self._pipe = ours

    def ended(self) -> tuple[list[bytes], int]:
        """Its whole lines and its status, when it has ended."""
        with os.fdopen(self._pipe, "rb") as pipe:
            lines = pipe.read().split(b"\n")[:-1]
        return lines, os.waitpid(self.pid, 0)[1]


def adds(folder: Path, seed: int) -> list[str]:
    """Many processes add to one set; the versions must be dense and hold every image."""
    with open_store(folder / "adds") as store:
        store.sets.create(
            "one", [Picture(noise(np.random.default_rng([seed, ADDERS]), 32), "first.png")]
        )
    started = time.perf_counter()
    children = [Child(partial(add, folder / "adds", [seed, i])) for i in range(ADDERS)]
    reported, statuses = zip(*(child.ended() for child in children), strict=True)
    seconds = time.perf_counter() - started
    acknowledged = [tuple(json.loads(line)) for lines in reported for line in lines]
    with open_store(folder / "adds") as store:
        numbers = [version.version for version in store.sets.versions("one")]
        held = {shot.sha256 for shot in store.sets.get("one").shots}
        faults = [f"adds: {finding}" for finding in verify(store)]
    given = sorted(version for version, _ in acknowledged)
    if numbers != list(range(1, ADDERS * ADDS + 2)) or given != numbers[1:]:
        faults.append(f"adds: {len(numbers)} versions up to {numbers[-1]} after {len(given)} adds")
    lost = {sha256 for _, sha256 in acknowledged} - held
    if lost or any(statuses):
        faults.append(f"adds: {len(lost)} lost updates, processes ended with {statuses}")
    print(
        f"{ADDERS} processes x {ADDS} adds to one set: {len(set(given))} versions given, "
        f"{given[0]} to {given[-1]}; {len(lost)} lost updates; "
        f"{len(acknowledged) / seconds:.0f} adds/s, slowest process {seconds:.1f} s",
        flush=True,
    )
    return faults


def add(folder: Path, seed: list[int], out: int) -> None:
    rng = np.random.default_rng(seed)
    with open_store(folder) as store:
        for i in range(ADDS):
            picture = Picture(noise(rng, 32), f"{seed[1]}-{i}.png")
            version = store.sets.add("one", [picture])
            os.write(out, json.dumps([version.version, stored_digest(picture)]).encode() + b"\n")


def full_disk(seed: int) -> list[str]:
    """A small disk filled to the last byte by images, then by rows."""
    with tempfile.TemporaryDirectory() as name:
        mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "inctrl-durability", name]
        if subprocess.run(mount, capture_output=True).returncode:
            print("full disk: not run, as it takes the rights to mount a tmpfs")
            return []
        try:
            return filled(Path(name), np.random.default_rng(seed))
        finally:
            subprocess.run(["umount", "-l", name], check=False)  # noqa: S607


def filled(disk: Path, rng: np.random.Generator) -> list[str]:
    faults = []
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(3_000_000))
    store = open_store(disk / "store")
    latest = store.sets.create("full", [Picture(noise(rng, 100), "first.png")])
    by_images = until_full(lambda: store.sets.add("full", [Picture(noise(rng, 100), "more.png")]))
    with contextlib.suppress(OSError), (disk / "rest").open("wb", buffering=0) as rest:
        while True:
            rest.write(bytes(4096))
    by_rows = until_full(lambda: store.jobs.add("folder", {"x": "x" * 100_000}))
    jobs = len(store.jobs.list(limit=10_000))
    for reported in (by_images, by_rows):
        print(f"full disk after {reported[0]} writes: {reported[1]}")
    latest = store.sets.get("full")
    read_code = (
        "import sys; from inctrl.store import open_store; s = open_store(sys.argv[1]);"
        "print(len(s.sets.pictures(s.sets.get('full'))))"
    )
    other = subprocess.run(
        [sys.executable, "-c", read_code, str(disk / "store")], capture_output=True, text=True
    )
    readable = (len(store.sets.pictures(latest)), other.stdout.strip())
    if readable != (by_images[0] + 1, str(by_images[0] + 1)) or jobs != by_rows[0]:
        faults.append(f"full disk: {readable} images, {jobs} jobs can be read; {other.stderr}")
    faults += [f"full disk: {finding}" for finding in (*verify(store), *temporary(store))]
    ballast.unlink()
    added = store.sets.add("full", [Picture(noise(rng, 100), "after.png")])
    store.jobs.add("folder", {})
    if len(added.shots) != len(latest.shots) + 1 or added.version != latest.version + 1:
        faults.append(f"full disk: {added.version} after {latest.version} when space was freed")
    faults += [f"after the full disk: {finding}" for finding in verify(store)]
    store.close()
    print(
        f"  {readable[0]} images read while full, by a new process too; with space freed the same "
        f"open store goes on with version {added.version}",
        flush=True,
    )
    return faults


def until_full(write: Callable[[], object]) -> tuple[int, str]:
    """How many writes went well, and what was reported then."""
    for count in range(10_000):
        try:
            write()
        except NoSpace as error:
            return count, str(error)
    raise AssertionError("the disk does not fill")


def temporary(store: Store) -> list[str]:
    return [finding.what for finding in orphans(store) if finding.what.endswith(PARTIAL)]


def fsync_seconds(folder: Path) -> float:
    times = []
    with (folder / "probe").open("wb") as file:
        for _ in range(50):
            started = time.perf_counter()
            file.write(bytes(4096))
            file.flush()
            os.fsync(file.fileno())
            times.append(time.perf_counter() - started)
    return statistics.median(times)


if __name__ == "__main__":
    main()
