"""A service under more load than it can carry: what is admitted, what is refused, and how fast.

    python -m benchmarks.load [--seconds 60] [--multiples 3 10]

`inctrl serve --threads 1 --batch 1 --deadline 5` and a registered set of 4 shots runs
in a process of its own. On two cores one is left to HTTP; and on a processor a batch of `tiny` is
slower than its images one by one, as its layers fall out of the caches. First the peak:
clients that ask again as soon as they are answered. Then an open model: Poisson arrivals at
multiples of the peak, whether or not replies come, with /livez asked ten times a second by a third
process. The clients share the cores with the service, at the peak as well. Latencies count from
when a request was due. Exit code 1 where a goal is missed.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.machine import describe
from benchmarks.open_load import Answer, Load, form, request
from benchmarks.service import Service, photograph
from inctrl.resources import DEFAULT_BACKBONE

CLIENTS = 24
"""Fewer than the queue holds, and enough for whole batches."""
PICTURES = 8
SETTLE = 3.0
REJECTED, HEALTH, GOODPUT, GROWTH = 0.1, 0.25, 0.9, 0.1


@dataclass(frozen=True)
class Run:
    """What one load made of the service; seconds and bytes."""

    answers: list[Answer]
    health: list[float]
    memory: list[int]
    """Once a second, from the beginning on."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="of each load")
    parser.add_argument("--peak-seconds", type=float, default=25.0)
    parser.add_argument("--multiples", type=float, nargs="+", default=[3.0, 10.0])
    parser.add_argument("--deadline", type=float, default=5.0)
    parser.add_argument("--threads", type=int, default=1, help="of the model's arithmetic")
    parser.add_argument("--batch", type=int, default=1, help="most images encoded at a time")
    parser.add_argument("--backbone", default=DEFAULT_BACKBONE)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    random = np.random.default_rng(args.seed)
    options = [
        "--backbone",
        args.backbone,
        "--batch",
        f"{args.batch}",
        "--deadline",
        f"{args.deadline:g}",
    ]
    print(f"{describe()}\nk = 4, --threads {args.threads} {' '.join(options)}")
    with (
        tempfile.TemporaryDirectory() as folder,
        Service(Path(folder) / "store", args.threads, *options) as service,
    ):
        service.register("part", 4, random)
        load = Load(service.port, Detections(random))
        load.closed(CLIENTS, 5)
        peak = measured_peak(load, args.peak_seconds)
        passed = True
        for number, multiple in enumerate(args.multiples):
            time.sleep(SETTLE)
            seed = args.seed + 1 + number
            print(f"\n{multiple:g} x the peak, open model, {args.seconds:g} s, seed {seed}")
            run = loaded(service, load, multiple * peak, args.seconds, seed)
            passed &= report(run, args.seconds, args.deadline, peak)
        time.sleep(SETTLE)
        print()
        again = measured_peak(load, args.peak_seconds)
        print(f"  {again / peak:.0%} of the first: how steady this machine is")
    sys.exit(0 if passed else 1)


class Detections:
    """Requests with one query each, of different images in turn."""

    def __init__(self, random: np.random.Generator) -> None:
        self._bodies = []
        for _ in range(PICTURES):
            picture = photograph(random, "JPEG", quality=98)
            self._bodies.append(form({"set": "part"}, [("queries", "q.jpg", picture)]))
        self._next = 0

    def __call__(self, id: str) -> bytes:
        self._next += 1
        return request("POST", "/v1/detect", id, *self._bodies[self._next % PICTURES])


def measured_peak(load: Load, seconds: float) -> float:
    """Answers a second with as many clients as keep the service busy."""
    start = time.perf_counter()
    answers = load.closed(CLIENTS, seconds)
    good = [a for a in answers if a.status == 200 and a.due + a.latency <= start + seconds]
    others = Counter(a.status for a in answers if a.status != 200)
    latency = np.percentile([a.latency for a in good], (50, 99)) * 1e3
    print(
        f"peak: {len(good) / seconds:.1f} queries/s in {seconds:g} s of {CLIENTS} clients; "
        f"latency p50 {latency[0]:.0f} ms, p99 {latency[1]:.0f} ms; "
        f"others {dict(others) or 'none'}",
        flush=True,
    )
    return len(good) / seconds


