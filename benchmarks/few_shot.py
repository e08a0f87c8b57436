"""Image and pixel AUROC at k = 1, 2, 4, 8 on labelled sets, one fixed configuration for all.

    python -m benchmarks.few_shot DATA [--backbone tiny] [--option KEY=VALUE] [--json FILE]

Shots of a seed are the first k of numpy.random.default_rng(seed).permutation(n) over the sorted
files of train/good. Figures are means over the seeds, +- their standard deviation.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from benchmarks.machine import describe
from inctrl import Inspector
from inctrl.data.categories import Category, read_mask
from inctrl.data.sources import read_data
from inctrl.images import develop, shared_window

SHOTS = (1, 2, 4, 8)
LIGHT = ("textile_sim", "mnist_3", "mnist_7")
"""A simulated texture and two digits decide the plain mean; the second mean goes without."""


def main() -> None:
    args = parse()
    options = dict(pair.split("=", 1) for pair in args.option)
    inspector = Inspector.load(args.backbone, options=options, cache=args.cache, fit=args.fit)
    print(
        f"{describe()}\nbackbone {inspector.backbone.name}, detector {inspector.detector.name} "
        f"{dict(inspector.detector.options)}, seeds 0-{args.seeds - 1}\n"
    )
    table: dict[str, NDArray[np.float64]] = {}
    for data in read_data(args.data):
        image, pixel = evaluate(inspector, data, args.seeds, pixels=not args.no_pixels)
        table[data.name] = image
        print(row(data.name, image))
        if pixel is not None:
            print(row("  pixel AUROC", pixel))
    rest = [auroc for name, auroc in table.items() if name not in LIGHT]
    print(row(f"mean of {len(table)}", np.mean(list(table.values()), axis=0)))
    if rest and len(rest) < len(table):
        print(row(f"mean of {len(rest)}", np.mean(rest, axis=0)), " without", ", ".join(LIGHT))
    if args.json:
        figures = {name: auroc.tolist() for name, auroc in table.items()}
        args.json.write_text(json.dumps({"machine": describe(), "image_auroc": figures}, indent=1))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder of sets in the layout of MVTec AD")
    parser.add_argument("--backbone", default="tiny")
    parser.add_argument("--option", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--fit", default="squash")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--cache", default=None)
    parser.add_argument("--no-pixels", action="store_true")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def evaluate(
    inspector: Inspector, data: Category, seeds: int, *, pixels: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Image AUROC, and pixel AUROC where the set has masks: seeds x shots, in per cent."""
    normals = [normal.decode() for normal in data.train]
    window = shared_window(normals)
    drawn = sorted({i for seed in range(seeds) for i in data.draw(max(SHOTS), seed)})
    train = inspector.encode_shots([develop(normals[i], window) for i in drawn])
    row_of = {index: row for row, index in enumerate(drawn)}
    pixels = pixels and data.has_masks and inspector.detector.localises
    images = [sample.image.open(window) for sample in data.test]
    test = inspector.encode(images)
    labels = [sample.anomalous for sample in data.test]
    views = [inspector.backbone.view(image, inspector.fit_mode) for image in images]
    truth = np.concatenate(
        [read_mask(s, i.size).ravel() for s, i in zip(data.test, images, strict=True)]
    )
    image_auroc, pixel_auroc = np.full((2, seeds, len(SHOTS)), np.nan)
    for seed in range(seeds):
        for column, k in enumerate(SHOTS):
            context = inspector.detector.prepare(
                train[[row_of[i] for i in data.draw(k, seed)]], inspector.describe(data.name)
            )
            prediction = inspector.detector.score(test, context)
            image_auroc[seed, column] = 100 * roc_auc_score(labels, prediction.score)
            if pixels:
                maps = zip(views, prediction.anomaly_map, strict=True)
                values = np.concatenate([v.to_source(m).flatten().numpy() for v, m in maps])
                pixel_auroc[seed, column] = 100 * roc_auc_score(truth, values)
    return image_auroc, pixel_auroc if pixels else None


def row(name: str, auroc: NDArray[np.float64]) -> str:
    cells: Sequence[str] = [
        f"{mean:6.2f} +-{spread:5.2f}"
        for mean, spread in zip(auroc.mean(0), auroc.std(0, ddof=1), strict=True)
    ]
    return f"{name:16}" + "   ".join(f"k={k} {cell}" for k, cell in zip(SHOTS, cells, strict=True))


if __name__ == "__main__":
    main()
