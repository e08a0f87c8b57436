"""Training of CoOp's prompts on labelled images of other items (IJCV 2022, as released).

Only the context vectors move: image features are encoded once, without crops and flips, so that a
step is one pass of the text tower over the prompts of the batch's items. SGD with momentum; the
first epoch at FIRST_RATE, then half a cosine. Batches hold as many normal as anomalous images of
each item, since cross entropy on one class alone goes to a constant.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from inctrl.adapters.prompt_context import PromptContext
from inctrl.data.categories import Category
from inctrl.errors import UsageError
from inctrl.inspection.inspector import Inspector
from inctrl.maths.neighbours import unit
from inctrl.maths.placement import Position
from inctrl.maths.similarity import TEMPERATURE, class_logits
from inctrl.prompting import STATES, encode_states, taking_context
from inctrl.protocols import Backbone
from inctrl.training.losses import descend

RATE, FIRST_RATE = 0.002, 1e-5
MOMENTUM, WEIGHT_DECAY = 0.9, 5e-4
SPREAD = 0.02
"""Standard deviation of random first vectors, that of CLIP's token embeddings."""
LENGTH = 16
"""Vectors where neither a number nor words are given."""


@dataclass(frozen=True)
class Recipe:
    """How long and in which order; `batch` is even, in pairs of normal and anomalous images."""

    epochs: int
    batch: int = 32
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Examples:
    """Labelled images as the frozen tower sees them.

    images     n e, unit length
    anomalous  n, bool
    item       n, index into `items`
    """

    images: Tensor
    anomalous: Tensor
    item: Tensor
    items: tuple[str, ...]


def refuse_one_class(sets: Sequence[Category]) -> None:
    """UsageError for a set whose test images are of one class alone."""
    for data in sets:
        kinds = {sample.anomalous for sample in data.test}
        for kind, word in ((True, "anomalous"), (False, "normal")):
            if kind not in kinds:
                raise UsageError(
                    f"set {data.name!r} has no {word} test image: cross entropy on one class "
                    "alone learns to answer it always; add some, or exclude "
                    f"{data.name!r}"
                )


def refuse_long_names(backbone: Backbone, context: PromptContext, items: Sequence[str]) -> None:
    """UsageError for an item whose name does not fit the text tower beside the vectors."""
    with torch.no_grad():
        encode_states(backbone, context, items)


def encode_examples(inspector: Inspector, sets: Sequence[Category]) -> Iterator[Examples]:
    """The test images of every set, a batch at a time; the item is the name of the set."""
    items = tuple(dict.fromkeys(data.words for data in sets))
    for data in sets:
        for start in range(0, len(data.test), inspector.batch):
            part = data.test[start : start + inspector.batch]
            seen = inspector.encode([sample.image.open() for sample in part])
            yield Examples(
                unit(seen.image),
                torch.tensor([sample.anomalous for sample in part]),
                torch.full((len(part),), items.index(data.words)),
                items,
            )


def joined(parts: Sequence[Examples]) -> Examples:
    """Parts over the same items as one."""
    return Examples(
        torch.cat([part.images for part in parts]),
        torch.cat([part.anomalous for part in parts]),
        torch.cat([part.item for part in parts]),
        parts[0].items,
    )


def first_context(
    backbone: Backbone,
    *,
    length: int | None = None,
    words: str | None = None,
    own: bool = False,
    position: Position = "end",
    seed: int = 0,
    temperature: float = TEMPERATURE,
) -> PromptContext:
    """A context before its first step: random, or the embeddings of `words`, a vector a token.

    own    whether each class has a context of its own (CoOp's CSC)
    """
    embedded = taking_context(backbone).embed_words(words or "").detach().float().cpu()
    if words is not None and not len(embedded):
        raise UsageError(f"{words!r} holds no words to start from; leave them out")
    if words and length not in (None, len(embedded)):
        raise UsageError(
            f"{words!r} is {len(embedded)} tokens to {backbone.name!r}, not {length} vectors; "
            "leave the length out"
        )
    count = len(embedded) or length or LENGTH
    contexts = len(STATES) if own else 1
    context = PromptContext(count, embedded.shape[1], contexts, position, temperature)
    random = torch.Generator().manual_seed(seed)
    drawn = SPREAD * torch.randn(context.vectors.shape, generator=random)
    with torch.no_grad():
        context.vectors.copy_(embedded.expand_as(drawn) if len(embedded) else drawn)
    return context


def train(
    backbone: Backbone, context: PromptContext, examples: Examples, recipe: Recipe
) -> Iterator[float]:
    """Train `context` in place; yields the loss of every step, `steps` in all."""
    optimiser = optimiser_of(context)
    for epoch in range(recipe.epochs):
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(epoch, recipe.epochs)
        for rows in batches(examples, recipe, epoch):
            used, place = examples.item[rows].unique(return_inverse=True)
            prompts = encode_states(backbone, context, [examples.items[i] for i in used.tolist()])
            yield step(
                optimiser,
                class_logits(examples.images[rows], prompts.cpu()[place], context.temperature),
                examples.anomalous[rows].long(),
            )


def step(optimiser: torch.optim.Optimizer, logits: Tensor, labels: Tensor) -> float:
    """One step down the mean cross entropy of logits b c and class numbers b; gives the loss."""
    why = ": the vectors have left the range of the text tower; "
    advice = f"{why}train with another seed, or from words"
    return descend(optimiser, F.cross_entropy(logits, labels), advice)


def optimiser_of(context: PromptContext) -> torch.optim.SGD:
    """The decay is added to the gradient; the momentum begins as the first gradient."""
    return torch.optim.SGD(
        context.parameters(), lr=RATE, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY
    )


def learning_rate(epoch: int, epochs: int) -> float:
    """Of an epoch, counted from 0: the cosine begins after the first, as in the release."""
    if epoch == 0:
        return FIRST_RATE
    return RATE * (1 + math.cos(math.pi * (epoch - 1) / epochs)) / 2


def batches(examples: Examples, recipe: Recipe, epoch: int) -> Iterator[Tensor]:
    """Rows of each batch of an epoch, in which every image comes at least once.

    The images of an item are paired, a normal with an anomalous one; those of the smaller class
    come again. All pairs are then shuffled.
    """
    random = torch.Generator().manual_seed(recipe.seed * 1_000_003 + epoch)
    pairs = torch.cat([_pairs(examples, i, random) for i in range(len(examples.items))])
    order = torch.randperm(len(pairs), generator=random)
    for part in pairs[order].split(recipe.batch // 2):
        yield part.flatten()


def steps(examples: Examples, recipe: Recipe) -> int:
    """How many steps the training takes."""
    return recipe.epochs * sum(1 for _ in batches(examples, recipe, 0))


def _pairs(examples: Examples, item: int, random: torch.Generator) -> Tensor:
    """Rows p 2 of an item, normal first; p is the size of its larger class."""
    groups = [
        ((examples.item == item) & (examples.anomalous == kind)).nonzero()[:, 0]
        for kind in (False, True)
    ]
    most = max(map(len, groups))
    return torch.stack([_drawn(group, most, random) for group in groups], dim=1)


def _drawn(rows: Tensor, count: int, random: torch.Generator) -> Tensor:
    """`count` of the rows in random order, all of them before any comes again."""
    rounds = -(-count // len(rows))
    orders = [torch.randperm(len(rows), generator=random) for _ in range(rounds)]
    return rows[torch.cat(orders)[:count]]
