"""Bringing maps of several layers onto one grid."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F


def resize_map(values: Tensor, size: tuple[int, int]) -> Tensor:
    """b h w -> b H W, bilinear with half-pixel centres; unchanged where the size fits."""
    if values.shape[-2:] == size:
        return values
    return F.interpolate(values[:, None], size=size, mode="bilinear", align_corners=False)[:, 0]


def mean_map(maps: Sequence[Tensor]) -> Tensor:
    """Equal-weight mean of maps b h w on the grid of the first one."""
    size = (maps[0].shape[-2], maps[0].shape[-1])
    return torch.stack([resize_map(m, size) for m in maps]).mean(dim=0)
