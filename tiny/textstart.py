"""The student before its first step: a bag of words, already close to the teacher.

From open_clip's random weights the distillation needs hundreds of steps to get as far.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from inctrl.backbones.tiny.text import encode, padded

SCALE = 0.1
"""Root mean square of the first token embeddings."""
QUIET = 0.1
"""What the random part of the blocks is multiplied by, so that it disturbs the bag little."""
FITTED = 8192
"""Sentences that the first projection is fitted on."""
RIDGE = 1e-4


@torch.no_grad()
def begin(
    model: Any,
    pieces: Tensor,
    marks: Sequence[int],
    tokens: Sequence[Sequence[int]],
    targets: Tensor,
) -> None:
    """Set a fresh model so that its embedding is a linear map of the mean of its word pieces.

    pieces     v e   what the teacher says of each word piece alone, in the space of the targets
    marks            indices of pieces without meaning: padding, begin, end
    targets    n e   of the sentences in `tokens`, unit length
    """
    width = pieces.shape[1]
    embeddings = normalize(pieces - pieces.mean(dim=0), dim=-1) * SCALE * width**0.5
    embeddings[list(marks)] = 0
    model.token_embedding.weight.copy_(embeddings)
    for block in model.transformer.resblocks:
        block.attn.in_proj_weight[: 2 * width].mul_(QUIET)  # queries, keys: near equal attention
        block.attn.out_proj.weight.mul_(QUIET)
        block.mlp.c_proj.weight.mul_(QUIET)
    first = model.transformer.resblocks[0].attn
    first.in_proj_weight[2 * width :].copy_(torch.eye(width))
    first.out_proj.weight.copy_(torch.eye(width))
    model.text_projection.copy_(_projection(model, tokens[:FITTED], targets[:FITTED]))


def _projection(model: Any, tokens: Sequence[Sequence[int]], targets: Tensor) -> Tensor:
    """The map e e from what the model now gives to the targets, by ridge regression."""
    width = targets.shape[1]
    model.text_projection.copy_(torch.eye(width))
    parts = [encode(model, padded(tokens[i : i + 512])) for i in range(0, len(tokens), 512)]
    found = torch.cat(parts).double()
    ridge = RIDGE * len(found) * torch.eye(width, dtype=torch.float64)
    solved: Tensor = torch.linalg.solve(found.T @ found + ridge, found.T @ targets.double())
    return solved.float()
