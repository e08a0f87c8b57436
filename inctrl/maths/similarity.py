"""Image-text similarity as a two-class probability, and how far it may move a residual score."""

import torch
from torch import Tensor

from inctrl.maths.neighbours import unit

TEMPERATURE = 0.01
"""CLIP's trained one; InCTRL and its WinCLIP use it as the constant 100 = 1 / 0.01."""


def class_logits(tokens: Tensor, prototypes: Tensor, temperature: float) -> Tensor:
    """Cosines of images and classes, divided by the temperature (CoOp, equation 1).

    tokens      b e        any length
    prototypes  (b) c e    unit length; those of one item for all, or of each image's own item
    returns     b c
    """
    return (prototypes @ unit(tokens)[..., None]).squeeze(-1) / temperature


def anomalous_probability(
    tokens: Tensor, prototypes: Tensor, temperature: float = TEMPERATURE
) -> Tensor:
    """Softmax of `class_logits` over (normal, anomalous), the anomalous part.

    tokens ... e, prototypes (...) 2 e, normal first -> ... in (0, 1)
    """
    return class_logits(tokens, prototypes, temperature).softmax(dim=-1)[..., 1]


def trust(shots: Tensor) -> Tensor:
    """How far the shots bear the prior out: 1 if it calls every one flawless, 0 if any damaged.

    shots    k   its probabilities that each normal shot is anomalous
    returns  scalar in [0, 1]; linear in the worst of them, 0 from an even chance on
    """
    return (1 - 2 * shots.amax()).clamp(min=0)


def informed(scores: Tensor, queries: Tensor, shots: Tensor, weight: float | Tensor) -> Tensor:
    """Scores raised where the prior says more of the query than of the shots, lowered for less.

    scores    b   residual scores, >= 0
    queries   b   the prior's probabilities that each query is anomalous
    shots     k   the same of the shots
    weight        the most that a score moves, as a share of it
    returns   b
    """
    return scores * (1 + torch.as_tensor(weight) * (queries - shots.mean()))
