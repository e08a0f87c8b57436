"""Training of RegAD's registration on normal images of other items (ECCV 2022).

Two sets of images of one item are run through the spatial transformers, and the siamese head says
how alike the registered maps are. The backbone stays as it is (the release trains it with the
rest), so that the features are its own. It follows that whatever lies before the first transformer
never changes: it is computed once for each image, which is decoded and resized once. The last
epoch is kept, none is chosen by looking at results (the release chooses on the target's test set).
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from inctrl.adapters.registration import Registration
from inctrl.backbones.aligned import registered, staged
from inctrl.data.categories import Category
from inctrl.errors import UsageError
from inctrl.protocols import Backbone
from inctrl.training.losses import descend
from inctrl.types import Fit

MOMENTUM = 0.9
READ = 8
"""Images encoded at a time."""


@dataclass(frozen=True)
class Recipe:
    """How long, how fast and in which order.

    epochs   every image is a query once in each
    shots    k: other images of its item that a query is compared with
    batch    queries of a step, all of one item
    rate     where the learning rate begins; it falls to 0 in the last epoch
    """

    epochs: int = 50
    shots: int = 2
    batch: int = 32
    rate: float = 1e-4
    seed: int = 0


def refuse_few(sets: Sequence[Category], shots: int) -> None:
    """UsageError that names the sets with no k other normal images for a query."""
    few = [f"{data.name!r} ({len(data.train)})" for data in sets if len(data.train) <= shots]
    if few:
        raise UsageError(
            f"{shots} shots and a query are {shots + 1} normal images, more than train/good has "
            f"in {', '.join(few)}; give fewer shots, or exclude these sets"
        )


def new_registration(
    backbone: Backbone, mode: str = "rotation_scale", seed: int = 0
) -> Registration:
    """A registration that changes nothing yet, for the layers of a backbone."""
    size, device = backbone.preprocessing.size, staged(backbone).device
    patches = backbone.encode_images(torch.zeros(1, 3, size, size, device=device)).patches
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Registration(
            [layer.shape[3] for layer in patches],
            [list(layer.shape[1:3]) for layer in patches],
            mode,
        )


@torch.no_grad()
def first_maps(backbone: Backbone, data: Category, fit: Fit) -> Tensor:
    """n d h w: the normal images of a set as the first stage leaves them, on the CPU."""
    stages = staged(backbone)
    first = stages.segments()[0]
    images = (
        [normal.open() for normal in data.train[start : start + READ]]
        for start in range(0, len(data.train), READ)
    )
    return torch.cat(
        [first(backbone.preprocessing(part, fit).to(stages.device)).cpu() for part in images]
    )


def train(
    backbone: Backbone, registration: Registration, normals: Sequence[Tensor], recipe: Recipe
) -> Iterator[float]:
    """Train in place; yields the loss of every step, `steps` in all.

    normals   the first maps n d h w of each set
    """
    stages = staged(backbone)
    rest = Rest(stages.segments(), registration.train().to(stages.device))
    # The release has three optimisers, of one setting each.
    optimiser = torch.optim.SGD(registration.parameters(), lr=recipe.rate, momentum=MOMENTUM)
    for epoch in range(1, recipe.epochs + 1):
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(epoch, recipe)
        for which, queries, supports in batches([len(n) for n in normals], recipe, epoch):
            maps = normals[which]
            loss = rest.loss(maps[queries].to(stages.device), maps[supports].to(stages.device))
            advice = f" in epoch {epoch}; train with a lower rate than {recipe.rate:g}"
            yield descend(optimiser, loss, advice)


@dataclass(frozen=True, eq=False)
class Rest:
    """The way from the first maps to the loss."""

    segments: Sequence[nn.Module]
    registration: Registration

    def loss(self, queries: Tensor, supports: Tensor) -> Tensor:
        """First maps of queries b d h w, and of their supports b k d h w -> a scalar."""
        query = self.registered(queries)
        support = self.registered(supports.flatten(0, 1)).unflatten(0, supports.shape[:2])
        return self.registration.loss_map(query, support.mean(dim=1)).mean()

    def registered(self, first: Tensor) -> Tensor:
        """First maps -> the last stage's, warped by all transformers and not warped back."""
        return registered(first, self.segments, self.registration.transformers)[-1][0]


def learning_rate(epoch: int, recipe: Recipe) -> float:
    """Of an epoch, counted from 1: half a cosine that reaches 0 in the last one, as released."""
    return recipe.rate * (1 + math.cos(math.pi * epoch / recipe.epochs)) / 2


def batches(
    sizes: Sequence[int], recipe: Recipe, epoch: int
) -> Iterator[tuple[int, Tensor, Tensor]]:
    """The set, its queries b and their supports b k of each step of an epoch, in mixed order.

    sizes   images of each set; the parts of a set are as equal as can be
    """
    random = torch.Generator().manual_seed(recipe.seed * 1_000_003 + epoch)
    parts = [
        (which, part)
        for which, size in enumerate(sizes)
        for part in torch.randperm(size, generator=random).chunk(-(-size // recipe.batch))
    ]
    for i in torch.randperm(len(parts), generator=random).tolist():
        which, queries = parts[i]
        drawn = [_others(int(q), sizes[which], recipe.shots, random) for q in queries]
        yield which, queries, torch.stack(drawn)


def steps(sizes: Sequence[int], recipe: Recipe) -> int:
    """How many steps the training takes."""
    return recipe.epochs * sum(1 for _ in batches(sizes, recipe, 1))


def _others(query: int, size: int, shots: int, random: torch.Generator) -> Tensor:
    """k different images that are not the query."""
    drawn = torch.randperm(size - 1, generator=random)[:shots]
    return drawn + (drawn >= query)
