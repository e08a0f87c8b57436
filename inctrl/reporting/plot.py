"""Where the marks of the score plot lie.

Across is a percentage of the plot's width, so that the text in it keeps its size on a phone; down
is in pixels. Marks that would cover each other are stacked upwards.
"""

import math
from bisect import bisect, insort
from collections.abc import Sequence
from dataclasses import dataclass

from inctrl.reporting.run import Row
from inctrl.reporting.words import number

MOST = 2000
"""Marks drawn at the most; of more rows an even choice along the ranking."""
LEFT, RIGHT = 3.0, 97.0
APART = 1.8
"""Percent between neighbours on one level; less would overlap at 720 px."""
STEP = 13.0
TALLEST = 220.0
FAR = 10.0
"""A limit over this many times the largest score is left off: the scores would be one spot."""
LOG_FROM = 50.0
"""Ratio of largest to smallest score from which the axis is logarithmic."""


@dataclass(frozen=True)
class Mark:
    """One query; x in percent, y in pixels above the axis."""

    x: float
    y: float
    row: Row


@dataclass(frozen=True)
class Tick:
    """A labelled place on the axis, x in percent."""

    x: float
    label: str


@dataclass(frozen=True)
class Plot:
    """rug holds the x of the normal scores; limit is None where there is none, or far off."""

    marks: tuple[Mark, ...]
    rug: tuple[float, ...]
    ticks: tuple[Tick, ...]
    limit: Tick | None
    height: float
    log: bool
    left_out: int


def plot(rows: Sequence[Row], normal: Sequence[float], threshold: float) -> Plot | None:
    """The plot of rows against normal scores and the limit; None where no score is finite."""
    finite = sorted((r for r in rows if math.isfinite(r.score)), key=lambda r: r.score)
    if not finite:
        return None
    chosen = _evenly(finite)
    rug = [score for score in normal if math.isfinite(score)]
    near = FAR * max(abs(score) for score in (*rug, finite[0].score, finite[-1].score))
    limit = [threshold] if threshold <= near else []
    axis = _Axis.around([*(r.score for r in finite), *rug, *limit])
    marks, height = _stacked([(axis.at(r.score), r) for r in chosen])
    return Plot(
        marks=marks,
        rug=tuple(axis.at(score) for score in rug),
        ticks=tuple(Tick(axis.at(value), label) for value, label in axis.ticks()),
        limit=Tick(axis.at(threshold), number(threshold)) if limit else None,
        height=height,
        log=axis.log,
        left_out=len(finite) - len(chosen),
    )


@dataclass(frozen=True)
class _Axis:
    """low and high are logarithms (base 10) on a logarithmic axis."""

    low: float
    high: float
    log: bool

    @classmethod
    def around(cls, values: Sequence[float]) -> "_Axis":
        low, high = min(values), max(values)
        log = low > 0 and high / low >= LOG_FROM
        if log:
            low, high = math.log10(low), math.log10(high)
        # One score alone stands in the middle of a stretch of its own size.
        width = (high - low) or abs(high) or 1.0
        return cls(low - 0.04 * width, high + 0.04 * width, log)

    def at(self, value: float) -> float:
        """Percent from the left."""
        place = math.log10(value) if self.log else value
        return round(LEFT + (RIGHT - LEFT) * (place - self.low) / (self.high - self.low), 2)

    def ticks(self) -> list[tuple[float, str]]:
        """Three to eight round values with labels that tell them apart."""
        if self.log:
            exponents = range(math.floor(self.low), math.ceil(self.high) + 1)
            fine = [m * 10.0**e for e in exponents for m in (1, 2, 5)]
            inside = [v for v in fine if self.low <= math.log10(v) <= self.high]
            coarse = [v for v in inside if f"{v:e}".startswith("1.0")]
            few = inside if len(inside) <= 6 else coarse[:: -(-len(coarse) // 6)]
            return [(v, f"{v:g}") for v in few]
        step = round_step((self.high - self.low) / 7)
        first, last = math.ceil(self.low / step), math.floor(self.high / step)
        digits = max(0, -math.floor(math.log10(step) + 1e-9))
        return [(i * step, f"{i * step:.{digits}f}") for i in range(first, last + 1)]


def round_step(least: float) -> float:
    """The first of 1, 2, 5 times a power of ten that is not below `least`."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(m * power for m in (1, 2, 5, 10) if m * power >= least)


def _evenly(rows: Sequence[Row]) -> Sequence[Row]:
    if len(rows) <= MOST:
        return rows
    return [rows[round(i * (len(rows) - 1) / (MOST - 1))] for i in range(MOST)]


def _stacked(placed: Sequence[tuple[float, Row]]) -> tuple[tuple[Mark, ...], float]:
    """Each mark on the lowest level where it keeps apart from all others, and the height."""
    levels: list[list[float]] = []
    chosen: dict[int, int] = {}
    # From left to right the stacks would lean; golden-ratio steps visit all parts alike.
    for i in sorted(range(len(placed)), key=lambda i: (i * 0.6180339887) % 1):
        x = placed[i][0]
        level = next((n for n, taken in enumerate(levels) if _free(taken, x)), len(levels))
        if level == len(levels):
            levels.append([])
        insort(levels[level], x)
        chosen[i] = level
    step = min(STEP, TALLEST / len(levels))
    marks = tuple(
        Mark(x, round(step * (chosen[i] + 0.5), 1), row) for i, (x, row) in enumerate(placed)
    )
    return marks, max(40.0, round(step * len(levels), 1))


def _free(taken: Sequence[float], x: float) -> bool:
    at = bisect(taken, x)
    return (at == 0 or x - taken[at - 1] >= APART) and (at == len(taken) or taken[at] - x >= APART)
