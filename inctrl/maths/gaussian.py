"""One Gaussian at each position, from few samples, and Mahalanobis distances to it.

With n samples of d > n channels the covariance has rank n - 1 and a ridge `eps` on top. Inverting
it d x d at each position is neither needed nor accurate: with the centred samples Z (n x d) and
f = max(n - 1, 1), Woodbury's identity gives

    (eps I + Z^T Z / f)^-1 = (I - Z^T G^-1 Z) / eps,        G = eps f I + Z Z^T  (n x n).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from inctrl.maths.smoothing import pixel_map

BLOCK = 2**21
"""Numbers held at a time while distances are computed: bounds the memory whatever the grid is."""


@dataclass(frozen=True, eq=False)
class Gaussians:
    """Gaussians at p positions.

    mean     p d, float64
    whiten   p r d: L^-1 Z with L the Cholesky factor of G (low rank, r = n), or the inverse of
             the Cholesky factor of the covariance itself (r = d)
    eps      the ridge; 0 where `whiten` is the full form
    """

    mean: Tensor
    whiten: Tensor
    eps: float

    def pack(self) -> dict[str, Tensor]:
        """As named tensors."""
        eps = torch.tensor(self.eps, dtype=torch.float64)
        return {"mean": self.mean, "whiten": self.whiten, "eps": eps}

    @classmethod
    def unpack(cls, tensors: dict[str, Tensor]) -> "Gaussians":
        """The inverse of `pack`."""
        return cls(tensors["mean"], tensors["whiten"], float(tensors["eps"]))


def fit_gaussians(samples: Tensor, eps: float, dtype: torch.dtype = torch.float64) -> Gaussians:
    """samples n p d -> their mean and unbiased covariance + eps I at each position, n >= 1.

    One sample has the covariance eps I. The smaller of the two equal forms is kept, `whiten` in
    `dtype`.
    """
    n, p, d = samples.shape
    freedom = max(n - 1, 1)
    mean = samples.new_empty(p, d, dtype=torch.float64)
    whiten = samples.new_empty(p, min(n, d), d, dtype=dtype)
    size = max(1, BLOCK // (n * d))
    # float64 throughout: a distance is the small difference of large squares.
    for start in range(0, p, size):
        here = slice(start, start + size)
        x = samples[:, here].transpose(0, 1).double()
        centre = x.mean(dim=1)
        z = x - centre[:, None]
        eye = torch.eye(min(n, d), dtype=x.dtype, device=x.device)
        if n <= d:
            factor = torch.linalg.cholesky(eps * freedom * eye + z @ z.mT)
            w = torch.linalg.solve_triangular(factor, z, upper=False)
        else:
            factor = torch.linalg.cholesky(z.mT @ z / freedom + eps * eye)
            w = torch.linalg.solve_triangular(factor, eye.expand_as(factor), upper=False)
        mean[here], whiten[here] = centre, w.to(dtype)
    return Gaussians(mean, whiten, eps if n <= d else 0.0)


def mahalanobis(query: Tensor, gaussians: Gaussians) -> Tensor:
    """sqrt((x - mu)^T S^-1 (x - mu)) at each position: query b p d -> b p, in the query's dtype."""
    b, _, d = query.shape
    size = max(1, BLOCK // ((b + gaussians.whiten.shape[1]) * d))
    blocks = zip(
        query.split(size, dim=1),
        gaussians.mean.split(size),
        gaussians.whiten.split(size),
        strict=True,
    )
    return torch.cat([_distances(x, mu, w, gaussians.eps) for x, mu, w in blocks], dim=1)


def distance_map(vectors: Tensor, gaussians: Gaussians, longest: int) -> Tensor:
    """b h w d -> b H W: distances upsampled to a longer side of `longest`, and smoothed."""
    distances = mahalanobis(vectors.flatten(1, 2), gaussians)
    return pixel_map(distances.unflatten(1, vectors.shape[1:3]), longest)


def _distances(query: Tensor, mean: Tensor, whiten: Tensor, eps: float) -> Tensor:
    offset = query.transpose(0, 1).to(mean) - mean[:, None]
    explained = (offset @ whiten.to(offset).mT).square().sum(dim=-1)
    square = (offset.square().sum(dim=-1) - explained) / eps if eps else explained
    return square.clamp_min(0).sqrt().T.to(query)
