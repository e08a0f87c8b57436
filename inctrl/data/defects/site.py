"""The site of a defect: a square window of the image, and what a kind may know about it."""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Window:
    """A square of `side` pixels; it may hang over the image, as real defects do."""

    top: int
    left: int
    side: int

    def within(self, size: tuple[int, int]) -> tuple[slice, slice]:
        """The rows and columns of an image of this (height, width) that the window covers."""
        return (
            slice(max(self.top, 0), min(self.top + self.side, size[0])),
            slice(max(self.left, 0), min(self.left + self.side, size[1])),
        )

    def own(self, size: tuple[int, int]) -> tuple[slice, slice]:
        """The same pixels, counted from the window's corner."""
        rows, columns = self.within(size)
        return (
            slice(rows.start - self.top, rows.stop - self.top),
            slice(columns.start - self.left, columns.stop - self.left),
        )


@dataclass(frozen=True, eq=False)
class Site:
    """What a kind of defect draws on.

    rgb        h w 3   0..1, the window; mirrored where it hangs over the image
    elsewhere  h w 3   0..1, a window from another place or another image, turned at random
    surface    h w     1 on the object, 0 on the background; 1 everywhere without a clear object
    scale      the image's side in pixels, for widths that grow with the image
    """

    rgb: Floats
    elsewhere: Floats
    surface: Floats
    scale: float

    @property
    def shape(self) -> tuple[int, int]:
        return self.rgb.shape[0], self.rgb.shape[1]


def scale_of(size: tuple[int, int]) -> float:
    """The side, in pixels, that extents are relative to; a long strip counts by its width."""
    return float(min(np.sqrt(size[0] * size[1]), 2 * min(size)))


def look(rgb: NDArray[np.uint8], window: Window) -> Floats:
    """The window's pixels, h w 3 in 0..1, mirrored beyond the image."""
    rows = _mirrored(window.top, window.side, rgb.shape[0])
    columns = _mirrored(window.left, window.side, rgb.shape[1])
    return rgb[rows[:, None], columns].astype(np.float32) / np.float32(255)


def grain(rgb: Floats) -> float:
    """How much neighbouring pixels differ (standard deviation): what a defect must stand above."""
    gray = rgb.mean(axis=2)
    return float(np.hypot(np.diff(gray, axis=0).std(), np.diff(gray, axis=1).std()) / 2)


def _mirrored(start: int, count: int, size: int) -> NDArray[np.intp]:
    turned = np.arange(start, start + count) % (2 * size)
    return np.where(turned < size, turned, 2 * size - 1 - turned)
