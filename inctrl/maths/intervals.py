"""Means that say how sure they are: over seeds, and of paired differences with an interval.

Two contenders are compared on the same categories with the same shots, so what is uncertain is
their difference in each category and seed: other categories could have been at hand, and other
shots drawn. The bootstrap repeats both choices: it draws categories with replacement and, in each
drawn one, seeds with replacement. Of few categories the plain percentiles of such draws come out
too close together; they are widened as Hesterberg does (What Teachers Should Know About the
Bootstrap, The American Statistician 69(4), 2015, "expanded percentile interval").
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import stats

DRAWS = 4000
LEVEL = 0.95
EQUAL = 1e-9
"""Means this close are equal: sums of the same numbers differ by less than that."""


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation (n - 1) over n seeds; sd is None for one seed."""

    mean: float | None
    sd: float | None
    seeds: int


@dataclass(frozen=True)
class Difference:
    """First minus second contender.

    low, high     interval of LEVEL; None where nothing was repeated, so that nothing can be drawn
    wins, losses  categories in which the first (second) is higher, in the mean over the seeds
    categories    how many were compared
    drawn         what the interval repeats: "categories and seeds", "categories", "seeds" or ""
    rough         too little was repeated for the interval to be kept to: it is shown, not claimed
    """

    mean: float
    low: float | None
    high: float | None
    wins: int
    losses: int
    categories: int
    drawn: str
    rough: bool

    @property
    def clear(self) -> bool:
        """Whether the interval can be kept to and leaves out 0."""
        if self.low is None or self.high is None or self.rough:
            return False
        return self.low > 0 or self.high < 0


def spread(values: NDArray[np.float64]) -> Spread:
    """Of one value a seed (s); NaN ones are left out."""
    defined = values[~np.isnan(values)]
    if not len(defined):
        return Spread(None, None, 0)
    sd = float(defined.std(ddof=1)) if len(defined) > 1 else None
    return Spread(float(defined.mean()), sd, len(defined))


def paired_difference(groups: Sequence[NDArray[np.float64]]) -> Difference | None:
    """Of groups (data sets) of differences, each c s: category by seed, NaN where undefined.

    The mean is that of the groups, each the mean of its categories, each the mean of its seeds;
    so it is the difference of the means in a table, if nothing is undefined there. None where
    nothing is defined.
    """
    sets = [[row[~np.isnan(row)] for row in group] for group in groups]
    filled = [[row for row in rows if len(row)] for rows in sets]
    filled = [rows for rows in filled if rows]
    if not filled:
        return None
    means = [np.array([row.mean() for row in rows]) for rows in filled]
    every = np.concatenate(means)
    drawn = _drawn(filled)
    low, high = _interval(filled) if drawn else (None, None)
    return Difference(
        mean=float(np.mean([group.mean() for group in means])),
        low=low,
        high=high,
        wins=int((every > EQUAL).sum()),
        losses=int((every < -EQUAL).sum()),
        categories=len(every),
        drawn=drawn,
        rough=_free(filled) < (2 if "categories" in drawn else 4),
    )


def _drawn(groups: Sequence[Sequence[NDArray[np.float64]]]) -> str:
    categories = any(len(rows) > 1 for rows in groups)
    seeds = any(len(row) > 1 for rows in groups for row in rows)
    return " and ".join(["categories"] * categories + ["seeds"] * seeds)


def _interval(groups: Sequence[Sequence[NDArray[np.float64]]]) -> tuple[float, float]:
    """Percentiles of the mean of the groups, each of which is drawn anew on its own."""
    draws = np.zeros(DRAWS)
    for number, rows in enumerate(groups):
        weights = _weights(tuple(map(len, rows)), number)
        draws += (weights * np.concatenate(rows)).sum(axis=1) / len(groups)
    tail = _tail(groups)
    low, high = np.quantile(draws, [tail, 1 - tail])
    return float(low), float(high)


def _tail(groups: Sequence[Sequence[NDArray[np.float64]]]) -> float:
    """The share of draws to leave out at either end, less than (1 - LEVEL) / 2.

    n things drawn vary by sqrt((n - 1) / n) too little, and their spread is itself an estimate.
    """
    free = _free(groups)
    wide = stats.t.ppf((1 + LEVEL) / 2, free) * np.sqrt((free + 1) / free)
    return float(stats.norm.sf(wide))


@lru_cache(maxsize=64)  # every pair of contenders and every figure is drawn alike
def _weights(sizes: tuple[int, ...], seed: int) -> NDArray[np.float64]:
    """How much each value weighs in each draw, (DRAWS, sum of sizes); each row sums to 1.

    sizes  number of seeds of each category, whose values stand one after the other
    """
    random = np.random.default_rng([len(sizes), seed])
    count = np.array(sizes)
    starts = np.cumsum(count) - count
    category = random.integers(len(sizes), size=(DRAWS, len(sizes)))
    share = random.random((DRAWS, len(sizes), max(sizes)))
    of = count[category][:, :, None]
    value = starts[category][:, :, None] + (share * of).astype(np.int64)
    # A category of fewer seeds than the largest draws only as many as it has.
    weight = np.where(np.arange(max(sizes)) < of, 1 / (of * len(sizes)), 0.0)
    total = sum(sizes)
    flat = (np.arange(DRAWS)[:, None, None] * total + value).ravel()
    sums = np.bincount(flat, weight.ravel(), DRAWS * total)
    weights = np.asarray(sums, dtype=np.float64).reshape(DRAWS, total)
    weights.flags.writeable = False
    return weights


def _free(groups: Sequence[Sequence[NDArray[np.float64]]]) -> int:
    """Degrees of freedom: of the categories, or of the seeds where no group has two categories."""
    categories = sum(len(rows) - 1 for rows in groups)
    return categories or sum(len(row) - 1 for rows in groups for row in rows)
