"""Residuals: of a query to its normal references (InCTRL, CVPR 2024, section 3), or to itself."""

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from inctrl.maths.neighbours import nearest_similarity, unit

APART = 0.12
"""Positions nearer than this share of the side do not count as another place of the image."""
PAIRS = 2**22
"""Pairs of positions of an image compared at a time: bounds the memory whatever the grid is."""


def patch_residuals(query: Tensor, references: Tensor) -> Tensor:
    """Half the cosine distance from each query patch to its nearest reference patch (eq. 1).

    query       ... n d   unit length along d
    references  ... m d   unit length along d
    returns     ... n     0 = seen before, 1 = opposite
    """
    return ((1 - nearest_similarity(query, references)) / 2).clamp_min(0)


def elsewhere_residuals(maps: Tensor) -> Tensor:
    """Half the cosine distance from each position to the nearest place elsewhere in its image.

    maps     b h w d   any length
    returns  b h w     0 = seen elsewhere too, or nothing is elsewhere (a grid of one position)
    """
    _, height, width, _ = maps.shape
    patches = unit(maps.flatten(1, 2))
    block = max(1, PAIRS // patches.shape[1])
    found = []
    for start, part in enumerate(patches.split(block, dim=1)):
        near, alone = _near(height, width, start * block, block, maps.device)
        similarity = (part @ patches.transpose(1, 2)).masked_fill_(near, -1)
        residuals = ((1 - similarity.amax(dim=2)) / 2).clamp_min(0)
        found.append(residuals.masked_fill(alone, 0))
    return torch.cat(found, dim=1).reshape(maps.shape[:3])


@lru_cache(maxsize=8)
def _near(
    height: int, width: int, start: int, count: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """m n: whether each of `count` positions from `start` on is one place with each of all n.

    And m: whether it is so with all of them.
    """
    with torch.inference_mode(False):  # kept for calls that gradients pass
        y = torch.arange(height, device=device) / height
        x = torch.arange(width, device=device) / width
        place = torch.stack(torch.meshgrid(y, x, indexing="ij"), dim=-1).flatten(0, 1)
        near = torch.cdist(place[start : start + count], place) < APART
        return near, near.all(dim=1)


def image_residual(query: Tensor, shots: Tensor) -> Tensor:
    """Mean adapted shot token minus the adapted query token (eq. 4; shots minus query).

    query    ... e     adapted image tokens
    shots    ... k e   adapted image tokens of the shots
    returns  ... e
    """
    return shots.mean(dim=-2) - query


def released_grouping(
    queries: Sequence[Tensor], shots: Sequence[Tensor], tokens: Tensor
) -> tuple[list[Tensor], list[Tensor], Tensor]:
    """Regroup a batch as the release does: reshapes without the transposes they need.

    The release flattens (layer, query) and (layer, shot, query) and cuts the flat lists into
    runs of l layers and k shots, so that for b > 1 slot (query i, layer j) holds another image
    or layer. For b = 1 nothing moves. Kept to reproduce published numbers.

    queries  l tensors b n d
    shots    l tensors b k n d
    tokens   b k e
    returns  the same shapes
    """
    layers, (b, k, n, d) = len(shots), shots[0].shape
    query = torch.stack(list(queries)).reshape(b, layers, n, d)
    shot = torch.stack(list(shots)).transpose(1, 2).reshape(b, layers, k, n, d)
    token = tokens.transpose(0, 1).reshape(b, k, -1)
    return list(query.unbind(1)), list(shot.unbind(1)), token
