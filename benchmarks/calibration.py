"""Does the threshold keep its promise? False alarms among held-out normals, set by set.

    python -m benchmarks.calibration DATA [--shots 8] [--alpha 0.1] [--seeds 20] [--sets A B]

For each seed k shots are drawn, the detector is calibrated on them alone, and test/good and
test/DEFECT are judged. The 95 % interval is a bootstrap over both the draws and the test images.
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.machine import describe
from inctrl import Inspector
from inctrl.data.categories import Category
from inctrl.data.sources import read_data


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--backbone", default="tiny")
    parser.add_argument("--shots", type=int, nargs="+", default=[2, 4, 8])
    parser.add_argument("--alpha", type=float, default=0.1)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--sets", nargs="*", help="names of the sets (default: all)")
    args = parser.parse_args()
    inspector = Inspector.load(args.backbone, alpha=args.alpha)
    print(
        f"{describe()}\nalpha {args.alpha:g}, seeds 0-{args.seeds - 1}, "
        f"backbone {inspector.backbone.name}, detector {inspector.detector.name}"
    )
    for k in args.shots:
        print(f"\nk = {k:<12} false alarms   95 % interval     undecided   caught   holds")
        for data in read_data(args.data):
            if not args.sets or data.name in args.sets:
                print(report(data.name, judge(inspector, data, k, args.seeds), args.alpha))


def judge(inspector: Inspector, data: Category, k: int, seeds: int) -> dict[str, NDArray[np.bool_]]:
    """Verdicts, seeds x images: alarms and undecided among the good, alarms among the bad."""
    bad = np.array([sample.anomalous for sample in data.test])
    verdicts = []
    for seed in range(seeds):
        fitted = inspector.fit([data.train[i].file for i in data.draw(k, seed)], item=data.name)
        test = [sample.image.open(fitted.window) for sample in data.test]
        scores = fitted.score(inspector.encode(test)).score.tolist()
        verdicts.append([fitted.calibration.judge(score) for score in scores])
    table = np.array(verdicts)
    return {
        "alarms": table[:, ~bad] == "anomalous",
        "undecided": table[:, ~bad] == "undecided",
        "caught": table[:, bad] == "anomalous",
    }


def report(name: str, verdicts: dict[str, NDArray[np.bool_]], alpha: float) -> str:
    low, high = interval(verdicts["alarms"])
    rates = {kind: 100 * float(values.mean()) for kind, values in verdicts.items()}
    holds = "yes" if low <= 100 * alpha <= high else "below" if high < 100 * alpha else "ABOVE"
    return (
        f"{name:18}{rates['alarms']:9.1f} %   [{low:5.1f}, {high:5.1f}] %"
        f"{rates['undecided']:12.1f} %{rates['caught']:8.1f} %   {holds}"
    )


def interval(alarms: NDArray[np.bool_], repeats: int = 2000) -> tuple[float, float]:
    """95 % bootstrap interval of the rate in per cent, draws and images drawn anew together."""
    random = np.random.default_rng(0)
    draws, images = alarms.shape
    rates = [
        alarms[random.integers(0, draws, draws)][:, random.integers(0, images, images)].mean()
        for _ in range(repeats)
    ]
    low, high = np.percentile(rates, [2.5, 97.5])
    return 100 * float(low), 100 * float(high)


if __name__ == "__main__":
    main()
