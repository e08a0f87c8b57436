"""Maps of several layers on one grid, and the highest values of a map as one number."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F


def resize_map(values: Tensor, size: tuple[int, int]) -> Tensor:
    """b h w -> b H W, bilinear with half-pixel centres; unchanged where the size fits."""
    if values.shape[-2:] == size:
        return values
    return F.interpolate(values[:, None], size=size, mode="bilinear", align_corners=False)[:, 0]


def on_one_grid(maps: Sequence[Tensor]) -> Tensor:
    """l maps b h w -> b l H W, on the grid of the first one."""
    size = (maps[0].shape[-2], maps[0].shape[-1])
    return torch.stack([resize_map(m, size) for m in maps], dim=1)


def mean_map(maps: Sequence[Tensor]) -> Tensor:
    """Equal-weight mean of maps b h w on the grid of the first one."""
    return on_one_grid(maps).mean(dim=1)


def voted_map(maps: Sequence[Tensor]) -> Tensor:
    """`mean_map`, but maps of one grid share a vote.

    Neighbouring blocks of a transformer say nearly the same: beside another tower their number
    must not count.
    """
    grids = [m.shape[-2:] for m in maps]
    counts = [grids.count(grid) for grid in grids]
    if len(set(counts)) == 1:
        return mean_map(maps)
    votes = 1 / torch.tensor(counts, dtype=maps[0].dtype, device=maps[0].device)
    return torch.einsum("blhw,l->bhw", on_one_grid(maps), votes / votes.sum())


def repeat_concat(layers: Sequence[Tensor]) -> Tensor:
    """Layers b h w d of falling resolution -> b h w d1+d2+..., on the grid of the first one.

    Each cell of a coarser layer is repeated over the cells it covers (nearest neighbour); where
    the finer side is no multiple, over those whose corner lies in it. PaDiM and RegAD write the
    same as unfold, concatenate, fold.
    """
    rows, columns = layers[0].shape[1:3]
    return torch.cat([_repeat(layer, rows, columns) for layer in layers], dim=-1)


def _repeat(layer: Tensor, rows: int, columns: int) -> Tensor:
    height, width = layer.shape[1:3]
    if (height, width) == (rows, columns):
        return layer
    down = torch.arange(rows, device=layer.device) * height // rows
    across = torch.arange(columns, device=layer.device) * width // columns
    return layer[:, down][:, :, across]


def top_mean(values: Tensor, share: float) -> Tensor:
    """Mean of the highest `share` of the last axis, of one value at least.

    values   ... n
    share    in (0, 1]
    returns  ...
    """
    n = values.shape[-1]
    count = min(n, max(1, round(share * n)))
    return values.topk(count, dim=-1).values.mean(dim=-1)
