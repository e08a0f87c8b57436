"""How an image of any shape meets the square a backbone sees, and the way back.

`squash` scales both sides to S; `crop` scales the shorter side to `short` and keeps the centre
square; `pad` scales the longer side to S and fills up. Numbers of `crop` follow torchvision's
Resize + CenterCrop, which CLIP and InCTRL use.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class View:
    """Where the S x S square lies in the image scaled to `scaled` (height, width).

    left, top    corner of the square in scaled pixels; negative where padded
    """

    source: tuple[int, int]
    scaled: tuple[int, int]
    side: int
    top: int
    left: int

    def to_source(self, grid: Tensor) -> Tensor:
        """A map h w over the square -> H W over the source image; 0 where nothing was seen."""
        if self.scaled == (self.side, self.side):
            return _bilinear(grid, self.source)
        square = _bilinear(grid, (self.side, self.side))
        height, width = self.scaled
        canvas = square.new_zeros(height, width)
        top, left = max(self.top, 0), max(self.left, 0)
        bottom, right = min(self.top + self.side, height), min(self.left + self.side, width)
        canvas[top:bottom, left:right] = square[
            top - self.top : bottom - self.top, left - self.left : right - self.left
        ]
        return _bilinear(canvas, self.source)

    def cell_box(self, row: int, column: int, grid: tuple[int, int]) -> tuple[int, int, int, int]:
        """Left, top, right, bottom in source pixels of one cell of a grid over the square."""
        rows, columns = grid
        up, across = self.source[0] / self.scaled[0], self.source[1] / self.scaled[1]
        top = (self.top + row * self.side / rows) * up
        left = (self.left + column * self.side / columns) * across
        bottom = (self.top + (row + 1) * self.side / rows) * up
        right = (self.left + (column + 1) * self.side / columns) * across
        height, width = self.source
        # One rounding for all four sides, so that the boxes of neighbouring cells meet exactly.
        x0, y0 = min(max(round(left), 0), width - 1), min(max(round(top), 0), height - 1)
        x1, y1 = min(max(round(right), x0 + 1), width), min(max(round(bottom), y0 + 1), height)
        return x0, y0, x1, y1

    def cell_at(self, row: int, column: int, grid: tuple[int, int]) -> tuple[int, int]:
        """The cell of a grid over the square behind a source pixel; the nearest one beside it."""
        down = (row + 0.5) * self.scaled[0] / self.source[0] - self.top
        across = (column + 0.5) * self.scaled[1] / self.source[1] - self.left
        y, x = int(down * grid[0] / self.side), int(across * grid[1] / self.side)
        return min(max(y, 0), grid[0] - 1), min(max(x, 0), grid[1] - 1)


def view_of(
    source: tuple[int, int],
    side: int,
    fit: Literal["squash", "crop", "pad"],
    short: int = 0,
    floor: bool = False,
) -> View:
    """The view of a source image (height, width) under a fit.

    short   for crop, the shorter side once scaled (default S)
    floor   for crop, halve an odd margin downwards instead of to the even neighbour
    """
    if fit == "squash":
        return View(source, (side, side), side, 0, 0)
    height, width = source
    if fit == "crop":
        short = short or side
        if height <= width:
            scaled = (short, int(short * width / height))
        else:
            scaled = (int(short * height / width), short)
        # Python rounds half to even, as torchvision's center_crop does.
        halve = math.floor if floor else round
        top, left = halve((scaled[0] - side) / 2), halve((scaled[1] - side) / 2)
        return View(source, scaled, side, top, left)
    longest = max(height, width)
    scaled = (max(1, round(side * height / longest)), max(1, round(side * width / longest)))
    return View(source, scaled, side, -((side - scaled[0]) // 2), -((side - scaled[1]) // 2))


def _bilinear(values: Tensor, size: tuple[int, int]) -> Tensor:
    resized = F.interpolate(
        values[None, None].to(torch.float32), size=size, mode="bilinear", align_corners=False
    )
    return resized[0, 0]
