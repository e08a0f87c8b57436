"""Nearest neighbours by cosine similarity, in blocks of memory rows."""

import torch
from torch import Tensor
from torch.nn import functional as F

BLOCK = 16_384
"""Memory rows compared at a time: bounds the n x m similarity matrix whatever m is."""


def unit(vectors: Tensor) -> Tensor:
    """... d -> ... d, each divided by its length (a zero vector stays zero)."""
    return F.normalize(vectors, dim=-1)


def nearest_similarity(query: Tensor, memory: Tensor) -> Tensor:
    """Largest cosine similarity of each query vector to any memory row.

    query    ... n d   unit length along d
    memory   ... m d   unit length along d; leading axes broadcast against the query's
    returns  ... n     in [-1, 1]
    """
    best: Tensor | None = None
    for block in memory.split(BLOCK, dim=-2):
        similarity = (query @ block.transpose(-1, -2)).amax(dim=-1)
        best = similarity if best is None else torch.maximum(best, similarity)
    if best is None:
        raise ValueError("the memory is empty")
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
