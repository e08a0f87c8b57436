"""Ways to compare a patch with a bank of normal ones (measured by benchmarks/neighbours.py).

Each takes query b n d and bank k p d (k shots of p places), both of unit length along d, and gives
b n, higher = more anomalous. Distances are halves of cosine distances, which are quarters of
squared Euclidean ones: 0 = seen before, 1 = opposite. q is a patch of the query, a its anchor: the
patch of the bank that is nearest to it.
"""

from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor

from inctrl.maths.neighbours import unit
from inctrl.maths.residuals import patch_residuals

Residual = Callable[[Tensor, Tensor], Tensor]
Whitening = tuple[Tensor, Tensor]
"""A mean d and a matrix d d."""
COUNT = 5
"""Neighbours in the bank."""
MOST = 10
"""Neighbours of an anchor that rebuild a query at the most: more would rebuild defects too."""
RIDGE = 0.01
"""Added to the diagonal of a Gram matrix, as a share of its mean."""
SHRINK = 0.1
"""Share of a covariance that is replaced by its mean variance in all directions."""
VARIANCE = 0.99
"""Share of the bank's variance that its subspace holds."""
SMALLEST = 1e-3
"""Of densities, as a distance: places that are equal in all shots have none."""


def residuals(natural: Whitening | None) -> Mapping[str, Residual]:
    """All ways by name, today's first; `natural` is the whitening of natural images."""
    found: dict[str, Residual] = {
        "nearest": nearest,
        "soft projection": soft_projection,
        "mean of 5 nearest": mean_of_nearest,
        "3 nearest shots": nearest_shots,
        "reconstruction": reconstruction,
        "subspace": subspace,
        "density": density,
        "about the mean": centred,
        "whitened by shots": whitened_by_shots,
    }
    return found | ({"whitened": partial(whitened, by=natural)} if natural else {})


def nearest(query: Tensor, bank: Tensor) -> Tensor:
    """min_m (1 - <q, m>) / 2: today's (InCTRL, CVPR 2024, eq. 1)."""
    return patch_residuals(query, bank.flatten(0, 1))


def mean_of_nearest(query: Tensor, bank: Tensor) -> Tensor:
    """Mean distance to the COUNT nearest (Ramaswamy et al., SIGMOD 2000; SPADE, 2020)."""
    return _ranked(query, bank.flatten(0, 1), COUNT)[0].mean(dim=-1)


def soft_projection(query: Tensor, bank: Tensor) -> Tensor:
    """Distance to sum_i w_i m_i, of the COUNT nearest, w_i ~ exp(-d_i / t) (SampleNet, CVPR 2020).

    t is the mean of the d_i, as its learned temperature is not to be had; the sum has unit length.
    """
    rows = bank.flatten(0, 1)
    distances, which = _ranked(query, rows, COUNT)
    scale = distances.mean(dim=-1, keepdim=True).clamp_min(1e-9)
    weights = (-distances / scale).softmax(dim=-1)
    projected = unit(torch.einsum("bnc,bncd->bnd", weights, rows[which]))
    return ((1 - (query * projected).sum(dim=-1)) / 2).clamp_min(0)


def nearest_shots(query: Tensor, bank: Tensor) -> Tensor:
    """Mean of the nearest in each of the 3 shots that have the nearest; of fewer shots in all."""
    apart = torch.stack([patch_residuals(query, shot) for shot in bank], dim=-1)
    return apart.topk(min(3, len(bank)), dim=-1, largest=False).values.mean(dim=-1)


def reconstruction(query: Tensor, bank: Tensor) -> Tensor:
    """min_w |q - a - sum_j w_j (m_j - a)|^2 / 4, a ridge on w (Roweis & Saul, Science 290, 2000).

    An affine combination: a has the weight 1 - sum w. The m_j are the MOST neighbours of a, less
    those that are farther from a than q is.
    """
    rows = bank.flatten(0, 1)
    distances, which = _ranked(query, rows, 1)
    apart, beside = _ranked(rows, rows, MOST + 1)
    anchor = which[..., 0]
    kept = apart[anchor][..., 1:] < distances
    steps = (rows[beside[anchor][..., 1:]] - rows[anchor][..., None, :]) * kept[..., None]
    left = query - rows[anchor]
    gram = steps @ steps.transpose(-1, -2)
    ridge = RIDGE * gram.diagonal(dim1=-2, dim2=-1).mean(dim=-1) + 1e-9
    gram.diagonal(dim1=-2, dim2=-1).add_(ridge[..., None])
    weights = torch.cholesky_solve(steps @ left[..., None], torch.linalg.cholesky(gram))
    return (left - (steps * weights).sum(dim=-2)).square().sum(dim=-1) / 4


def subspace(query: Tensor, bank: Tensor) -> Tensor:
    """|(I - V V^T)(q - mean)|^2 / 4, V the axes that hold VARIANCE of the bank.

    The Q statistic (Jackson & Mudholkar, Technometrics 21, 1979).
    """
    rows = bank.flatten(0, 1)
    mean = rows.mean(dim=0)
    values, axes = torch.linalg.eigh((rows - mean).T @ (rows - mean))
    share = values.clamp_min(0).flip(0).cumsum(0)
    count = int((share < VARIANCE * share[-1]).sum()) + 1
    off = query - mean
    inside = off @ axes[:, -count:]
    outside: Tensor = off.square().sum(-1) - inside.square().sum(-1)
    return outside.clamp_min(0) / 4


def density(query: Tensor, bank: Tensor) -> Tensor:
    """|q - a| / mean |a - m| over the COUNT neighbours m of a (NN-d: Tax, thesis, Delft 2001)."""
    rows = bank.flatten(0, 1)
    distances, which = _ranked(query, rows, 1)
    apart = _ranked(rows, rows, COUNT + 1)[0][:, 1:].sqrt().mean(dim=-1)
    return distances[..., 0].sqrt() / apart[which[..., 0]].clamp_min(SMALLEST)


def centred(query: Tensor, bank: Tensor) -> Tensor:
    """Nearest by the cosine of what differs from the bank's mean (SimpleShot, 2019)."""
    mean = bank.mean(dim=(0, 1))
    return nearest(unit(query - mean), unit(bank - mean))


def whitened_by_shots(query: Tensor, bank: Tensor) -> Tensor:
    """As `whitened`, mean and covariance those of the bank."""
    return whitened(query, bank, whitening(bank.flatten(0, 1)))


def whitened(query: Tensor, bank: Tensor, by: Whitening) -> Tensor:
    """Nearest by the cosine of C^(-1/2) (x - mean) (Su et al., Whitening Sentence, 2021)."""
    mean, matrix = by
    return nearest(unit((query - mean) @ matrix), unit((bank - mean) @ matrix))


def whitening(rows: Tensor) -> Whitening:
    """Mean and C^(-1/2) of rows n d, C = (1 - SHRINK) cov + SHRINK tr(cov)/d I."""
    mean = rows.mean(dim=0)
    values, axes = torch.linalg.eigh((rows - mean).T @ (rows - mean) / len(rows))
    shrunk = ((1 - SHRINK) * values + SHRINK * values.mean()).clamp_min(1e-9)
    return mean, axes / shrunk.sqrt() @ axes.T


def _ranked(query: Tensor, rows: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Distances ... c and numbers ... c of the rows m d nearest to ... d, nearest first."""
    found = (query @ rows.T).topk(min(count, len(rows)), dim=-1)
    return ((1 - found.values) / 2).clamp_min(0), found.indices
