"""Losses of InCTRL's training: of probabilities b in (0, 1) and labels b in {0, 1} -> a scalar."""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from inctrl.errors import UsageError

Loss = Callable[[Tensor, Tensor], Tensor]
GAMMA = 2.0
LEAST = 1e-6
"""Probabilities are kept this far from 0 and 1, where a logarithm ends."""


def released(scores: Tensor, labels: Tensor) -> Tensor:
    """Binary focal loss as the release computes it: it takes the sigmoid of its probabilities.

    A normal image costs 0.1733 at the least and an anomalous one 0.0227, whatever is learned.
    """
    cost = F.softplus(scores) - labels * scores
    return ((1 - torch.exp(-cost)) ** GAMMA * cost).mean()


def focal(scores: Tensor, labels: Tensor) -> Tensor:
    """Binary focal loss (Lin et al., ICCV 2017, eq. 5), gamma 2, without class weights."""
    cost = _cross_entropies(scores, labels)
    return ((1 - torch.exp(-cost)) ** GAMMA * cost).mean()


def cross_entropy(scores: Tensor, labels: Tensor) -> Tensor:
    """Mean binary cross entropy."""
    return _cross_entropies(scores, labels).mean()


def segmentation(maps: Tensor, shares: Tensor) -> Tensor:
    """Focal loss of the cells plus the soft Dice loss of each image with anomalous cells.

    maps    b h w in (0, 1)
    shares  b h w: the anomalous share of each cell
    """
    overlap = 2 * (maps * shares).flatten(1).sum(dim=1)
    both = (maps + shares).flatten(1).sum(dim=1)
    marked = shares.flatten(1).amax(dim=1) > 0
    dice = 1 - (overlap + LEAST) / (both + LEAST)
    return focal(maps, shares) + (dice * marked).sum() / marked.sum().clamp_min(1)


def descend(optimiser: torch.optim.Optimizer, loss: Tensor, otherwise: str) -> float:
    """One step down; gives the loss. UsageError, ending in `otherwise`, where it is no number."""
    value = loss.item()
    if not math.isfinite(value):
        raise UsageError(f"the loss is {value}{otherwise}")
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return value


LOSSES: dict[str, Loss] = {"released": released, "focal": focal, "bce": cross_entropy}


def _cross_entropies(scores: Tensor, labels: Tensor) -> Tensor:
    bounded = scores.clamp(LEAST, 1 - LEAST)
    return -(labels * bounded.log() + (1 - labels) * (1 - bounded).log())
