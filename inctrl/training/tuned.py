"""InCTRL's trainable part together with low-rank updates of the image tower (LoRA, ICLR 2022).

The tower changes with every step, so that there is no table of features: each step opens, and
encodes with gradients, its own queries and shots, equal images once. They are encoded a few at a
time (Inspector.batch), and what lies inside the tower is computed again on the way back instead of
being kept: memory holds the inside for these few images alone, at the cost of a second forward.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from inctrl.adapters.fusion import InCTRLFusion
from inctrl.adapters.lora import Lora, LoraShape
from inctrl.backbones.lowrank import injected, targets_of, tunable
from inctrl.backbones.rewired import RewiredBackbone
from inctrl.inspection.inspector import Inspector
from inctrl.maths.neighbours import unit
from inctrl.protocols import Tunable
from inctrl.training.episodes import Draw
from inctrl.training.examples import Example, Table, encode_examples
from inctrl.training.fusion import FrozenLearner, Objective, StepLoss, new_fusion
from inctrl.training.loop import Recipe
from inctrl.types import Features, concatenate


class Tuned(nn.Module):
    """All that training changes: the fusion, and A and B of every update in a fixed order."""

    def __init__(self, fusion: InCTRLFusion, updates: Mapping[str, nn.Parameter]) -> None:
        super().__init__()
        self.fusion = fusion
        self.updates = nn.ParameterList(updates.values())


@dataclass(frozen=True, eq=False)
class TunedLearner:
    """The fusion and the updates, on the images themselves (loop.Learner).

    inspector   its backbone holds the updates, encodes with gradients and remembers nothing
    names       of the updates, in the module's order
    seed        of the drawn defects
    """

    module: Tuned
    inspector: Inspector
    shape: LoraShape
    names: tuple[str, ...]
    examples: Sequence[Example]
    prototypes: Tensor | None
    objective: Objective
    device: torch.device
    seed: int

    def loss(self, draw: Draw) -> StepLoss:
        table, places = self._seen([draw])
        # A row for every use: gathered from a table with repeated places, gradients would be added
        # up in an order that changes from run to run.
        return self._on(_rows(table, places)).loss(_in_order(draw))

    @torch.no_grad()
    def auroc(self, draws: Sequence[Draw]) -> float:
        """Mean image AUROC of draws, as the tower is now; the fusion is in evaluation mode."""
        table, places = self._seen(draws)
        sizes = [_numbers(draw).numel() for draw in draws]
        parts = places.split(sizes)
        return self._on(table).auroc([_placed(d, p) for d, p in zip(draws, parts, strict=True)])

    @property
    def lora(self) -> Lora:
        """The updates as they are now."""
        tensors = (update.detach().cpu().clone().contiguous() for update in self.module.updates)
        return Lora(self.shape, dict(zip(self.names, tensors, strict=True)))

    def _on(self, table: Table) -> FrozenLearner:
        """From features on, all is as with a frozen tower."""
        return FrozenLearner(
            self.module.fusion, table, self.prototypes, self.objective, self.device
        )

    def _seen(self, draws: Sequence[Draw]) -> tuple[Table, Tensor]:
        """A table of the different images of draws, and the row of each of `_numbers`."""
        numbers, places = torch.cat([_numbers(d) for d in draws]).unique(return_inverse=True)
        met = [self.examples[number] for number in numbers.tolist()]
        return encoded(self.inspector, met, self.seed), places


def new_tuned(
    inspector: Inspector,
    examples: Sequence[Example],
    prototypes: Tensor | None,
    recipe: Recipe,
    objective: Objective,
    device: torch.device,
) -> TunedLearner:
    """Untrained, of the recipe's seed: the tower gives the features of the inspector's.

    UsageError for a backbone whose tower cannot be altered.
    """
    backbone = tunable(inspector.backbone)
    shape = LoraShape(recipe.lora, recipe.lora_alpha, targets_of(backbone))
    made = injected(backbone, shape.rank, shape.alpha, shape.targets, recipe.seed)
    seeing = replace(inspector, backbone=traced(made.backbone), cache=None)
    with torch.no_grad():
        first = encoded(seeing, examples[:1], recipe.seed)
    module = Tuned(new_fusion(first, objective, recipe.seed).to(device), made.parameters)
    names = tuple(made.parameters)
    return TunedLearner(
        module, seeing, shape, names, examples, prototypes, objective, device, recipe.seed
    )


def traced(backbone: Tunable) -> RewiredBackbone:
    """The backbone, encoding with gradients; the inside of the tower is not kept for them."""

    def encode(pixels: Tensor) -> Features:
        found: Features = checkpoint(
            backbone.encode_traced, pixels, use_reentrant=False, preserve_rng_state=False
        )
        return found

    return RewiredBackbone(backbone, encode, "traced")


def encoded(inspector: Inspector, examples: Sequence[Example], seed: int) -> Table:
    """The table of some examples, which gradients pass."""
    parts, shares = zip(*encode_examples(inspector, examples, seed), strict=True)
    features = concatenate(parts)
    return Table(tuple(map(unit, features.patches)), features.image, torch.cat(shares))


def _numbers(draw: Draw) -> Tensor:
    """b + b k: the examples that a draw names, queries first."""
    return torch.cat([draw.queries, draw.shots.flatten()])


def _placed(draw: Draw, places: Tensor) -> Draw:
    """A draw that names rows instead of examples: places of `_numbers`."""
    queries, shots = places.split([draw.queries.numel(), draw.shots.numel()])
    return replace(draw, queries=queries, shots=shots.reshape(draw.shots.shape))


def _in_order(draw: Draw) -> Draw:
    """A draw whose examples are the rows 0, 1, 2 and so on."""
    return _placed(draw, torch.arange(_numbers(draw).numel()))


def _rows(table: Table, places: Tensor) -> Table:
    return Table(
        tuple(layer.index_select(0, places) for layer in table.patches),
        table.tokens.index_select(0, places),
        table.shares.index_select(0, places),
    )