def loaded(service: Service, load: Load, rate: float, seconds: float, seed: int) -> Run:
    """An open load, watched."""
    command = [sys.executable, "-m", "benchmarks.open_load", str(service.port), str(seconds)]
    memory, ended = [service.memory()], threading.Event()

    def watch() -> None:
        while not ended.wait(1.0):
            memory.append(service.memory())

    watching = threading.Thread(target=watch)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as probe:
        watching.start()
        answers = load.open(rate, seconds, seed)
        ended.set()
        watching.join()
        health = json.loads(probe.communicate()[0])
    return Run(answers, health, memory)


def report(run: Run, seconds: float, deadline: float, peak: float) -> bool:
    """Prints the figures against the goals; whether all are met."""
    by_status = Counter(answer.status for answer in run.answers)
    errors = Counter(answer.error for answer in run.answers if not answer.status)
    admitted = latencies(run.answers, 200, 504)
    refused = latencies(run.answers, 429, 503)
    first = run.answers[0].due
    good = [a for a in run.answers if a.status == 200 and a.latency <= deadline]
    goodput = sum(a.due + a.latency <= first + seconds for a in good) / seconds
    lag = np.percentile([answer.lag for answer in run.answers], 99)
    settled = run.memory[min(10, len(run.memory) - 1)]
    growth = run.memory[-1] / settled - 1
    statuses = ", ".join(f"{n} x {status or 'no reply'}" for status, n in sorted(by_status.items()))
    print(f"  offered {len(run.answers)} ({len(run.answers) / seconds:.0f}/s): {statuses}")
    print(f"  admitted {len(admitted)}, {tail(admitted)}")
    print(f"  refused {len(refused)}, {tail(refused)}")
    print(f"  /livez asked {len(run.health)} times, {tail(np.array(run.health))}")
    megabytes = [run.memory[0] / 1e6, settled / 1e6, run.memory[-1] / 1e6]
    print("  memory {:.0f} MB before, {:.0f} after 10 s, {:.0f} at the end".format(*megabytes))
    late = " - THE CLIENTS THEMSELVES WERE LATE" if lag > REJECTED / 2 else ""
    print(f"  the clients began p99 {1e3 * lag:.1f} ms after they were due{late}")
    p99 = [float(np.percentile(times, 99)) for times in (admitted, refused, run.health)]
    goals = {
        f"no request without a reply ({dict(errors) or 'none'})": not errors,
        f"admitted p99 {p99[0]:.2f} s within {deadline:g} s": p99[0] <= deadline,
        f"refused p99 {1e3 * p99[1]:.0f} ms under 100 ms": p99[1] < REJECTED,
        f"/livez p99 {1e3 * p99[2]:.0f} ms under 250 ms": p99[2] < HEALTH and min(run.health) >= 0,
        f"goodput {goodput:.1f}/s, {goodput / peak:.1%} of the peak, at least 90 %": (
            goodput >= GOODPUT * peak
        ),
        f"memory growth {growth:.1%} under 10 %": growth < GROWTH,
    }
    for goal, met in goals.items():
        print(f"    {'PASS       ' if met else 'FALLS SHORT'} {goal}", flush=True)
    return all(goals.values())


def latencies(
    answers: list[Answer], *statuses: int
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Seconds of those that were answered so."""
    found = [answer.latency for answer in answers if answer.status in statuses]
    return np.array(found or [0.0])


def tail(seconds: np.ndarray[tuple[int], np.dtype[np.float64]]) -> str:
    p50, p99, most = np.percentile(seconds, (50, 99, 100)) * 1e3
    return f"p50 {p50:.0f} ms, p99 {p99:.0f} ms, max {most:.0f} ms"


if __name__ == "__main__":
    main()
