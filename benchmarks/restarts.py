"""Kill -9 of the whole service during mixed writes, again and again over one store.

    python -m benchmarks.restarts [--times 20] [--seed 0]

Each time: start `inctrl serve` (tiny), wait until /readyz says 200, look for every write that was
acknowledged in all rounds before, check the store (`/v1/verify`), put three writers to work over
`inctrl.Client` (sets, further images, false alarms and their undoing, confirmed defects, detections
with their scores), and kill the process at a random moment. Goals: nothing acknowledged is lost,
nothing is damaged, ready within 10 s of the start. `benchmarks.durability` does the same 200 times
to the store alone, with denser writes.
"""

import argparse
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from benchmarks.machine import describe
from benchmarks.service import Service, photograph
from inctrl import Client, InctrlError

GOAL = 10.0
WRITERS = 3


class Notes:
    """What was acknowledged; writers note it when the reply is there."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.versions: dict[str, dict[int, str]] = {}
        self.scores: set[str] = set()
        self.feedback: set[str] = set()

    def version(self, name: str, number: int, digest: str) -> None:
        with self.lock:
            self.versions.setdefault(name, {})[number] = digest

    @property
    def count(self) -> int:
        return sum(map(len, self.versions.values())) + len(self.scores) + len(self.feedback)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    random, notes = np.random.default_rng(args.seed), Notes()
    starts: list[float] = []
    faults: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        for round in range(args.times + 1):
            began = time.monotonic()
            with Service(Path(folder, "store"), 1) as service:
                starts.append(time.monotonic() - began)
                faults += missing(service.url, notes)
                if round == args.times:
                    break
                with writers(service.url, notes, args.seed * 1000 + round):
                    time.sleep(float(random.uniform(0.2, 4.0)))
                    service.process.kill()
                    service.process.wait()
    print(f"{describe()}\n{args.times} kills of the service, seed {args.seed}, {WRITERS} writers")
    print(f"acknowledged writes {notes.count}, lost or damaged {len(faults)}")
    print(f"ready after {np.median(starts):.1f} s, at most {max(starts):.1f} s (goal {GOAL:g})")
    for fault in faults[:20]:
        print(f"  {fault}")
    sys.exit(bool(faults) or max(starts) > GOAL)


def missing(url: str, notes: Notes) -> list[str]:
    """What was acknowledged and is not there, and what the store finds damaged."""
    found = []
    with Client(url, timeout=120) as client:
        for name, versions in notes.versions.items():
            for number, digest in versions.items():
                try:
                    kept = client.set(name, number).digest
                except InctrlError as error:
                    kept = str(error)
                if kept != digest:
                    found.append(f"{name}@{number}: {kept}")
        scores = {score.id for score in client.scores()}
        found += [f"score {id}" for id in notes.scores - scores]
        known = {remark.id for name in notes.versions for remark in client.feedback(name)}
        found += [f"feedback {id}" for id in notes.feedback - known]
        found += [f"{fault.what}: {fault.detail}" for fault in client.verify().faults]
    return found


@contextmanager
def writers(url: str, notes: Notes, seed: int) -> Iterator[None]:
    """Writers at work until the service is gone."""
    threads = [
        threading.Thread(target=write, args=(url, notes, seed * WRITERS + number))
        for number in range(WRITERS)
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for thread in threads:
            thread.join()


def write(url: str, notes: Notes, seed: int) -> None:
    """One write after the other, until one fails because the service was killed."""
    random, name = np.random.default_rng(seed), f"set-{seed}"
    with Client(url, timeout=30, retries=0) as client:
        try:
            made = client.create_set(name, [photograph(random) for _ in range(2)])
            notes.version(name, made.version, made.digest)
            while True:
                step(client, notes, name, random)
        except InctrlError:
            return


def step(client: Client, notes: Notes, name: str, random: np.random.Generator) -> None:
    """A random write, and a note once it is acknowledged."""
    choice, picture = int(random.integers(5)), photograph(random)
    if choice <= 1:
        made = client.add_images(name, [picture])
        notes.version(name, made.version, made.digest)
    elif choice == 2:
        outcomes = client.detect([picture], set=name).results
        notes.scores |= {str(one.id) for one in outcomes if one.status == "scored"}
    elif choice == 3:
        notes.feedback.add(client.confirm_defect(name, picture).id)
    else:
        remark = client.false_alarm(name, picture)
        notes.feedback.add(remark.id)
        if random.integers(2):
            client.undo(remark.id)


if __name__ == "__main__":
    main()
