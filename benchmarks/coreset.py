"""What a coreset costs: ours, anomalib's sampler, and the loop of the released PatchCore.

    python -m benchmarks.coreset [--anomalib PYTHON] [--rows 20000] [--channels 1024]
    python -m benchmarks.coreset --rows 500000 --channels 512 --fraction 0.002 --only ours

All are run in turn, each in a process of its own on the same file of rows (seed 0), so that the
peak memory is that of one sampler. PYTHON is the interpreter of the environment that
`make test-anomalib` makes. The covering radius is measured on the rows as given, not projected;
`sampler memory` is the peak above what the process held just before. anomalib's loop allocates two
sizes in turn, which can break up the heap until nothing is left; a run that needs more than --limit
is ended and counted.
"""

import argparse
import json
import resource
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
from inctrl.maths.coreset import covering_radius, project, random_projection
from inctrl.memory import STARTS, Thinning

SEED = 0
CLUSTERS = 200
"""The rows lie around so many centres, as the patches of an image do."""


def main() -> None:
    args = parse()
    if args.worker:
        print(json.dumps(work(args.worker, args.file, args.fraction, args.out)))
        return
    names = args.only or ["ours", "released", *(["anomalib"] if args.anomalib else [])]
    print(
        f"{describe()}\n{args.rows} x {args.channels} rows, fraction {args.fraction:g}, "
        f"seed {SEED}, {args.repeats} runs in turn\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "rows.npy")
        np.save(file, make_rows(args.rows, args.channels))
        runs: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
        for _ in range(args.repeats):
            for name in names:
                measured = run(name, file, args, Path(folder, f"{name}.npy"))
                if measured:
                    runs[name].append(measured)
        rows = torch.from_numpy(np.load(file))
        for name in names:
            if len(runs[name]) < args.repeats:
                print(f"{name}: {args.repeats - len(runs[name])} of {args.repeats} runs ended")
            picks = torch.from_numpy(np.load(Path(folder, f"{name}.npy")))
            radius = float("nan") if args.rows > 100_000 else covering_radius(rows, picks)
            print(line(name, runs[name], runs[names[0]], radius))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--channels", type=int, default=1024)
    parser.add_argument("--fraction", type=float, default=0.1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--limit", type=float, default=12, help="GiB of address space a run may use"
    )
    parser.add_argument("--anomalib", metavar="PYTHON")
    parser.add_argument("--only", nargs="+", choices=("ours", "released", "anomalib"))
    for name, kind in (("--worker", str), ("--file", Path), ("--out", Path)):
        parser.add_argument(name, type=kind, help=argparse.SUPPRESS)
    return parser.parse_args()


def make_rows(n: int, d: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    random = np.random.default_rng(SEED)
    centres = random.standard_normal((CLUSTERS, d), dtype=np.float32)
    rows = random.standard_normal((n, d), dtype=np.float32)
    rows += centres[random.integers(CLUSTERS, size=n)]
    return rows


def run(name: str, file: Path, args: argparse.Namespace, out: Path) -> dict[str, Any] | None:
    """What a run measured; None where it came to the memory limit."""
    if name == "anomalib":
        script = str(Path(__file__).with_name("anomalib_coreset.py"))
        command = [args.anomalib, script, str(file), str(args.fraction), str(out)]
    else:
        command = [sys.executable, "-m", "benchmarks.coreset", "--worker", name]
        command += ["--file", str(file), "--fraction", str(args.fraction), "--out", str(out)]
    limit = int(args.limit * 2**30)
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
    )
    if "allocate memory" in done.stderr:
        return None
    if done.returncode:
        raise SystemExit(f"{name} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    measured: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return measured


def work(name: str, file: Path, fraction: float, out: Path) -> dict[str, Any]:
    rows = torch.from_numpy(np.load(file))
    before = peak_bytes()
    started = time.perf_counter()
    if name == "ours":
        picks = Thinning(fraction, seed=SEED).pick(rows)
        if picks is None:
            raise SystemExit("a fraction that keeps every row leaves nothing to measure")
    else:
        picks = released(rows, fraction)
    seconds = time.perf_counter() - started
    np.save(out, picks.numpy())
    return {"seconds": seconds, "peak_bytes": peak_bytes(), "before_bytes": before}


def released(rows: Tensor, fraction: float) -> Tensor:
    """The release's approximate sampler: every pick computes all norms again and takes roots.

    Restated from what it does (amazon-science/patchcore-inspection at fcaa92f); projection and
    start points are drawn as ours are.
    """
    generator = torch.Generator().manual_seed(SEED)
    points = project(rows, random_projection(128, rows.shape[1], generator))
    starts = torch.randperm(len(points), generator=generator)[:STARTS]
    reach = distances(points, points[starts]).mean(dim=1, keepdim=True)
    picks = []
    for _ in range(int(fraction * len(points))):
        pick = int(reach.argmax())
        picks.append(pick)
        reach = torch.cat([reach, distances(points, points[pick : pick + 1])], dim=1)
        reach = reach.min(dim=1).values[:, None]
    return torch.tensor(picks)


def distances(a: Tensor, b: Tensor) -> Tensor:
    """n d, m d -> n m, each row's norm by a product of its own."""
    squares = [x[:, None].bmm(x[:, :, None]).view(-1) for x in (a, b)]
    return (squares[0][:, None] + squares[1] - 2 * a @ b.T).clamp_min(0).sqrt()


def line(name: str, runs: list[dict[str, Any]], ours: list[dict[str, Any]], radius: float) -> str:
    seconds = sorted(r["seconds"] for r in runs)
    ratio = statistics.median(r["seconds"] for r in runs) / statistics.median(
        r["seconds"] for r in ours
    )
    peak = max(r["peak_bytes"] for r in runs)
    own = max(r["peak_bytes"] - r["before_bytes"] for r in runs)
    version = f" {runs[0]['anomalib']}, torch {runs[0]['torch']}" if "anomalib" in runs[0] else ""
    return (
        f"{name:9} {statistics.median(seconds):7.2f} s ({seconds[0]:.2f} to {seconds[-1]:.2f})   "
        f"{ratio:5.1f} x ours   covering radius {radius:.3f}   "
        f"sampler memory {own / 2**20:6.0f} MiB (process {peak / 2**20:.0f} MiB){version}"
    )


if __name__ == "__main__":
    main()
