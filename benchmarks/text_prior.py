"""What the text prior does to the training-free detector: paired differences of image AUROC.

    python -m benchmarks.text_prior DATA [--domain inctrl] [--shots 1] [--seeds 5]

Residuals alone (`text_weight=0`) and fused scores of the same shots and queries; the difference of
each seed, their mean, and its standard error. The item is the name of the set's folder. Shots are
drawn as `inctrl evaluate` draws them.
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from benchmarks.machine import describe
from inctrl import Inspector
from inctrl.data.categories import Category
from inctrl.data.sources import read_data
from inctrl.images import develop, shared_window
from inctrl.protocols import WeighsText


def main() -> None:
    args = parse()
    fused = Inspector.load(args.backbone, domain=args.domain, cache=args.cache)
    alone = Inspector.load(args.backbone, options={"text_weight": 0}, cache=args.cache)
    print(
        f"{describe()}\nbackbone {fused.backbone.name}, {fused.identity.text_prior}, "
        f"k = {args.shots}, seeds 0-{args.seeds - 1}\n\n"
        f"{'set':16}{'alone':>7}{'fused':>8}{'difference':>18}  weight"
    )
    differences = []
    for data in read_data(args.data):
        found, weights = evaluate(fused, alone, data, args.shots, args.seeds)
        differences.append(found[1] - found[0])
        print(f"{data.name:16}{line(found)}  {weights.mean():.3f}")
    every = np.stack(differences)
    error = every.mean(axis=0).std(ddof=1) / args.seeds**0.5
    print(f"\nmean difference {every.mean():+.2f} +- {error:.2f} (over the seeds)")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder of sets in the layout of MVTec AD")
    parser.add_argument("--backbone", default="tiny")
    parser.add_argument("--domain", default="inctrl")
    parser.add_argument("--shots", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--cache", default=None)
    return parser.parse_args()


def evaluate(
    fused: Inspector, alone: Inspector, data: Category, shots: int, seeds: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Image AUROC in per cent, 2 (alone, fused) x seeds; and the prior's weights, seeds."""
    normals = [normal.decode() for normal in data.train]
    window = shared_window(normals)
    train = fused.encode([develop(picture, window) for picture in normals])
    test = fused.encode([sample.image.open(window) for sample in data.test])
    labels = [sample.anomalous for sample in data.test]
    found, weights = np.empty((2, seeds)), np.empty(seeds)
    for seed in range(seeds):
        references = train[data.draw(shots, seed)]
        for row, inspector in enumerate((alone, fused)):
            detector = inspector.detector
            context = detector.prepare(references, inspector.describe(data.name))
            scores = detector.score(test, context).score
            found[row, seed] = 100 * roc_auc_score(labels, scores)
        if isinstance(detector, WeighsText):
            weights[seed] = detector.text_weight(context)
    return found, weights


def line(found: NDArray[np.float64]) -> str:
    difference = found[1] - found[0]
    error = difference.std(ddof=1) / len(difference) ** 0.5
    alone, fused = found.mean(axis=1)
    return f"{alone:7.2f}{fused:8.2f}{difference.mean():+10.2f} +- {error:.2f}"


if __name__ == "__main__":
    main()
