"""An image in overlapping square tiles, and their maps as one without seams.

Along the longer side L lie n tiles of side t = L / (1 + (n - 1)(1 - OVERLAP)); along the shorter
one as many of that side as overlap no less, evenly spaced. In the whole map each tile counts with
a weight that falls to 0 towards those of its borders that lie inside the image; all sum to 1.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from inctrl.views import MOST_TILES

OVERLAP = 0.25
"""Least share of a tile's side that it has in common with its neighbour."""
RIM = 0.2
"""Share of an overlap at a tile's inner border that counts for nothing: there a backbone sees the
end of its picture, and half of a thing."""
COVERED = 2.0
"""Of `automatic`, the side of a tile over that which the backbone sees, at the most."""
Span = tuple[int, int]
Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Tiling:
    """size (height, width) of an image, and its tiles `down` by `across`, row by row."""

    size: tuple[int, int]
    down: int = 1
    across: int = 1

    def __len__(self) -> int:
        return self.down * self.across

    @property
    def boxes(self) -> list[Box]:
        """Left, top, right, bottom of each tile."""
        rows, columns = self._spans
        return [(left, top, right, bottom) for top, bottom in rows for left, right in columns]

    def join(self, map_of: Callable[[int], Tensor]) -> Tensor:
        """The tiles' maps h w, asked for one at a time by number -> one of the image, H W."""
        joined = torch.zeros(self.size)
        rows, columns = map(_weights, self._spans)
        for number, (left, top, right, bottom) in enumerate(self.boxes):
            row, column = divmod(number, self.across)
            weights = rows[row][:, None] * columns[column]
            joined[top:bottom, left:right] += weights * map_of(number)
        return joined

    def at(self, row: int, column: int) -> int:
        """The tile that counts most at a pixel."""
        rows, columns = self._spans
        return _nearest(rows, row) * self.across + _nearest(columns, column)

    @cached_property
    def _spans(self) -> tuple[list[Span], list[Span]]:
        """First pixel and end of each row and of each column of tiles."""
        # Rounded up: so no pixel is left out, however small the image is.
        side = math.ceil(_side(max(self.size), max(self.down, self.across)) - 1e-6)
        return _spread(self.size[0], self.down, side), _spread(self.size[1], self.across, side)


def tiling_of(size: tuple[int, int], count: int) -> Tiling:
    """The tiles of an image (height, width), `count` of them along its longer side."""
    side, shorter, fewer = _side(max(size), count), min(size), 1
    if shorter > side:
        # A hair less, so that none is added for a rounded pixel.
        fewer += math.ceil((shorter - side) / (side * (1 - OVERLAP)) - 0.01)
    return Tiling(size, *((fewer, count) if size[0] < size[1] else (count, fewer)))


def automatic(size: tuple[int, int], seen: int) -> int:
    """How many tiles along the longer side, for a backbone that sees `seen` x `seen` pixels.

    As few as are small enough (COVERED), and no more than may be asked for.
    """
    few = (n for n in range(1, MOST_TILES) if _side(max(size), n) <= COVERED * seen)
    return next(few, MOST_TILES)


def _side(length: int, count: int) -> float:
    return length / (1 + (count - 1) * (1 - OVERLAP))


def _spread(length: int, count: int, side: int) -> list[Span]:
    """Evenly spaced stretches, the first and the last flush with the borders."""
    side = length if count == 1 else min(length, side)
    starts = [round(i * (length - side) / max(1, count - 1)) for i in range(count)]
    return [(start, start + side) for start in starts]


def _weights(spans: list[Span]) -> list[Tensor]:
    """Of each pixel of each stretch; those of one pixel sum to 1."""
    raw = []
    for i, (start, end) in enumerate(spans):
        places = torch.arange(start, end, dtype=torch.float64) + 0.5
        weight = torch.ones_like(places)
        if i > 0:
            weight *= _ramp((places - start) / max(1, spans[i - 1][1] - start))
        if i + 1 < len(spans):
            weight *= _ramp((end - places) / max(1, end - spans[i + 1][0]))
        raw.append(weight)
    total = torch.zeros(spans[-1][1], dtype=torch.float64)
    for (start, end), weight in zip(spans, raw, strict=True):
        total[start:end] += weight
    pairs = zip(spans, raw, strict=True)
    return [(weight / total[start:end]).float() for (start, end), weight in pairs]


def _ramp(inside: Tensor) -> Tensor:
    """From shares of an overlap to weights from 0 to 1: rising between RIM and 1 - RIM."""
    return ((inside - RIM) / (1 - 2 * RIM)).clamp(0, 1)


def _nearest(spans: list[Span], place: int) -> int:
    """The stretch whose middle is nearest, of those that hold a place."""
    holding = [i for i, (start, end) in enumerate(spans) if start <= place < end]
    return min(holding, key=lambda i: abs(sum(spans[i]) - 2 * place - 1))
