"""The joint image-text space of `tiny`: what an image shows, and whether it is damaged.

    image      [ content ; g a ; g sqrt(1 - a^2) ; 0 ]       a in (-1, 1): damaged or flawless
    sentence   [ meaning ; g u ; 0 ; g sqrt(1 - u^2) ]       u in (-1, 1): says damaged or flawless

All vectors have the length sqrt(1 + g^2), so normalising them changes nothing, and an inner
product is <content, meaning> + g^2 a u. A sentence that says nothing of a state has u near 0.

Content has two paths. The concept path needs no training: the class probabilities of the frozen
tower times the meanings of the class names. The linear path maps the pooled feature. The state
comes from image statistics (maths/statistics.py), since a pooled feature misses small defects.
"""

from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, linear, normalize

from inctrl.files.tensors import load_exactly, read_part

POOLED, CLASSES, MEANING, STATISTICS = 1280, 1000, 256, 2392
VOTES, HIDDEN, WORDING = 6, 64, 32
CONCEPT_WEIGHT = 0.5
"""Above it materials are lost, below it things that no sentence was paired with in training."""
STATE_GAIN = 0.7
"""g: at CLIP's temperature of 0.01 differences of state outweigh those of content."""
LOGITS_A_UNIT = 4.0
"""Log-odds of a damage that make a = tanh(1)."""
CLIP = 6.0
"""Statistics further off than so many standard deviations of training images count as so far."""
FLAWLESS, DAMAGED, NEUTRAL = 0, 1, 2
PREFIX = "joint."
"""Of its tensors in the weights file, which holds the text tower too."""


class JointSpace(nn.Module):
    """The heads; tiny/ (content.py, state.py) trains them on frozen features."""

    mean: Tensor
    deviation: Tensor
    names: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(POOLED, MEANING)
        self.damage = nn.ModuleList(
            nn.Sequential(
                nn.Linear(STATISTICS, HIDDEN), nn.GELU(), nn.Dropout(0.3), nn.Linear(HIDDEN, 1)
            )
            for _ in range(VOTES)
        )
        self.wording = nn.Sequential(nn.Linear(MEANING, WORDING), nn.GELU(), nn.Linear(WORDING, 3))
        self.register_buffer("mean", torch.zeros(STATISTICS))
        self.register_buffer("deviation", torch.ones(STATISTICS))
        self.register_buffer("names", torch.zeros(CLASSES, MEANING))

    @classmethod
    def load(cls, weights: Path) -> "JointSpace":
        """From a file of the training program, frozen."""
        space = cls().eval().requires_grad_(False)
        load_exactly(space, read_part(weights, PREFIX), str(weights))
        return space

    def image(self, pooled: Tensor, classes: Tensor, statistics: Tensor) -> Tensor:
        """pooled n p, logits of the classes n c, statistics n s -> n MEANING + 3."""
        concept = normalize(classes.softmax(dim=-1) @ self.names, dim=-1)
        learnt = normalize(self.linear(pooled), dim=-1)
        content = normalize(CONCEPT_WEIGHT * concept + learnt, dim=-1)
        state = torch.tanh(self.damage_logit(statistics) / LOGITS_A_UNIT)
        return torch.cat([content, STATE_GAIN * _on_circle(state, first=True)], dim=1)

    def sentence(self, meaning: Tensor) -> Tensor:
        """meaning n MEANING, unit length -> n MEANING + 3."""
        said = self.wording(meaning).softmax(dim=-1)
        state = said[:, DAMAGED] - said[:, FLAWLESS]
        return torch.cat([meaning, STATE_GAIN * _on_circle(state, first=False)], dim=1)

    def damage_logit(self, statistics: Tensor) -> Tensor:
        """statistics n s -> n, log-odds that the image shows something damaged.

        The mean of several small networks: one alone moves by ten points on real images with the
        seed of its training.
        """
        hidden, bias, out, level = self._joined_votes
        return gelu(linear(self.standardised(statistics), hidden, bias)) @ out + level

    @cached_property
    def _joined_votes(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The mean of all votes as one network: a query takes one pass, not six.

        For trained votes only: what is computed here is kept.
        """
        votes: list[Any] = list(self.damage)
        first, last = [vote[0] for vote in votes], [vote[3] for vote in votes]
        return (
            torch.cat([layer.weight for layer in first]),
            torch.cat([layer.bias for layer in first]),
            torch.cat([layer.weight[0] for layer in last]) / VOTES,
            torch.cat([layer.bias for layer in last]).mean(),
        )

    def standardised(self, statistics: Tensor) -> Tensor:
        """In standard deviations of the training images."""
        return ((statistics - self.mean) / self.deviation).clamp(-CLIP, CLIP)


def _on_circle(state: Tensor, *, first: bool) -> Tensor:
    """n in [-1, 1] -> n 3 of unit length; what fills up the length differs for the two towers."""
    rest, none = (1 - state.square()).clamp(min=0).sqrt(), torch.zeros_like(state)
    return torch.stack([state, rest, none] if first else [state, none, rest], dim=1)
