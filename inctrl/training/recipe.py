"""How long, how fast and in which order InCTRL's trainable part is trained."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True)
class Recipe:
    """The defaults are those of the released code.

    steps      of an epoch
    batch      queries of a step, an even number: half normal, half anomalous
    shots      numbers of shots; each step draws one
    rate       learning rate of AdamW, with no schedule; `decay` is its weight decay
    own_shots  a normal query may be its own shot, as in the release
    clip       longest gradient; 0: not clipped, as in the release
    patience   epochs without gain on the held-out category before the training ends; 0: it never
               ends early, and the best epoch is kept all the same
    save       steps between checkpoints
    lora       rank of low-rank updates of the image tower, which count lora_alpha / lora; 0: it
               stays frozen, as in the release
    """

    epochs: int = 10
    steps: int = 100
    batch: int = 16
    shots: tuple[int, ...] = (2,)
    rate: float = 1e-3
    decay: float = 0.01
    own_shots: bool = False
    clip: float = 0.0
    patience: int = 0
    seed: int = 0
    save: int = 50
    lora: int = 0
    lora_alpha: float = 0.0


def optimiser_of(parameters: Iterable[nn.Parameter], recipe: Recipe) -> torch.optim.AdamW:
    return torch.optim.AdamW(parameters, lr=recipe.rate, weight_decay=recipe.decay)
