"""The brightness window of images with more than 8 bits, and what lies beyond it.

A window is chosen from the normal images. What a query holds far beyond their values must not look
like their white or black, which is normal: it is marked in a colour that a gray image never has.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from inctrl.errors import UsageError
from inctrl.maths.extremes import PLACE, around, places, reach

PERCENTILES = (0.1, 99.9)
"""Dark and bright end of a window."""
NEAR, FAR = 0.1, 0.5
"""Widths of the window beyond the normal values: from where a place is told of, and marked."""
HOT = 0.001
"""Share of single pixels that a sensor may have hot or dead; more of them are a defect."""


@dataclass(frozen=True)
class Window:
    """The stored values shown as black and as white.

    least, most   how far the values of the normal images reach; None: not known
    """

    low: float
    high: float
    least: float | None = None
    most: float | None = None

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise UsageError(
                f"window {self.low:g}..{self.high:g} is empty: its low end must lie below its high"
            )


@dataclass(frozen=True, eq=False)
class Shown:
    """Values in a window as rgb uint8 H W 3; `doubts` are those notes that forbid "normal"."""

    rgb: NDArray[np.uint8]
    notes: tuple[str, ...]
    doubts: tuple[str, ...]


@dataclass(frozen=True)
class _End:
    """One end of a window in words, and the colour of what lies far beyond it."""

    way: str
    to: str
    shown: str
    name: str
    colour: tuple[int, int, int]


_BRIGHT = _End("above", "up to", "white", "red", (255, 0, 0))
_DARK = _End("below", "down to", "black", "blue", (0, 0, 255))
_COMPARED = {1: np.greater, -1: np.less}


def window_of(normal: Sequence[NDArray[np.generic]], window: Window | None = None) -> Window:
    """One window for all values H W of normal images; one that is given learns their reach."""
    if window is None:
        samples = [v.ravel()[:: max(1, v.size // 100_000)].astype(np.float64) for v in normal]
        low, high = np.percentile(np.concatenate(samples), PERCENTILES)
        window = Window(float(low), float(max(high, np.nextafter(low, np.inf))))
    reached = [reach(values, window.low, window.high) for values in normal]
    return replace(window, least=min(r[0] for r in reached), most=max(r[1] for r in reached))


def show(values: NDArray[np.generic], window: Window) -> Shown:
    """Values H W as gray RGB; what lies far beyond the normal values is told of, and not cut.

    Places are marked in a colour and are a doubt. Single pixels are hot or dead ones of the sensor,
    if they are few: they are filled from around them. Where the normal values are not known, the
    window stands for them, and all is shown as it is.
    """
    width, known = window.high - window.low, window.most is not None
    least = window.low if window.least is None else window.least
    most = window.high if window.most is None else window.most
    scaled = (values.astype(np.float64) - window.low) / width
    gray = np.rint(np.clip(scaled, 0, 1) * 255).astype(np.uint8)
    rgb = np.repeat(gray[..., None], 3, axis=2)
    notes = [f"{values.dtype} values {window.low:g}..{window.high:g} shown"]
    doubts = []
    for end, sign, limit, extreme in (
        (_BRIGHT, 1, most, float(values.max())),
        (_DARK, -1, least, float(values.min())),
    ):
        if sign * (extreme - limit) <= NEAR * width:
            continue
        compared, edge = _COMPARED[sign], (limit - window.low) / width
        than = f"the normal images, which end at {limit:g}" if known else f"the window's {limit:g}"
        where = f"{end.way} {than} ({end.to} {extreme:g})"
        by = FAR if end is _BRIGHT else _far_below(least, width)
        far = compared(scaled, edge + sign * by)
        if np.count_nonzero(single := far & ~places(far)) <= max(PLACE, HOT * far.size):
            far &= ~single
        if far.any():
            if known:
                rgb[far] = end.colour
            shown = f"marked in {end.name}" if known else f"shown as {end.shown}"
            doubts.append(f"{_share(far)} lie far {where}: {shown}, never called normal")
            notes.append(doubts[-1])
        elif single.any():
            if known:
                rgb[single] = around(gray, single)[:, None]
            filled = " and filled from around them" if known else ""
            count = np.count_nonzero(single)
            notes.append(f"single pixels ({count}) lie far {where}: taken for hot or dead{filled}")
        elif (near := places(compared(scaled, edge + sign * NEAR))).any():
            notes.append(f"{_share(near)} lie {where}: shown as {end.shown}")
    return Shown(rgb, tuple(notes), tuple(doubts))


def _share(marked: NDArray[np.bool_]) -> str:
    """In two digits, however small; all is 100."""
    percent = 100 * float(marked.mean())
    return f"{percent:{'.0f' if percent >= 99.5 else '.2g'}} % of the pixels"


def _far_below(least: float, width: float) -> float:
    """Widths below the normal values from where a place is marked: nothing is darker than 0."""
    return FAR if least <= 0 else min(FAR, max(FAR / 2, least / 2 / width))
