"""What the coreset of anomalib's PatchCore costs and picks, on rows of features.

    python benchmarks/anomalib_coreset.py FEATURES.npy FRACTION OUT.npy

Stands alone, for the environment of `make test-anomalib`: it imports anomalib and nothing of ours.
The indices of the picked rows go to OUT.npy, in the order of picking; one line of JSON to stdout.

seconds        of the library's sampler alone (projection and picking), nothing read or written
peak_bytes     highest resident memory of the whole process
before_bytes   the same just before the sampler: Python, the libraries and the features
"""

import argparse
import json
import os
import random
import resource
import sys
import time
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

SEED = 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("features", type=Path, help="n d, float32")
    parser.add_argument("fraction", type=float, help="share of the rows to keep")
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations of libraries that it imports
        from anomalib.models.components.sampling import KCenterGreedy

    threads = int(os.environ.get("OMP_NUM_THREADS") or torch.get_num_threads())
    torch.set_num_threads(threads)
    random.seed(SEED)
    np.random.seed(SEED)
    torch.manual_seed(SEED)
    rows = torch.from_numpy(np.load(args.features).astype(np.float32, copy=False))
    before = peak_bytes()
    started = time.perf_counter()
    picked = KCenterGreedy(rows, args.fraction).select_coreset_idxs()
    seconds = time.perf_counter() - started
    peak = peak_bytes()
    np.save(args.out, np.array(picked, dtype=np.int64))
    measured = {
        "seconds": seconds,
        "peak_bytes": peak,
        "before_bytes": before,
        "rows": len(rows),
        "picked": len(picked),
        "anomalib": version("anomalib"),
        "torch": version("torch"),
        "threads": torch.get_num_threads(),
        "seed": SEED,
    }
    print(json.dumps(measured))


def peak_bytes() -> int:
    """Highest resident memory of this process so far (Linux counts it in KiB, macOS in bytes)."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


if __name__ == "__main__":
    main()
