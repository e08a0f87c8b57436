"""Prompts with learned vectors, through the text towers of open_clip (CoOp, IJCV 2022).

A tower's own pass begins with token ids, which learned vectors do not have. This is the same pass
from the embeddings on, with the tower's mask, activation, pooling and projection.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from inctrl.errors import UsageError
from inctrl.maths.placement import Position, place

Tokenise = Callable[[list[str]], list[list[int]]]
"""n texts -> n token lists, each with start and end tokens where the tower has them."""
AT_THE_END_TOKEN = ("argmax", "eos")
"""Poolings by the end token: it has the largest id in CLIP's vocabulary, another one elsewhere."""


@dataclass(frozen=True, eq=False)
class Prompts:
    """n prompts [start][placeholder x m][name][.][end][fill], as a tower takes them.

    tokens        n t
    first         number of start tokens
    name_lengths  n, tokens of each name
    ends          n, where the end token stands
    """

    tokens: Tensor
    first: int
    name_lengths: tuple[int, ...]
    ends: Tensor


@dataclass(frozen=True)
class Frame:
    """What a tokenizer puts around words: start tokens, the end token, and what fills up."""

    start: tuple[int, ...]
    end: int
    fill: int

    @classmethod
    def of(cls, tokenise: Tokenise) -> "Frame":
        """Seen from the tokens of no words and of one word, which begin alike."""
        none, one = tokenise(["", "a"])
        first = next(i for i, (a, b) in enumerate(zip(none, one, strict=False)) if a != b)
        return cls(tuple(none[:first]), none[first], (*none[first + 1 :], 0)[0])

    def words(self, tokens: Sequence[int]) -> list[int]:
        """A token list without its frame."""
        inside = list(tokens[len(self.start) :])
        return inside[: inside.index(self.end)]


def word_tokens(tokenise: Tokenise, text: str) -> list[int]:
    """The tokens of a text alone, without start and end."""
    return Frame.of(tokenise).words(tokenise([text])[0])


def prompts_of(tokenise: Tokenise, names: Sequence[str], vectors: int, limit: int) -> Prompts:
    """Prompts of class names with room for `vectors`; UsageError where one exceeds `limit` tokens.

    Name and full stop are tokenised apart, so that the count of a name's tokens is exact.
    """
    frame = Frame.of(tokenise)
    filler, stop, *words = map(frame.words, tokenise(["a", ".", *names]))
    rows, ends = [], []
    for name, tokens in zip(names, words, strict=True):
        row = [*frame.start, *filler[:1] * vectors, *tokens, *stop, frame.end]
        if len(row) > limit:
            raise UsageError(
                f"class {name!r} with {vectors} learned vectors does not fit the {limit} tokens "
                "of the text tower; give a shorter name, or train with fewer vectors"
            )
        ends.append(len(row) - 1)
        rows.append([*row, *[frame.fill] * (limit - len(row))])
    lengths = tuple(map(len, words))
    return Prompts(torch.tensor(rows), len(frame.start), lengths, torch.tensor(ends))


def text_tower(model: Any, name: str) -> Any:
    """What holds the text layers of a model; UsageError where they do not take embeddings."""
    tower = getattr(model, "text", model)
    if not hasattr(tower, "token_embedding") or getattr(tower, "cls_emb", None) is not None:
        raise UsageError(
            f"the text tower of {name!r} takes no learned vectors; use 'tiny', or an openclip: "
            "model whose text tower is open_clip's own transformer and has no class token"
        )
    return tower


def encode_prompts(tower: Any, prompts: Prompts, context: Tensor, position: Position) -> Tensor:
    """Prompts with a context (n) m d in place of their placeholders -> n e, not normalised.

    Differentiable with respect to the context.
    """
    device = tower.token_embedding.weight.device
    pooling = getattr(tower, "text_pool_type", None) or tower.pool_type
    length, mask = prompts.tokens.shape[1], tower.attn_mask
    if mask is not None and pooling in AT_THE_END_TOKEN:
        length = int(prompts.ends.max()) + 1  # what follows cannot reach the end token
        mask = mask[:length, :length]
    tokens = prompts.tokens[:, :length].to(device)
    embedded = tower.token_embedding(tokens)
    x = place(embedded, context, prompts.first, prompts.name_lengths, position)
    x = tower.transformer(x + tower.positional_embedding[:length], attn_mask=mask)
    x = tower.ln_final(x)
    if pooling in AT_THE_END_TOKEN:
        pooled = x[torch.arange(len(x), device=device), prompts.ends.to(device)]
    else:
        pooled = x[:, {"first": 0, "last": -1}[pooling]]
    return _projected(pooled, tower.text_projection)


def _projected(pooled: Tensor, projection: nn.Linear | Tensor | None) -> Tensor:
    """n d -> n e, by whichever form of projection a tower has."""
    if projection is None:
        return pooled
    projected: Tensor = (
        projection(pooled) if isinstance(projection, nn.Linear) else pooled @ projection
    )
    return projected
