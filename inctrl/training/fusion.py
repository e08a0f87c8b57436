"""InCTRL's trainable part on one step's draw: scores, loss, gradients (CVPR 2024, as released).

The backbone is frozen, so that queries and shots come from a table of features; the residual map
and the text prior carry no gradient, the bottleneck and the two heads do.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor

from inctrl.adapters.fusion import InCTRLFusion
from inctrl.detectors.inctrl import Episode, EpisodeScores, Grouping, compare
from inctrl.errors import UsageError
from inctrl.maths.grids import resize_map
from inctrl.training.episodes import Draw
from inctrl.training.examples import Table
from inctrl.training.losses import LOSSES, segmentation

TOGETHER = 16
"""Held-out queries scored at once; in evaluation mode no query depends on another."""


@dataclass(frozen=True)
class Objective:
    """What is made small.

    loss      name in LOSSES, of the final score and of the image score, which add up
    grouping  which shots a query of a batch meets: its own, or those of the released code
    pixels    weight of the map's loss where masks are known; 0: there is no map of probabilities
    """

    loss: str = "released"
    grouping: str = "per_query"
    pixels: float = 0.0


@dataclass(frozen=True, eq=False)
class StepLoss:
    """The parts and their sum; `pixels` is 0 where no mask is known."""

    total: Tensor
    final: Tensor
    image: Tensor
    pixels: Tensor


def episode(table: Table, prototypes: Tensor | None, draw: Draw, device: torch.device) -> Episode:
    """Queries and shots of a draw, from the table; prototypes c 2 e of every category."""
    return Episode(
        tuple(layer[draw.queries].to(device) for layer in table.patches),
        table.tokens[draw.queries].to(device),
        tuple(layer[draw.shots].to(device) for layer in table.patches),
        table.tokens[draw.shots].to(device),
        None if prototypes is None else prototypes[draw.categories].to(device),
    )


def score(fusion: InCTRLFusion, met: Episode, objective: Objective) -> EpisodeScores:
    """In batch mode if the fusion is in training mode."""
    return compare(fusion, met, cast(Grouping, objective.grouping))


def step_loss(
    scores: EpisodeScores, labels: Tensor, shares: Tensor, objective: Objective
) -> StepLoss:
    """Of b queries.

    labels   b, 0 normal and 1 anomalous
    shares   b h w: anomalous share of each cell, NaN where it is not known
    """
    loss: Callable[[Tensor, Tensor], Tensor] = LOSSES[objective.loss]
    final, image = loss(scores.fused.final, labels), loss(scores.fused.image, labels)
    pixels = final.new_zeros(())
    if scores.pixels is not None:
        known = ~shares.isnan().flatten(1).any(dim=1)
        if bool(known.any()):
            wanted = resize_map(shares[known], (scores.pixels.shape[1], scores.pixels.shape[2]))
            pixels = segmentation(scores.pixels[known], wanted)
    return StepLoss(final + image + objective.pixels * pixels, final, image, pixels)


@dataclass(frozen=True, eq=False)
class FrozenLearner:
    """The fusion alone, on a table of frozen features (loop.Learner)."""

    module: InCTRLFusion
    table: Table
    prototypes: Tensor | None
    objective: Objective
    device: torch.device

    def loss(self, draw: Draw) -> StepLoss:
        met = episode(self.table, self.prototypes, draw, self.device)
        scores = score(self.module, met, self.objective)
        shares = self.table.shares[draw.queries].to(self.device)
        return step_loss(scores, draw.labels.to(self.device), shares, self.objective)

    @torch.no_grad()
    def auroc(self, draws: Sequence[Draw]) -> float:
        """Mean image AUROC of draws, the fusion being in evaluation mode."""
        found = []
        for draw in draws:
            scores = []
            for start in range(0, len(draw.queries), TOGETHER):
                met = episode(self.table, self.prototypes, _part(draw, start), self.device)
                scores.append(compare(self.module, met).fused.final.cpu())
            every = torch.cat(scores)
            if not every.isfinite().all():
                raise UsageError(
                    "the scores of the held-out set are no numbers any more; train with a lower "
                    "rate or decay, or with gradients clipped to 1"
                )
            found.append(roc_auc_score(draw.labels.numpy(), every.numpy()))
        return float(np.mean(found))


def new_fusion(table: Table, objective: Objective, seed: int) -> InCTRLFusion:
    """Untrained weights of a seed, of the sizes of a table's features."""
    rows, columns = table.patches[0].shape[1:3]
    layers = len(table.patches) if objective.pixels else 0
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return InCTRLFusion(table.tokens.shape[1], rows * columns, layers)


def _part(draw: Draw, start: int) -> Draw:
    rows = slice(start, start + TOGETHER)
    return Draw(draw.queries[rows], draw.labels[rows], draw.shots[rows], draw.categories[rows])
