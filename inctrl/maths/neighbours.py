"""Nearest neighbours by cosine similarity and by Euclidean distance, in blocks of memory rows."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

BLOCK = 16_384
"""Memory rows up to which all are compared at once."""
LEAST = 512
"""Those of larger memories compared at a time at least: fewer would cost more calls than sums."""
SIMILARITIES = 2**22
"""Cosine similarities that a block of a larger memory has at the most, if that leaves LEAST."""
PAIRS = 2**24
"""Distances held at a time."""


def unit(vectors: Tensor) -> Tensor:
    """... d -> ... d, each divided by its length (a zero vector stays zero)."""
    return F.normalize(vectors, dim=-1)


def nearest_similarity(query: Tensor, memory: Tensor) -> Tensor:
    """Largest cosine similarity of each query vector to any memory row.

    query    ... n d   unit length along d
    memory   ... m d   unit length along d; leading axes broadcast against the query's
    returns  ... n     in [-1, 1]
    """
    count, rows = memory.shape[-2], BLOCK
    if not count:
        raise ValueError("the memory is empty")
    if count > BLOCK:
        rows = min(BLOCK, max(LEAST, SIMILARITIES // max(1, query.shape[:-1].numel())))
    # Even blocks: a last one of a few rows would be summed by another routine, in another order.
    first, *others = memory.tensor_split(math.ceil(count / rows), dim=-2)
    best = (query @ first.transpose(-1, -2)).amax(dim=-1)
    for block in others:
        best = torch.maximum(best, (query @ block.transpose(-1, -2)).amax(dim=-1))
    return best


def nearest_patch(query: Tensor, shots: Tensor) -> tuple[int, int, int]:
    """Shot, row and column of the shot patch nearest to one query patch.

    query   d         unit length
    shots   k h w d   unit length along d
    """
    _, rows, columns, _ = shots.shape
    best = int((shots @ query).argmax())
    shot, cell = divmod(best, rows * columns)
    return shot, cell // columns, cell % columns


def squared_norms(rows: Tensor) -> Tensor:
    """n d -> n, in blocks, so that no copy of the rows is held."""
    return torch.cat([part.square().sum(dim=1) for part in rows.split(BLOCK)])


def about_mean(rows: Tensor) -> tuple[Tensor, Tensor]:
    """n d -> their mean d, and their squared distances to it n; in blocks, without a copy."""
    centre = rows.mean(dim=0)
    return centre, torch.cat([(part - centre).square().sum(dim=1) for part in rows.split(BLOCK)])


def nearest_rows(
    query: Tensor, memory: Tensor, count: int = 1, about: tuple[Tensor, Tensor] | None = None
) -> tuple[Tensor, Tensor]:
    """The `count` memory rows nearest to each query row, nearest first; ties by index.

    query    n d
    memory   m d
    about    `about_mean(memory)` where it is known
    returns  n c squared Euclidean distances and n c row numbers, c = min(count, m)
    """
    count = min(count, len(memory))
    centre, squares = about or about_mean(memory)
    size = max(1, PAIRS // max(len(memory), count * memory.shape[1]))
    found = [_nearest(part, memory, centre, squares, count) for part in query.split(size)]
    distances, rows = zip(*found, strict=True)
    return torch.cat(distances), torch.cat(rows)


def row_distances(query: Tensor, memory: Tensor, rows: Tensor) -> Tensor:
    """Squared distances n c from query rows n d to the memory rows n c named for each.

    From differences, where norms and products lose what is small: a row is at 0 from itself.
    """
    return (query[:, None] - memory[rows]).square().sum(dim=-1)


def _nearest(
    query: Tensor, memory: Tensor, centre: Tensor, squares: Tensor, count: int
) -> tuple[Tensor, Tensor]:
    # |m - c|^2 - 2 m.(q - c) differs from |m - q|^2 by what is the same for all rows. About the
    # mean c it is small where all features lie far from the origin, and so is its rounding.
    distances = torch.addmm(squares, query - centre, memory.T, alpha=-2)
    kept = []
    for _ in range(count):
        row = distances.argmin(dim=1)  # topk does not say which of equal rows it takes
        kept.append(row)
        if len(kept) < count:
            distances.scatter_(1, row[:, None], torch.inf)
    rows = torch.stack(kept, dim=1)
    return row_distances(query, memory, rows), rows
