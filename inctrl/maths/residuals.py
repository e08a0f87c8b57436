"""Residuals between a query and its normal references (InCTRL, CVPR 2024, section 3)."""

from torch import Tensor

from inctrl.maths.neighbours import nearest_similarity


def patch_residuals(query: Tensor, references: Tensor) -> Tensor:
    """Half the cosine distance from each query patch to its nearest reference patch (eq. 1).

    query       ... n d   unit length along d
    references  ... m d   unit length along d
    returns     ... n     0 = seen before, 1 = opposite
    """
    return ((1 - nearest_similarity(query, references)) / 2).clamp_min(0)


def image_residual(query: Tensor, shots: Tensor) -> Tensor:
    """Mean adapted shot token minus the adapted query token (eq. 4; shots minus query).

    query    ... e     adapted image tokens
    shots    ... k e   adapted image tokens of the shots
    returns  ... e
    """
    return shots.mean(dim=-2) - query
