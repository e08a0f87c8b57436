"""Image-text similarity as a two-class probability."""

from torch import Tensor

from inctrl.maths.neighbours import unit

TEMPERATURE = 0.01
"""CLIP's trained one; InCTRL and its WinCLIP use it as the constant 100 = 1 / 0.01."""


def anomalous_probability(
    tokens: Tensor, prototypes: Tensor, temperature: float = TEMPERATURE
) -> Tensor:
    """Softmax over (normal, anomalous) of cosine / temperature, the anomalous part.

    tokens      b e     any length
    prototypes  ... 2 e   unit length, normal first; one pair for all or one for each token
    returns     b       in (0, 1)
    """
    cosines = (prototypes @ unit(tokens)[..., None]).squeeze(-1)
    return (cosines / temperature).softmax(dim=-1)[..., 1]
