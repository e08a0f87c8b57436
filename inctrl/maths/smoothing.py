"""Gaussian smoothing of maps, and the way from a detector's grid to pixels."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor

from inctrl.maths.grids import resize_map

Edge = Literal["symmetric", "mirror"]
TRUNCATE = 4.0
"""Standard deviations after which the kernel ends, as in scipy.ndimage."""
SIGMA = 4 / 224
"""Standard deviation as a share of the longer side: 4 pixels at 224 in all CNN methods."""


def smooth(maps: Tensor, sigma: float, edge: Edge = "symmetric") -> Tensor:
    """b h w -> b h w, convolved with a Gaussian of standard deviation `sigma`, in cells.

    edge     "symmetric" repeats the edge (d c b a | a b c d | d c b a, SciPy's `reflect`);
             "mirror" does not (d c b | a b c d | c b a)
    """
    rows, columns = (_blur(n, sigma, edge).to(maps) for n in maps.shape[-2:])
    return rows @ maps @ columns.T


def pixel_map(maps: Tensor, longest: int) -> Tensor:
    """b h w -> b H W, the longer side `longest`: bilinear, then smoothed with SIGMA of it."""
    return smooth(resize_map(maps, pixel_size(maps.shape[-2:], longest)), SIGMA * longest)


def pixel_size(grid: Sequence[int], longest: int) -> tuple[int, int]:
    """Height and width of a grid (rows, columns) brought to a longer side of `longest` pixels."""
    rows, columns = grid
    scale = longest / max(rows, columns)
    return max(1, round(rows * scale)), max(1, round(columns * scale))


def cell_at(pixel: tuple[int, int], grid: tuple[int, int], longest: int) -> tuple[int, int]:
    """The cell of a grid behind a pixel of its `pixel_map`."""
    height, width = pixel_size(grid, longest)
    return pixel[0] * grid[0] // height, pixel[1] * grid[1] // width


@lru_cache(maxsize=32)
def _blur(n: int, sigma: float, edge: Edge) -> Tensor:
    """n n: a row holds the weights of all cells in one smoothed cell, edges folded in.

    As a matrix a convolution has no edge case, however small the map is.
    """
    radius = int(TRUNCATE * sigma + 0.5)
    offsets = torch.arange(-radius, radius + 1)
    kernel = torch.exp(-offsets.double().square() / (2 * sigma**2))
    kernel /= kernel.sum()
    reached = torch.arange(n)[:, None] + offsets
    if edge == "symmetric":
        reached = reached % (2 * n)
        cells = torch.where(reached < n, reached, 2 * n - 1 - reached)
    else:
        period = max(1, 2 * n - 2)
        reached = reached % period
        cells = torch.where(reached < n, reached, period - reached)
    return torch.zeros(n, n, dtype=torch.float64).scatter_add_(1, cells, kernel.expand(n, -1))
