"""SIGTERM under load, again and again: no accepted request may go without its whole answer.

    python -m benchmarks.draining [--times 50]

`inctrl serve` with `tiny` over one store that stays. Each time: start, wait until it is ready,
look for every write that was acknowledged before, put it under load, send SIGTERM at a random
moment. The load: detections in an open model and in a closed one over connections that are kept,
and new sets in a closed one.

Lost is a request without its whole reply where
- the service logged it (each request carries an id of its own, and the log has a line of every
  request whose head was read), or
- its connection was made for it: such a one was accepted, log or not.
Not lost is one that was refused a connection, or that found a kept connection closed before its
head was read: HTTP lets the client send it again. 503 is a whole answer, of one not let in.
"""

import argparse
import contextlib
import json
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import numpy as np

from benchmarks.machine import describe
from benchmarks.open_load import Answer, Load, form, request
from benchmarks.service import Service, photograph

LONGEST = 30.0
UNREADY = 1.0
"""Seconds until /readyz must tell; the first answer under full load may take so long."""


@dataclass
class Written:
    """What was acknowledged: sets by name with their version, scores by id."""

    sets: dict[str, int] = field(default_factory=dict)
    scores: list[str] = field(default_factory=list)
    checked: int = 0

    def note(self, answers: list[Answer]) -> None:
        for answer in answers:
            if answer.status == 201:
                reply = json.loads(answer.body)
                self.sets[reply["name"]] = reply["version"]
            elif answer.status == 200:
                reply = json.loads(answer.body)
                self.scores += [result["id"] for result in reply["results"]]

    def missing(self, client: httpx2.Client) -> list[str]:
        """What is not there any more; scores that were checked once are not asked for again."""
        found = {item["name"]: item["version"] for item in pages(client, "/v1/sets")}
        lost = [f"set {name!r}" for name in self.sets if found.get(name) != self.sets[name]]
        new = self.scores[self.checked :]
        self.checked = len(self.scores)
        kept: set[str] = set()
        for score in pages(client, "/v1/scores"):
            kept.add(score["id"])
            if kept.issuperset(new):
                break
        return lost + [f"score {id}" for id in new if id not in kept]


@dataclass(frozen=True)
class Drained:
    """One end of the service."""

    answers: list[Answer]
    logged: frozenset[str]
    code: int
    seconds: float
    unready: float
    """Seconds from the signal until /readyz told; the end, where it never did."""

    @property
    def lost(self) -> list[Answer]:
        return [
            answer
            for answer in self.answers
            if not answer.status
            and answer.error != "refused"
            and (answer.fresh or answer.id in self.logged)
        ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=50)
    parser.add_argument("--rate", type=float, default=40.0, help="open arrivals a second")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    random = np.random.default_rng(args.seed)
    print(f"{describe()}\n{args.times} times, seed {args.seed}", flush=True)
    ends: list[Drained] = []
    faults: list[str] = []
    written = Written()
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "store"
        for turn in range(args.times):
            with Service(store, args.threads) as service:
                if not turn:
                    service.register("part", 4, random)
                faults += [f"turn {turn}: {lost}" for lost in written.missing(service.client)]
                ends.append(end_under_load(service, args.rate, f"t{turn}", random))
            written.note(ends[-1].answers)
            faults += [f"turn {turn}: {fault}" for fault in faults_of(ends[-1])]
            tell(turn, ends[-1])
        with Service(store, args.threads) as service:
            faults += [f"at the end: {lost}" for lost in written.missing(service.client)]
    sys.exit(summary(ends, written, faults))


def end_under_load(
    service: Service, rate: float, name: str, random: np.random.Generator
) -> Drained:
    """Load, the signal at a random moment, and what came of both."""
    answers: list[Answer] = []
    with under_load(service, rate, name, random, answers):
        time.sleep(random.uniform(0.5, 2.5))
        service.process.terminate()
        signalled = time.monotonic()
        unready = until_unready(service.port, signalled)
        code = service.process.wait(2 * LONGEST)
        seconds = time.monotonic() - signalled
    lines = service.log.read_text("utf-8").splitlines()
    logged = frozenset(json.loads(line)["request_id"] for line in lines if line.startswith("{"))
    return Drained(answers, logged, code, seconds, unready)


