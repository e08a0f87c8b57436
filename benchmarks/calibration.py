"""Does the threshold keep its promise? False alarms among held-out normals, set by set.

    python -m benchmarks.calibration DATA [--shots 4 8] [--alpha 0.05 0.1 0.2] [--seeds 20]
        [--kinds clean noise blur ...] [--sets A B] [--cache FOLDER]

For each seed k shots are drawn, the detector is calibrated on them alone, and test/good (as it is,
and corrupted: benchmarks/corruptions.py) and test/DEFECT are judged. The 95 % interval is a
bootstrap over both the draws and the test images; `!` marks a rate whose interval lies above alpha.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.corruptions import KINDS, corrupted
from benchmarks.machine import describe
from inctrl import Inspector
from inctrl.backbones.cache import open_cache
from inctrl.data.categories import Category
from inctrl.data.sources import read_data
from inctrl.inspection.fitted import FittedInspector
from inctrl.types import Features, concatenate

CACHE = 32 * 1024**3
"""Bytes: every image of sixteen sets in seven versions must stay, or each seed encodes anew."""
Setting = tuple[int, float]
"""Number of shots, alpha."""


@dataclass(frozen=True)
class Rates:
    """Of one set and setting, in per cent.

    alarms     normal images called anomalous, by kind of corruption: rate, and its 95 % interval
    undecided  clean normal images left undecided
    caught     anomalous images called so
    """

    alarms: Mapping[str, tuple[float, float, float]]
    undecided: float
    caught: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--backbone", default="tiny")
    parser.add_argument("--shots", type=int, nargs="+", default=[4, 8])
    parser.add_argument("--alpha", type=float, nargs="+", default=[0.05, 0.1, 0.2])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--sets", nargs="*", help="names of the sets (default: all)")
    parser.add_argument("--cache", help="folder of features (default: the user's)")
    args = parser.parse_args()
    inspector = Inspector.load(args.backbone, cache="off")
    inspector = replace(inspector, cache=open_cache(args.cache, CACHE))
    print(
        f"{describe()}\nseeds 0-{args.seeds - 1}, backbone {inspector.backbone.name}, detector "
        f"{inspector.detector.name}; false alarms in per cent [95 % interval]"
    )
    settings = [(k, alpha) for k in args.shots for alpha in args.alpha]
    found = {}
    for data in read_data(args.data):
        if not args.sets or data.name in args.sets:
            found[data.name] = measure(inspector, data, settings, args.kinds, args.seeds)
            for (k, alpha), rates in found[data.name].items():
                print(f"k = {k}, alpha = {alpha:g}: {line(data.name, rates, alpha)}", flush=True)
    for setting in settings:
        print(f"\nk = {setting[0]}, alpha = {setting[1]:g}\n")
        print("\n".join(table({name: rates[setting] for name, rates in found.items()}, setting[1])))


def measure(
    inspector: Inspector,
    data: Category,
    settings: Sequence[Setting],
    kinds: Sequence[str],
    seeds: int,
) -> dict[Setting, Rates]:
    """The verdicts of a set in all settings."""
    good = {kind: encoded(inspector, data, kind, anomalous=False) for kind in kinds}
    bad = encoded(inspector, data, "clean", anomalous=True)
    verdicts: dict[tuple[Setting, str], list[list[str]]] = {}
    for k in {k for k, _ in settings}:
        for seed in range(seeds):
            fitted = inspector.fit([data.train[i].file for i in data.draw(k, seed)], item=data.name)
            scores = {kind: scored(fitted, features) for kind, features in good.items()}
            scores["bad"] = scored(fitted, bad)
            for setting in settings:
                if setting[0] == k:
                    judge = fitted.with_alpha(setting[1]).calibration.judge
                    for kind, values in scores.items():
                        rows = verdicts.setdefault((setting, kind), [])
                        rows.append([judge(value) for value in values])
    return {setting: rates_of(verdicts, setting, kinds) for setting in settings}


def encoded(inspector: Inspector, data: Category, kind: str, *, anomalous: bool) -> Features:
    samples = [sample for sample in data.test if sample.anomalous == anomalous]
    images = (corrupted(sample.image.open(), kind) for sample in samples)
    return concatenate([inspector.encode([image]) for image in images])


def scored(fitted: FittedInspector, features: Features) -> list[float]:
    values: list[float] = fitted.inspector.detector.score(features, fitted.context).score.tolist()
    return values


def rates_of(
    verdicts: Mapping[tuple[Setting, str], list[list[str]]], setting: Setting, kinds: Sequence[str]
) -> Rates:
    tables = {kind: np.array(verdicts[setting, kind]) for kind in (*kinds, "bad")}
    alarms = {kind: tables[kind] == "anomalous" for kind in kinds}
    return Rates(
        {kind: (100 * float(a.mean()), *interval(a)) for kind, a in alarms.items()},
        100 * float((tables[kinds[0]] == "undecided").mean()),
        100 * float((tables["bad"] == "anomalous").mean()),
    )


def table(found: Mapping[str, Rates], alpha: float) -> Iterator[str]:
    """A row a set, as Markdown, and their mean."""
    kinds = list(next(iter(found.values())).alarms)
    columns = ["set", *kinds, "undecided", "caught"]
    yield f"| {' | '.join(columns)} |"
    yield "|" + "---|" * len(columns)
    for name, rates in found.items():
        yield line(name, rates, alpha)
    means = [np.mean([rates.alarms[kind][0] for rates in found.values()]) for kind in kinds]
    means += [np.mean([r.undecided for r in found.values()])]
    means += [np.mean([r.caught for r in found.values()])]
    yield f"| **mean** | {' | '.join(f'{mean:.1f}' for mean in means)} |"
    above = [sum(r.alarms[kind][1] > 100 * alpha for r in found.values()) for kind in kinds]
    yield f"| interval above alpha, sets | {' | '.join(map(str, above))} | | |"


def line(name: str, rates: Rates, alpha: float) -> str:
    cells = [
        f"{rate:.0f} [{low:.0f}, {high:.0f}]{'!' * (low > 100 * alpha)}"
        for rate, low, high in rates.alarms.values()
    ]
    return f"| {name} | {' | '.join(cells)} | {rates.undecided:.0f} | {rates.caught:.0f} |"


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
