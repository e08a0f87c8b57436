"""Where learned vectors stand in a prompt, by counts of tokens (CoOp, IJCV 2022, section 3.2)."""

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

Position = Literal["end", "middle", "front"]
"""Of the class name: after the vectors, between their halves, or before them."""
POSITIONS: tuple[str, ...] = get_args(Position)


def place(
    embedded: Tensor,
    context: Tensor,
    first: int,
    name_lengths: Sequence[int],
    position: Position,
) -> Tensor:
    """Put m learned vectors into prompts that hold m placeholders before the class name.

    embedded      n t d     [start][placeholder x m][name][the rest]
    context       (n) m d   one context for all prompts, or one for each
    first         where the placeholders begin: the number of start tokens
    name_lengths  n         tokens of each name
    returns       n t d     `end`: [start][v1..vm][name][the rest]; `middle`: the name after the
                            first floor(m / 2) vectors; `front`: the name before all of them
    """
    vectors = context.shape[-2]
    filled = torch.cat(
        [
            embedded[:, :first],
            context.to(embedded).expand(len(embedded), -1, -1),
            embedded[:, first + vectors :],
        ],
        dim=1,
    )
    orders = [
        token_order(embedded.shape[1], vectors, first, length, position) for length in name_lengths
    ]
    columns = torch.tensor(orders, device=embedded.device)
    return filled[torch.arange(len(filled), device=embedded.device)[:, None], columns]


def token_order(
    tokens: int, vectors: int, first: int, name_length: int, position: Position
) -> list[int]:
    """Which token of [start][v1..vm][name][the rest] stands at each place."""
    before = {"end": vectors, "middle": vectors // 2, "front": 0}[position]
    name, rest = first + vectors, first + vectors + name_length
    return [
        *range(first + before),
        *range(name, rest),
        *range(first + before, name),
        *range(rest, tokens),
    ]
