"""Which references a query of a batch meets in the released InCTRL code."""

from collections.abc import Sequence

import torch
from torch import Tensor


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
