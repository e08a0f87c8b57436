"""What an evaluation found, as tables: the figures of each cell, their means, their differences.

Evaluation -> Tables -> files (documents.py) and the page, which show the same numbers.
"""

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from inctrl.evaluation.results import Cell, Evaluation
from inctrl.maths.intervals import Difference, Spread, paired_difference, spread
from inctrl.maths.metrics import METRICS, image_figures, verdict_figures

COMPARED = ("image_auroc", "image_ap", "pixel_auroc", "aupro_30")
"""The figures in which contenders are compared with each other."""
Place: TypeAlias = tuple[int, int, int, int]
"""Of a cell: its contender, test set, number of shots and seed, counted in the evaluation."""


@dataclass(frozen=True)
class Mean:
    """A mean over categories, and its spread over the seeds.

    parts   categories that are in it with every seed
    of      all categories; more than `parts` where the figure is undefined for some
    """

    spread: Spread
    parts: int
    of: int


@dataclass(frozen=True, eq=False)
class Tables:
    """All figures of an evaluation, and what is read off them.

    values   m c t k s: figure, contender, test set, number of shots, seed; NaN where undefined
    """

    evaluation: Evaluation
    metrics: tuple[str, ...]
    values: NDArray[np.float64]

    @property
    def datasets(self) -> tuple[str, ...]:
        """The data sets, in the order of their first test set."""
        return tuple(dict.fromkeys(test.dataset for test in self.evaluation.tests))

    def cell(self, place: Place) -> dict[str, float | None]:
        """The figures of one cell; None where undefined."""
        found = self.values[:, *place].tolist()
        return {key: _finite(value) for key, value in zip(self.metrics, found, strict=True)}

    def category(self, metric: str, contender: int, test: int, k: int) -> Spread:
        """Over the seeds, of one category; places, not names, say which."""
        return spread(self.values[self.metrics.index(metric), contender, test, k])

    def dataset(self, metric: str, contender: int, dataset: str, k: int) -> Mean:
        """Of the unweighted mean over the categories of a data set."""
        rows = self.values[self.metrics.index(metric), contender, self._tests(dataset), k]
        return _mean(rows, _nanmean(rows))

    def overall(self, metric: str, contender: int, k: int) -> Mean:
        """Of the unweighted mean over the data sets, each the mean of its categories."""
        values = self.values[self.metrics.index(metric), contender, :, k]
        by_dataset = np.stack([_nanmean(values[self._tests(name)]) for name in self.datasets])
        return _mean(values, _nanmean(by_dataset))

    def difference(
        self, metric: str, first: int, second: int, k: int | None, dataset: str | None = None
    ) -> Difference | None:
        """First minus second contender, for one number of shots or (None) the mean of all.

        Without a data set, of the mean over all data sets. Where one of the two is undefined, the
        other is left out too.
        """
        by_k = self.values[self.metrics.index(metric)]
        minus = by_k[first] - by_k[second]  # t k s
        rows = _nanmean(np.moveaxis(minus, 1, 0)) if k is None else minus[:, k]
        names = self.datasets if dataset is None else (dataset,)
        return paired_difference([rows[self._tests(name)] for name in names])

    def _tests(self, dataset: str) -> list[int]:
        return [i for i, test in enumerate(self.evaluation.tests) if test.dataset == dataset]


def tables(evaluation: Evaluation) -> Tables:
    """The tables of an evaluation; cells that are not there are undefined."""
    ks, seeds = evaluation.shots, evaluation.seeds
    shape = (len(METRICS), len(evaluation.contenders), len(evaluation.tests), len(ks), len(seeds))
    values = np.full(shape, np.nan)
    for place, cell in ordered(evaluation):
        labels = evaluation.tests[place[1]].anomalous
        judged = verdict_figures(labels, cell.verdicts, evaluation.alpha)
        figures = {**(cell.pixels or {}), **image_figures(labels, cell.scores), **judged}
        found = [_finite(figures.get(key)) for key in METRICS]
        values[:, *place] = [math.nan if value is None else value for value in found]
    return Tables(evaluation, tuple(METRICS), values)


def ordered(evaluation: Evaluation) -> list[tuple[Place, Cell]]:
    """The cells with their places, in the order of these, whatever order they were made in."""
    contenders = {c.label: i for i, c in enumerate(evaluation.contenders)}
    tests = {(t.dataset, t.category): i for i, t in enumerate(evaluation.tests)}
    ks = {k: i for i, k in enumerate(evaluation.shots)}
    seeds = {seed: i for i, seed in enumerate(evaluation.seeds)}
    found: dict[Place, Cell] = {}
    for cell in evaluation.cells:
        try:
            test = tests[cell.dataset, cell.category]
            place = (contenders[cell.contender], test, ks[cell.k], seeds[cell.seed])
        except KeyError as error:
            raise ValueError(f"{cell_name(cell)} is not in the plan ({error} is unknown)") from None
        if place in found:
            raise ValueError(f"{cell_name(cell)} is there twice; keep one")
        found[place] = cell
    return sorted(found.items(), key=lambda item: item[0])


def _mean(rows: NDArray[np.float64], means: NDArray[np.float64]) -> Mean:
    """Of categories t s and what their mean is in each seed (s)."""
    seen = ~np.isnan(means)
    complete = (~np.isnan(rows[:, seen])).all(axis=1) & seen.any()
    return Mean(spread(means), int(complete.sum()), len(rows))


def _nanmean(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Over the first axis; NaN only where nothing is defined."""
    count = (~np.isnan(rows)).sum(axis=0)
    total = np.nansum(rows, axis=0)
    mean = np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)
    return np.asarray(mean, dtype=np.float64)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def cell_name(cell: Cell) -> str:
    """For people."""
    return f"{cell.contender!r} on {cell.dataset}/{cell.category}, k {cell.k}, seed {cell.seed}"
