"""False alarms at the calibrated limit, a dot a category, against the wanted share."""

import math
from dataclasses import dataclass

from inctrl.evaluation.tables import Tables
from inctrl.maths.metrics import METRICS
from inctrl.reporting.evaluation import figures
from inctrl.reporting.evaluation.findings import label
from inctrl.reporting.words import printable

LEFT, RIGHT = 2.0, 98.0


@dataclass(frozen=True)
class Dot:
    """A category: x in percent of the strip, and its words."""

    x: float
    words: str


@dataclass(frozen=True)
class Strip:
    """One contender; `words` say its mean false alarms, undecided normal images and recall."""

    label: str
    words: str
    dots: tuple[Dot, ...]
    missing: int


@dataclass(frozen=True)
class Strips:
    """All contenders on one axis, with the place of alpha and round ticks."""

    k: int
    alpha: float
    ticks: tuple[tuple[float, str], ...]
    strips: tuple[Strip, ...]


def strips(tables: Tables) -> Strips | None:
    """At the largest number of shots; None where nobody has a limit."""
    evaluation = tables.evaluation
    k = max(range(len(evaluation.shots)), key=lambda i: evaluation.shots[i])
    tests, contenders = range(len(evaluation.tests)), range(len(evaluation.contenders))
    shares = [[tables.category("false_alarms", c, t, k).mean for t in tests] for c in contenders]
    defined = [share for row in shares for share in row if share is not None]
    if not defined:
        return None
    step = next(s for s in (0.05, 0.1, 0.2, 0.25) if s >= max(*defined, 2 * evaluation.alpha) / 5)
    end = step * math.ceil(max(*defined, 2 * evaluation.alpha) / step - 1e-9)
    ticks = tuple(
        (_at(i * step, end), f"{100 * i * step:.0f}") for i in range(round(end / step) + 1)
    )
    found = [_strip(tables, c, k, shares[c], end) for c in contenders]
    return Strips(evaluation.shots[k], _at(evaluation.alpha, end), ticks, tuple(found))


def _strip(tables: Tables, contender: int, k: int, shares: list[float | None], end: float) -> Strip:
    tests = tables.evaluation.tests
    dots = tuple(
        Dot(
            _at(share, end),
            f"{printable(tests[t].dataset)}/{printable(tests[t].category)}: "
            f"{figures.figure(share)} % false alarms",
        )
        for t, share in enumerate(shares)
        if share is not None
    )
    means = {
        METRICS[metric].column: tables.overall(metric, contender, k).spread.mean
        for metric in ("false_alarms", "undecided", "recall")
    }
    shown = [
        f"{word} {figures.figure(share)}" + "\u00a0%" * (share is not None)
        for word, share in means.items()
    ]
    return Strip(label(tables, contender), ", ".join(shown), dots, len(shares) - len(dots))


def _at(share: float, end: float) -> float:
    return round(LEFT + (RIGHT - LEFT) * share / end, 2)
