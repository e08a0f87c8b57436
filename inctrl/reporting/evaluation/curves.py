"""ROC and precision-recall curves of a data set: one a contender, averaged over its runs.

Runs are averaged vertically: at each false-positive rate (or recall) the mean of what they reach,
first over the categories of a seed, then over the seeds. The band goes from the lowest seed to
the highest; among many contenders bands would hide the curves.
"""

from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve, roc_curve

from inctrl.evaluation.tables import Tables, ordered
from inctrl.reporting.words import printable

STEPS = 120
"""Points of a curve, whatever the number of images."""
MOST_BANDS = 4


@dataclass(frozen=True)
class Curve:
    """Of one contender, named by its place; path and band as SVG draws them, in percent."""

    contender: int
    label: str
    path: str
    band: str


@dataclass(frozen=True)
class Curves:
    """All contenders in one frame."""

    kind: str
    across: str
    up: str
    curves: tuple[Curve, ...]


def curves(tables: Tables, dataset: str, k: int) -> tuple[Curves, ...]:
    """ROC and precision-recall at one number of shots; empty where no run has both labels."""
    runs = _runs(tables, dataset, k)
    categories = sum(test.dataset == dataset for test in tables.evaluation.tests)
    kinds = (
        ("ROC", "false positives", "true positives", _roc),
        ("Precision-recall", "recall", "precision", _pr),
    )
    drawn = []
    for kind, across, up, curve in kinds:
        found = []
        for contender, by_seed in runs.items():
            seeds = [np.mean([curve(*run) for run in seed], axis=0) for seed in by_seed]
            label = printable(tables.evaluation.contenders[contender].label)
            there = min(map(len, by_seed))
            if there < categories:  # not to be held against the curves over all
                label += f" ({there} of {categories} categories)"
            drawing = _drawn(contender, label, np.stack(seeds))
            found.append(drawing if len(runs) <= MOST_BANDS else replace(drawing, band=""))
        drawn.append(Curves(kind, across, up, tuple(found)))
    return tuple(drawn) if runs else ()


Run: TypeAlias = tuple[NDArray[np.bool_], NDArray[np.float64]]


def _runs(tables: Tables, dataset: str, k: int) -> dict[int, list[list[Run]]]:
    """Labels and scores of each contender, by seed; runs with one label or NaN are left out."""
    found: dict[int, dict[int, list[Run]]] = {}
    for (contender, test, shots, seed), cell in ordered(tables.evaluation):
        labels = np.array(tables.evaluation.tests[test].anomalous)
        drawable = labels.any() and not labels.all() and not np.isnan(cell.scores).any()
        if cell.dataset == dataset and shots == k and drawable:
            ranks = np.unique(cell.scores, return_inverse=True)[1].astype(np.float64)
            run = (labels, ranks)
            found.setdefault(contender, {}).setdefault(seed, []).append(run)
    return {contender: list(seeds.values()) for contender, seeds in found.items()}


def _grid() -> NDArray[np.float64]:
    """From 0 to 1, closer together at the low end, where limits are set."""
    return np.linspace(0, 1, STEPS) ** 1.5


def _roc(labels: NDArray[np.bool_], scores: NDArray[np.float64]) -> NDArray[np.float64]:
    false, true, _ = roc_curve(labels, scores, drop_intermediate=False)
    return np.asarray(np.interp(_grid(), false, true), dtype=np.float64)


def _pr(labels: NDArray[np.bool_], scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Precision at the highest threshold that reaches a recall: the steps that AP sums."""
    precision, recall, _ = precision_recall_curve(labels, scores)
    precision, recall = precision[::-1], recall[::-1]  # from the highest threshold down
    reached = np.searchsorted(recall, _grid() - 1e-12)
    return np.asarray(precision[np.maximum(reached, np.argmax(recall > 0))], dtype=np.float64)


def _drawn(contender: int, label: str, seeds: NDArray[np.float64]) -> Curve:
    x = 100 * _grid()
    mean, low, high = (100 * (1 - f(seeds, axis=0)) for f in (np.mean, np.min, np.max))
    band = ""
    if len(seeds) > 1:
        back = _points(x[::-1], low[::-1]).replace("M", "L")
        band = f"{_points(x, high)}{back}Z"
    return Curve(contender, label, _points(x, mean), band)


def _points(x: NDArray[np.float64], y: NDArray[np.float64]) -> str:
    pairs = [f"{a:.4g} {b:.4g}" for a, b in zip(x, y, strict=True)]
    return "M" + "L".join(pairs)
