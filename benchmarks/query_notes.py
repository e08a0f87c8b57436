"""How often is a query said to look unlike the shots, as a photograph? Set by set, no backbone run.

    python -m benchmarks.query_notes DATA [--shots 1 2 4 8] [--seeds 20] [--sets A B]

For each seed k shots are drawn; the share of images with the note (inctrl/inspection/looks.py) is
that of clean normal images, of anomalous ones, and of normal ones after each corruption.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from benchmarks.corruptions import KINDS, corrupted
from benchmarks.machine import describe
from inctrl import Inspector
from inctrl.data.categories import Category
from inctrl.data.sources import read_data
from inctrl.images import Image
from inctrl.inspection.looks import Looks

COLUMNS = ("clean", "anomalous", *(kind for kind in KINDS if kind != "clean"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--backbone", default="tiny")
    parser.add_argument("--shots", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--sets", nargs="*", help="names of the sets (default: all)")
    args = parser.parse_args()
    inspector = Inspector.load(args.backbone, cache="off")
    print(f"{describe()}\nseeds 0-{args.seeds - 1}; images with the note, per cent")
    found: dict[int, dict[str, list[float]]] = {k: {} for k in args.shots}
    for data in read_data(args.data):
        if not args.sets or data.name in args.sets:
            figures = {column: seen(inspector, data, column) for column in COLUMNS}
            for k in args.shots:
                found[k][data.name] = shares(inspector, data, figures, k, args.seeds)
    for k, rows in found.items():
        print(f"\nk = {k}\n\n| set | {' | '.join(COLUMNS)} |\n|{'---|' * (1 + len(COLUMNS))}")
        for name, row in (*rows.items(), ("**mean**", np.mean(list(rows.values()), axis=0))):
            print(f"| {name} | {' | '.join(f'{share:.1f}' for share in row)} |")


def seen(inspector: Inspector, data: Category, column: str) -> list[dict[str, float]]:
    """The figures of the images of a column."""
    bad = column == "anomalous"
    images = [sample.image.open() for sample in data.test if sample.anomalous == bad]
    kind, looks = "clean" if bad else column, looks_of(inspector, ())
    return [looks.figures(corrupted(image, kind)) for image in images]


def looks_of(inspector: Inspector, shots: tuple[Image, ...]) -> Looks:
    return Looks(shots, inspector.backbone.preprocessing, inspector.view)


def shares(
    inspector: Inspector,
    data: Category,
    figures: Mapping[str, list[dict[str, float]]],
    k: int,
    seeds: int,
) -> list[float]:
    """Per cent by column, the mean over the seeds."""
    rows = []
    for seed in range(seeds):
        shots = tuple(data.train[i].open() for i in data.draw(k, seed))
        looks = looks_of(inspector, shots)
        rows.append([np.mean([bool(looks.unlike(one)) for one in figures[c]]) for c in COLUMNS])
    means: list[float] = (100 * np.mean(rows, axis=0)).tolist()
    return means


if __name__ == "__main__":
    main()
