"""What a query of a registered set costs through REST, as a ratio to the bare image tower.

    python -m benchmarks.service_cost [--repeats 200] [--shots 4]

A real service runs in a process of its own, with as many threads as the bare tower has here; both
are timed in turn in one run, one image of 320 x 240 at a time, on a connection that stays open.
Decoding is what the service reports of its child process, the way there and back included;
transport is the same request to a set that does not exist: sent, parsed and refused, without a
model. The rest is what the service itself costs: the wait for the model, the stages that a reply's
`timing` tells, the score in the history (synchronous = FULL) and the reply. What no stage explains
is timing as such. `tower again` times a second bare forward in the same turn: how far two equal
things differ here. The goal is a ratio of 1.3 at most; exit code 1 where it is missed.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import torch

from benchmarks.machine import describe
from benchmarks.query_cost import bare
from benchmarks.service import Service, photograph
from inctrl.backbones import load_backbone
from inctrl.resources import DEFAULT_BACKBONE

GOAL = 1.3
WARM_UP = 20
PAUSE = 0.03
STAGES = {
    "read": "RGB, digest",
    "encode": "resizing, tower, taps",
    "score": "comparison with the shots",
    "map": "map, regions, evidence",
}
Times = dict[str, list[float]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backbone", default=DEFAULT_BACKBONE)
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--shots", type=int, default=4)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    random = np.random.default_rng(0)
    with (
        tempfile.TemporaryDirectory() as folder,
        Service(Path(folder) / "store", args.threads, "--backbone", args.backbone) as service,
    ):
        service.register("part", args.shots, random)
        times = measure(service.client, args.backbone, photograph(random), args.repeats)
    print(
        f"{describe()}\n{args.backbone}, k = {args.shots}, batch 1, {args.repeats} in turn, "
        f"{args.threads} threads, seed 0; p50 (p5-p95)"
    )
    ratio = report(times)
    verdict = "PASS" if ratio <= GOAL else "FALLS SHORT"
    print(f"ratio of the rest to the bare tower: {ratio:.2f} (goal {GOAL} at most): {verdict}")
    sys.exit(0 if ratio <= GOAL else 1)


def measure(client: httpx2.Client, name: str, query: bytes, repeats: int) -> Times:
    """Seconds of everything, in turn so that a busy machine disturbs all alike."""
    backbone: Any = load_backbone(name, device="cpu")
    size = backbone.preprocessing.size
    pixels = torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(0))
    answers: list[httpx2.Response] = []

    def ask(name: str) -> None:
        files = [("queries", ("q.png", query))]
        answers.append(client.post("/v1/detect", data={"set": name}, files=files))

    def tower() -> None:
        with torch.inference_mode():
            # Of two towers, what encodes an image with both.
            bare(backbone, pixels) if name == "tiny" else backbone.encode_images(pixels)

    times: Times = {}
    for repeat in range(repeats + WARM_UP):
        answers.clear()
        measured = {
            "tower": timed(tower),
            "total": timed(lambda: ask("part")),
            "again": timed(tower),
            "transport": timed(lambda: ask("absent")),
        }
        if repeat < WARM_UP:
            continue
        timing: dict[str, float] = answers[0].raise_for_status().json()["results"][0]["timing"]
        for name, seconds in {**measured, **timing}.items():
            times.setdefault(name, []).append(seconds)
    return times


def report(times: Times) -> float:
    """Prints the figures; the ratio."""
    arrays = {name: np.array(seconds) for name, seconds in times.items()}
    rest = arrays["total"] - arrays["transport"] - arrays["decode"]
    unexplained = rest - sum(arrays[name] for name in STAGES)
    lines = [("bare tower", arrays["tower"]), ("tower again", arrays["again"])]
    lines += [("REST, as a client sees it", arrays["total"])]
    lines += [("  decoding", arrays["decode"]), ("  transport", arrays["transport"])]
    lines += [("  the rest", rest)]
    lines += [(f"    {name}: {what}", arrays[name]) for name, what in STAGES.items()]
    lines += [("    not explained by a stage", unexplained)]
    tower = statistics.median(times["tower"])
    for name, seconds in lines:
        low, middle, high = np.percentile(seconds, (5, 50, 95))
        print(
            f"{name:34}{1e3 * middle:7.2f} ms  ({1e3 * low:6.2f} -{1e3 * high:7.2f})"
            f"   {middle / tower:5.2f} towers"
        )
    return float(np.median(rest)) / tower


def timed(call: Callable[[], object]) -> float:
    """Seconds of a call that finds the machine idle: threads of the one before spin for a while."""
    time.sleep(PAUSE)
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