@contextlib.contextmanager
def under_load(
    service: Service,
    rate: float,
    name: str,
    random: np.random.Generator,
    answers: list[Answer],
) -> Iterator[None]:
    """Three loads at once; their answers are there when the block has ended."""
    pictures = [photograph(random, "JPEG", quality=98) for _ in range(4)]
    query = form({"set": "part"}, [("queries", "q.jpg", pictures[0])])
    seed, over = int(random.integers(1 << 31)), threading.Event()

    def detect(id: str, *, keep: bool = False) -> bytes:
        return request("POST", "/v1/detect", id, *query, keep=keep)

    def create(id: str) -> bytes:
        files = [("images", f"{i}.jpg", picture) for i, picture in enumerate(pictures[1:])]
        return request("POST", "/v1/sets", id, *form({"name": f"set-{id}"}, files))

    def load(kind: str) -> Load:
        make = {"open": detect, "write": create, "kept": lambda id: detect(id, keep=True)}[kind]
        full = f"{name}-{kind}"
        return Load(service.port, make, name=full, bodies=True, stopped=over.is_set)

    works = [
        lambda: load("open").open(rate, LONGEST, seed),
        lambda: load("kept").closed(4, LONGEST, keep=True),
        lambda: load("write").closed(2, LONGEST),
    ]
    threads = [threading.Thread(target=lambda w=work: answers.extend(w())) for work in works]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def until_unready(port: int, signalled: float) -> float:
    """Seconds until /readyz no longer says that it is ready."""
    asking = Load(port, lambda id: request("GET", "/readyz", id), patience=LONGEST)
    while asking.ask(time.perf_counter()).status == 200:
        pass
    return time.monotonic() - signalled


def faults_of(end: Drained) -> list[str]:
    faults = [f"{answer.id} was lost ({answer.error})" for answer in end.lost]
    if end.code:
        faults.append(f"the exit code was {end.code}")
    if end.seconds > LONGEST:
        faults.append(f"the end took {end.seconds:.1f} s")
    if end.unready > UNREADY:
        faults.append(f"/readyz told after {end.unready:.2f} s")
    odd = Counter(a.status for a in end.answers if a.status not in (0, 200, 201, 503))
    return faults + [f"{count} replies with {status}" for status, count in odd.items()]


def tell(turn: int, end: Drained) -> None:
    by = Counter(str(answer.status or answer.error) for answer in end.answers)
    outcomes = ", ".join(f"{count} x {kind}" for kind, count in sorted(by.items()))
    print(
        f"{turn:3}  exit {end.code} after {end.seconds:5.2f} s, unready after "
        f"{1e3 * end.unready:4.0f} ms, {len(end.lost)} lost;  {outcomes}",
        flush=True,
    )


def summary(ends: list[Drained], written: Written, faults: list[str]) -> int:
    """Prints the figures; the exit code."""
    answers = [answer for end in ends for answer in end.answers]
    whole = Counter(answer.status for answer in answers if answer.status)
    refused = sum(answer.error == "refused" for answer in answers)
    unread = sum(not a.status and a.error != "refused" for a in answers)
    lost = sum(len(end.lost) for end in ends)
    print(
        f"\n{len(ends)} ends under load: {sum(whole.values())} whole replies "
        f"({', '.join(f'{n} x {status}' for status, n in sorted(whole.items()))}), "
        f"{refused} refused a connection, {unread - lost} on a kept connection closed unread, "
        f"{lost} accepted and lost\n"
        f"exit within p50 {np.median([end.seconds for end in ends]):.2f} s, "
        f"max {max(end.seconds for end in ends):.2f} s (at most {LONGEST:g}); "
        f"/readyz told within {1e3 * max(end.unready for end in ends):.0f} ms\n"
        f"after the restarts: {len(written.sets)} sets and {len(written.scores)} scores that were "
        f"acknowledged were looked for"
    )
    for fault in faults[:20]:
        print(f"  {fault}")
    print(f"{len(faults)} faults: {'FALLS SHORT' if faults else 'PASS'}", flush=True)
    return 1 if faults else 0


def pages(client: httpx2.Client, path: str) -> Iterator[dict[str, Any]]:
    """All items of a list, page by page."""
    after = ""
    while True:
        query = {"limit": "200", **({"after": after} if after else {})}
        reply = client.get(path, params=query).raise_for_status().json()
        yield from reply["items"]
        if not (after := reply["next_cursor"]):
            return


if __name__ == "__main__":
    main()
