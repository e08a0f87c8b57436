"""Scores of a category: normal images above the axis, anomalous ones below, and the limit."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inctrl.evaluation.results import Cell
from inctrl.evaluation.tables import Tables, ordered
from inctrl.reporting.words import number, printable

BINS = 32
MOST = 240
"""Histograms on a page; where there would be more, whole contenders are left out."""
HALF = 40.0
"""Height of the largest bar, above or below the axis."""


@dataclass(frozen=True)
class Histogram:
    """One run; places across are in percent.

    limit         place of the limit; None where there is none or it is off the axis
    limit_words   '0.412', 'none', or '0.412, off to the right'
    alarms        normal images called anomalous, of `normals`; `undecided` ones likewise
    missed        anomalous images not called so, of `anomalies`
    """

    dataset: str
    category: str
    normal: str
    anomalous: str
    limit: float | None
    limit_words: str
    low: str
    high: str
    alarms: int
    undecided: int
    normals: int
    missed: int
    anomalies: int


@dataclass(frozen=True)
class Histograms:
    """Of one contender, all categories."""

    label: str
    k: int
    seed: int
    drawn: tuple[Histogram, ...]


def histograms(tables: Tables) -> tuple[list[Histograms], int]:
    """Of the first seed with the most shots; and how many contenders are left out."""
    evaluation = tables.evaluation
    k = max(range(len(evaluation.shots)), key=lambda i: evaluation.shots[i])
    by_contender: dict[int, list[Histogram]] = {}
    for (contender, test, shots, seed), cell in ordered(evaluation):
        if shots == k and seed == 0:
            labels = np.array(evaluation.tests[test].anomalous, dtype=np.bool_)
            names = (printable(cell.dataset), printable(cell.category))
            drawn = _histogram(names, cell, labels)
            if drawn is not None:
                by_contender.setdefault(contender, []).append(drawn)
    most = max(1, MOST // max(1, len(evaluation.tests)))
    shown = [
        Histograms(
            printable(evaluation.contenders[contender].label),
            evaluation.shots[k],
            evaluation.seeds[0],
            tuple(drawn),
        )
        for contender, drawn in list(by_contender.items())[:most]
    ]
    return shown, len(by_contender) - len(shown)


def _histogram(names: tuple[str, str], cell: Cell, labels: NDArray[np.bool_]) -> Histogram | None:
    scores, threshold = np.array(cell.scores, dtype=np.float64), cell.threshold
    finite = np.isfinite(scores)
    if not finite.any():
        return None
    low, high = float(scores[finite].min()), float(scores[finite].max())
    width = (high - low) or abs(high) or 1.0
    # A limit that is far off would squeeze the scores into one bar.
    near = math.isfinite(threshold) and low - width <= threshold <= high + width
    if near:
        low, high = min(low, threshold), max(high, threshold)
    low, high = low - 0.03 * width, high + 0.03 * width
    edges = np.linspace(low, high, BINS + 1)
    good, bad = (np.histogram(scores[finite & kind], edges)[0] for kind in (~labels, labels))
    tallest = max(int(good.max()), int(bad.max()), 1)
    words = number(threshold)
    if math.isfinite(threshold) and not near:
        words += ", off to the right" if threshold > high else ", off to the left"
    alarms, unsure = (np.array(cell.verdicts) == kind for kind in ("anomalous", "undecided"))
    return Histogram(
        *names,
        normal=_bars(-good * HALF / tallest),
        anomalous=_bars(bad * HALF / tallest),
        limit=round(100 * (threshold - low) / (high - low), 2) if near else None,
        limit_words=words,
        low=number(low),
        high=number(high),
        alarms=int(alarms[~labels].sum()),
        undecided=int(unsure[~labels].sum()),
        normals=int((~labels).sum()),
        missed=int((~alarms[labels]).sum()),
        anomalies=int(labels.sum()),
    )


def _bars(heights: NDArray[np.float64]) -> str:
    """An SVG path of bars from the axis at 0; x from 0 to 100."""
    step = 100 / len(heights)
    return "".join(
        f"M{i * step:.4g} 0v{height:.3g}h{step * 0.88:.3g}V0Z"
        for i, height in enumerate(heights.tolist())
        if height
    )
