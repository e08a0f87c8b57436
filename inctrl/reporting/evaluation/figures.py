"""Figures in words: percent, points, intervals, bytes; "n/a" where a figure is undefined."""

from inctrl.maths.intervals import Difference, Spread
from inctrl.maths.metrics import METRICS

NONE = "n/a"
MINUS = "\u2212"


def figure(value: float | None, metric: str = "") -> str:
    """'95.3', in percent; with its sign where the metric may be negative."""
    if value is None:
        return NONE
    signed = metric in METRICS and METRICS[metric].signed
    return _signed(100 * value) if signed else f"{100 * value:.1f}"


def with_spread(found: Spread, metric: str = "") -> str:
    """'95.3 ± 0.4', the second over the seeds; without it for one seed."""
    if found.mean is None:
        return NONE
    shown = figure(found.mean, metric)
    return shown if found.sd is None else f"{shown} ± {100 * found.sd:.1f}"


def points(value: float) -> str:
    """A difference of percentages: '+2.1', with more decimals where one would say 0."""
    return _signed(100 * value, _digits(value))


def interval(found: Difference) -> str:
    """'0.8 to 3.4', or why there is none."""
    if found.low is None or found.high is None:
        return NONE
    # Rounded to 0.0, an end would hide on which side of 0 it lies.
    digits = max(_digits(found.low), _digits(found.high))
    return f"{_signed(100 * found.low, digits)} to {_signed(100 * found.high, digits)}"


def size(count: float | None) -> str:
    """'18.4 kB': thousands, as disks count."""
    if count is None:
        return NONE
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"


def _signed(value: float, digits: int = 1) -> str:
    shown = f"{abs(value):.{digits}f}"
    if not float(shown):
        return shown
    return ("+" if value > 0 else MINUS) + shown


def _digits(value: float) -> int:
    """Decimals of a percentage that show its sign, from 1 to 3."""
    return next((d for d in (1, 2) if value == 0 or round(100 * value, d)), 3)
