"""PaDiM without inverting a covariance: time, memory and distances against the plain way.

    python -m benchmarks.padim [--positions 3136] [--channels 550] [--shots 4]

Plain: at each position the d x d covariance + eps I, its inverse in float32, x^T S^-1 x, as
released. Ours: maths/gaussian.py. Each runs in a process of its own on the same samples (seed 0),
one query; memory is the peak above what the process held just before. The reference for both sets
of distances is the plain way in float64, at a hundred positions.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.anomalib_coreset import peak_bytes
from benchmarks.machine import describe
from inctrl.maths.gaussian import fit_gaussians, mahalanobis

SEED, EPS, CHECKED = 0, 0.01, 100


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--positions", type=int, default=3136)
    parser.add_argument("--channels", type=int, default=550)
    parser.add_argument("--shots", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--worker", choices=("ours", "plain"), help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        print(json.dumps(work(args)))
        return
    print(
        f"{describe()}\n{args.positions} positions x {args.channels} channels, k = {args.shots}, "
        f"seed {SEED}, {args.repeats} runs in turn\n"
    )
    runs: dict[str, list[dict[str, Any]]] = {"ours": [], "plain": []}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(args.repeats):
            for name, kept in runs.items():
                kept.append(run(name, args, Path(folder, f"{name}.npy")))
        found = {name: np.load(Path(folder, f"{name}.npy")) for name in runs}
    samples, query = data(args)
    exact = plain(samples[:, :CHECKED].double(), query[:CHECKED].double()).numpy()
    for name, kept in runs.items():
        seconds = {part: statistics.median(r[part] for r in kept) for part in ("fit", "score")}
        error = np.abs(found[name][:CHECKED] - exact).max() / exact.max()
        print(
            f"{name:6} fit {seconds['fit']:8.3f} s   score {1e3 * seconds['score']:8.1f} ms   "
            f"memory {max(r['bytes'] for r in kept) / 2**20:7.0f} MiB   error {error:.1e}"
        )
    time_ratio = statistics.median(
        (p["fit"] + p["score"]) / (o["fit"] + o["score"])
        for o, p in zip(runs["ours"], runs["plain"], strict=True)
    )
    memory_ratio = max(r["bytes"] for r in runs["plain"]) / max(r["bytes"] for r in runs["ours"])
    difference = np.abs(found["ours"] - found["plain"]).max() / found["plain"].max()
    print(
        f"\nplain / ours: time {time_ratio:.0f}, memory {memory_ratio:.0f}; "
        f"largest difference of distances {difference:.1e} of the largest"
    )


def run(name: str, args: argparse.Namespace, out: Path) -> dict[str, Any]:
    sizes = [f"--{n}={getattr(args, n)}" for n in ("positions", "channels", "shots")]
    command = [sys.executable, "-m", "benchmarks.padim", *sizes, "--worker", name]
    command += ["--out", str(out)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    measured: dict[str, Any] = json.loads(done.stdout)
    return measured


def data(args: argparse.Namespace) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(SEED)
    drawn = torch.randn(args.shots + 1, args.positions, args.channels, generator=generator)
    return drawn[:-1], drawn[-1]


def work(args: argparse.Namespace) -> dict[str, float]:
    samples, query = data(args)
    mahalanobis(query[None, :2], fit_gaussians(samples[:, :2], EPS))  # the libraries are loaded
    before = peak_bytes()
    started = time.perf_counter()
    if args.worker == "ours":
        fitted = fit_gaussians(samples, EPS)
        prepared = time.perf_counter()
        distances = mahalanobis(query[None], fitted)[0]
    else:
        mean, inverse = invert(samples)
        prepared = time.perf_counter()
        distances = against(query, mean, inverse)
    ended = time.perf_counter()
    np.save(args.out, distances.numpy())
    return {"fit": prepared - started, "score": ended - prepared, "bytes": peak_bytes() - before}


def plain(samples: Tensor, query: Tensor) -> Tensor:
    return against(query, *invert(samples))


def invert(samples: Tensor) -> tuple[Tensor, Tensor]:
    """k p d -> mean p d, inverse covariances p d d, one position after the other."""
    k, p, d = samples.shape
    mean = samples.mean(dim=0)
    inverse = samples.new_empty(p, d, d)
    ridge = EPS * torch.eye(d, dtype=samples.dtype)
    for i in range(p):
        z = samples[:, i] - mean[i]
        inverse[i] = torch.linalg.inv(z.T @ z / max(k - 1, 1) + ridge)
    return mean, inverse


def against(query: Tensor, mean: Tensor, inverse: Tensor) -> Tensor:
    offset = query - mean
    return (offset[:, None] @ inverse @ offset[:, :, None])[:, 0, 0].clamp_min(0).sqrt()


if __name__ == "__main__":
    main()
