"""Windows over a grid of cells, and what they say of each cell (WinCLIP, CVPR 2023, section 4)."""

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

Grid = tuple[int, int]


def window_starts(length: int, size: int, stride: int = 1) -> list[int]:
    """First cells of the windows along one side; the last window is flush with the border.

    So no cell is left out by a stride that does not divide the side; empty where none fits.
    """
    if not 0 < stride <= size:
        raise ValueError(f"windows of {size} at every {stride} cells leave gaps")
    last = length - size
    return sorted({*range(0, last + 1, stride), last}) if last >= 0 else []


def window_index(grid: Grid, size: int, stride: int = 1) -> Tensor:
    """Which cells each window holds: w s*s, cells numbered row by row, windows in that order too.

    grid    rows and columns of the cells
    """
    rows = torch.tensor(window_starts(grid[0], size, stride), dtype=torch.long)
    columns = torch.tensor(window_starts(grid[1], size, stride), dtype=torch.long)
    inside = torch.arange(size)
    y = (rows[:, None] + inside)[:, None, :, None]
    x = (columns[:, None] + inside)[None, :, None, :]
    return (y * grid[1] + x).reshape(len(rows) * len(columns), size * size)


def harmonic_map(scores: Tensor, grid: Grid, size: int, stride: int = 1) -> Tensor:
    """Each cell's harmonic mean over the windows that cover it: n / sum 1/score.

    A window of 0 (or less: scores are only below by rounding) makes its cells 0. Sums are in
    double precision, as one small score outweighs all others.

    scores   b y x   of the windows, rows and columns as `window_starts` gives them
    returns  b h w   in the precision of the scores
    """
    covering = _covering(grid, size, stride).to(scores.device)
    values = scores.flatten(1).double()
    zero = values <= 0
    inverse = values.masked_fill(zero, 1).reciprocal() @ covering
    touched = zero.double() @ covering > 0
    means = (covering.sum(dim=0) / inverse).masked_fill(touched, 0)
    return means.reshape(-1, *grid).to(scores.dtype)


def harmonic_mean(maps: Sequence[Tensor]) -> Tensor:
    """n / sum 1/map over maps that broadcast against each other; 0 where any is 0."""
    inverse = torch.stack([m.double().reciprocal() for m in torch.broadcast_tensors(*maps)])
    return inverse.mean(dim=0).reciprocal().to(maps[0].dtype)


@lru_cache(maxsize=16)
def _covering(grid: Grid, size: int, stride: int) -> Tensor:
    """w n: 1 where a window covers a cell, else 0."""
    index = window_index(grid, size, stride)
    return torch.zeros(len(index), grid[0] * grid[1], dtype=torch.double).scatter_(1, index, 1)
