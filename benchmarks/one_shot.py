"""Can one shot carry a limit? What its inner differences foretell, on families never learned from.

    python -m benchmarks.one_shot DATA [--shots 8] [--alpha 0.05 0.1 0.2] [--cache FOLDER]

Figures of a shot by itself: how far its places are from those elsewhere in it (the worst 3 %, and
the mean), its scores turned and mirrored, and those of small changes of light and position. How
real scores follow from them is learned on the sets of all families but one: the logarithm of the
score of a good image is a line in those of the figures, and the limit is the quantile of what is
left, of all sets alike or of the worst one. The promise (false alarms <= alpha) is checked, and the
caught defects are counted, on the family left out. `none` learns one limit for all, `own` is no
limit that could be had: the quantile of the set's own good test images.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.calibration import CACHE, encoded, scored
from benchmarks.machine import describe
from inctrl import Inspector
from inctrl.backbones.cache import open_cache
from inctrl.data.categories import Category
from inctrl.data.sources import read_data
from inctrl.decoding import open_image
from inctrl.images import Image
from inctrl.maths.grids import mean_map, top_mean
from inctrl.maths.residuals import elsewhere_residuals
from inctrl.types import Features

FAMILIES = {
    "surfaces": ("magnetic_tile", "textile_sim", "fabric_stain", "road_crack"),
    "electronics": ("elpv_mono", "pcb_binary"),
    "objects": ("hazelnut_toy", "toy_alien", "cookie"),
    "medical": ("brain_mri", "breast_us", "head_ct"),
    "digits": ("mnist_3", "mnist_7"),
    "natural": ("cifar_horse", "cifar_ship"),
}
FIGURES = ("elsewhere", "elsewhere_mean", "turned", "views")
MODELS: Mapping[str, tuple[str, ...]] = {
    "none": (),
    **{figure: (figure,) for figure in FIGURES},
    "all": FIGURES,
}
SHARE = 0.03
Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Shown:
    """A set. figures s f, good s g, bad s b: logarithms, a row a shot."""

    figures: Array
    good: Array
    bad: Array


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--backbone", default="tiny")
    parser.add_argument("--shots", type=int, default=8, help="shots of a set, each by itself")
    parser.add_argument("--alpha", type=float, nargs="+", default=[0.05, 0.1, 0.2])
    parser.add_argument("--cache", help="folder of features (default: the user's)")
    args = parser.parse_args()
    inspector = Inspector.load(args.backbone, cache="off")
    inspector = replace(inspector, cache=open_cache(args.cache, CACHE))
    known = {name for names in FAMILIES.values() for name in names}
    found = {
        data.name: measured(inspector, data, args.shots)
        for data in read_data(args.data)
        if data.name in known
    }
    print(f"{describe()}\nshots 0-{args.shots - 1} of seed 0, each alone; per cent")
    for alpha in args.alpha:
        print(f"\nalpha = {alpha:g}: false alarms / caught defects of the family left out\n")
        print("\n".join(table(found, alpha)))


def measured(inspector: Inspector, data: Category, count: int) -> Shown:
    good, bad = (encoded(inspector, data, "clean", anomalous=kind) for kind in (False, True))
    rows: list[tuple[list[float], list[float], list[float]]] = []
    for i in data.draw(min(count, len(data.train)), 0):
        shot = data.train[i].open()
        fitted = inspector.fit([shot], item=data.name)
        turned = scored(fitted, inspector.encode(list(turns(shot))))
        views = fitted.calibration.tops  # of small changes: the fit has scored them already
        inner = elsewhere(inspector.encode([shot]))
        figures = [*inner, float(np.mean(turned)), float(np.mean(views))]
        rows.append((figures, scored(fitted, good), scored(fitted, bad)))
    return Shown(*(np.log(np.maximum(np.array(part), 1e-6)) for part in zip(*rows, strict=True)))


def turns(image: Image) -> Iterator[Image]:
    for name, turned in (
        ("mirrored", image.rgb[:, ::-1]),
        ("upside down", image.rgb[::-1]),
        ("turned", np.rot90(image.rgb)),
    ):
        yield open_image(np.ascontiguousarray(turned), f"{image.name} ({name})")


def elsewhere(features: Features) -> tuple[float, float]:
    values = mean_map([elsewhere_residuals(layer) for layer in features.patches]).flatten(1)
    return float(top_mean(values, SHARE)), float(values.mean())


def table(found: Mapping[str, Shown], alpha: float) -> Iterator[str]:
    """A row a way to a limit, a column a family; Markdown."""
    families = {
        family: [name for name in names if name in found] for family, names in FAMILIES.items()
    }
    families = {family: names for family, names in families.items() if names}
    yield f"| limit from | {' | '.join(families)} | mean | families above alpha |"
    yield "|" + "---|" * (len(families) + 3)
    for model, figures in MODELS.items():
        for worst in (False, True):
            rates = []
            for names in families.values():
                learned = [shown for name, shown in found.items() if name not in names]
                line, off = fit(learned, figures, alpha, worst=worst)
                rates.append(np.mean([judged(found[n], figures, line, off) for n in names], axis=0))
            yield row(f"{model}, {'worst set' if worst else 'all sets'}", rates, alpha)
    own = [
        np.mean([own_limit(found[n], alpha) for n in names], axis=0) for names in families.values()
    ]
    yield row("own", own, alpha)


def row(label: str, rates: Sequence[Array], alpha: float) -> str:
    cells = [f"{100 * alarms:.0f} / {100 * caught:.0f}" for alarms, caught in rates]
    alarms, caught = np.mean(rates, axis=0)
    above = sum(rate[0] > alpha for rate in rates)
    return f"| {label} | {' | '.join(cells)} | {100 * alarms:.0f} / {100 * caught:.0f} | {above} |"


def fit(
    learned: Sequence[Shown], figures: Sequence[str], alpha: float, *, worst: bool
) -> tuple[Array, float]:
    """The line from figures to scores, and how far above it the limit lies; sets weigh alike."""
    x = np.concatenate([design(shown, figures) for shown in learned])
    y = np.concatenate([shown.good.mean(axis=1) for shown in learned])
    weight = np.sqrt(np.concatenate([np.full(len(s.good), 1 / len(s.good)) for s in learned]))
    line: Array = np.linalg.lstsq(x * weight[:, None], y * weight, rcond=None)[0]
    left = [(s.good - (design(s, figures) @ line)[:, None]).ravel() for s in learned]
    if worst:
        return line, max(float(np.quantile(one, 1 - alpha)) for one in left)
    drawn = np.concatenate([np.quantile(one, np.linspace(0, 1, 1001)) for one in left])
    return line, float(np.quantile(drawn, 1 - alpha))


def design(shown: Shown, figures: Sequence[str]) -> Array:
    chosen = [shown.figures[:, FIGURES.index(figure)] for figure in figures]
    return np.stack([np.ones(len(shown.figures)), *chosen], axis=1)


def judged(shown: Shown, figures: Sequence[str], line: Array, off: float) -> tuple[float, float]:
    """Shares of good and of bad images above the limit."""
    limit = (design(shown, figures) @ line + off)[:, None]
    return float((shown.good > limit).mean()), float((shown.bad > limit).mean())


def own_limit(shown: Shown, alpha: float) -> tuple[float, float]:
    limit = np.quantile(shown.good, 1 - alpha, axis=1)[:, None]
    return float((shown.good > limit).mean()), float((shown.bad > limit).mean())


if __name__ == "__main__":
    main()
