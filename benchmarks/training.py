"""Time of an epoch of InCTRL's training on cached features: 100 steps of 16 queries.

    python -m benchmarks.training DATA [--sets NAME...] [--shots 2 4 8] [--epochs 5]

Backbone `tiny`; the features are encoded before the clock starts. Prints the seconds of each epoch.
"""

import argparse
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import torch

from benchmarks.machine import describe
from inctrl import Inspector
from inctrl.data.sources import read_data
from inctrl.training.auxiliary import gather
from inctrl.training.fusion import Objective
from inctrl.training.job import Job, run
from inctrl.training.loop import Recipe


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="data sets in a layout that `inctrl data` lists")
    parser.add_argument("--sets", nargs="+", default=["magnetic_tile", "textile_sim"])
    parser.add_argument("--shots", type=int, nargs="+", default=[2, 4, 8])
    parser.add_argument("--epochs", type=int, default=5)
    args = parser.parse_args()
    sets = [s for s in read_data(args.data) if s.name in args.sets]
    auxiliary = gather(sets, None, versions=2, everywhere=True)
    recipe = Recipe(epochs=args.epochs, shots=tuple(args.shots))
    print(
        f"{describe()}; tiny, {len(auxiliary.examples)} examples, {recipe.steps} steps of "
        f"{recipe.batch} queries, shots {args.shots}, seed {recipe.seed}"
    )
    marks = [time.perf_counter()]
    with tempfile.TemporaryDirectory() as work:
        job = Job(Inspector.load("tiny"), auxiliary, recipe, Objective(), Path(work))

        def report(row: dict[str, float]) -> None:
            if "epoch" in row:
                marks.append(time.perf_counter())
            elif row["step"] == 1:
                marks[0] = time.perf_counter()

        run(job, lambda parts, _, __: parts, report)
    seconds = [end - start for start, end in pairwise(marks)]
    seconds[0] *= recipe.steps / (recipe.steps - 1)  # its clock started behind the first step
    print("seconds an epoch: " + ", ".join(f"{s:.1f}" for s in seconds))
    print(
        f"threads {torch.get_num_threads()}, fastest {min(seconds):.1f}, slowest {max(seconds):.1f}"
    )


if __name__ == "__main__":
    main()
