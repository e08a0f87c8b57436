"""Greedy k-centre coresets: a few points that leave no other point far away.

Minimax facility location (Sener and Savarese, ICLR 2018) as PatchCore uses it (Roth et al., CVPR
2022, algorithm 1): pick the point that is farthest from all picked so far. Squared distances
follow from cached norms and one matrix-vector product a pick; nothing of size n x n is ever held.
"""

import math

import torch
from torch import Tensor

from inctrl.maths.neighbours import nearest_rows, squared_norms

CHUNK = 2**24
"""Numbers that a temporary holds at the most."""
SAME = 1e-6
"""Squared distances below this share of the largest squared norm are rounding, not distance."""


def random_projection(dims: int, d: int, generator: torch.Generator) -> Tensor:
    """dims d: uniform in +-1/sqrt(d), as the release draws it."""
    uniform = torch.rand(dims, d, generator=generator)
    return (2 * uniform - 1) / math.sqrt(d)


def project(points: Tensor, projection: Tensor) -> Tensor:
    """n d, p d -> n p, centred: distances stay, and rounding falls with the norms."""
    n, p = len(points), len(projection)
    reduced = points.new_empty(n, p)
    size = max(1, CHUNK // points.shape[1])
    for start in range(0, n, size):
        torch.matmul(points[start : start + size], projection.T, out=reduced[start : start + size])
    return reduced.sub_(reduced.mean(dim=0))


def exact_start(points: Tensor) -> Tensor:
    """n: the squared norm of each row of the distance matrix, which decides the first pick.

    sum_j |x_i - x_j|^2 = n |x_i|^2 + sum_j |x_j|^2 - 2 x_i . sum_j x_j. As no single distance in a
    row exceeds its norm, all later picks are those of k-centre.
    """
    squares = squared_norms(points)
    total = points.sum(dim=0, dtype=torch.float64)
    row = len(points) * squares.double() + squares.sum(dtype=torch.float64)
    return (row - 2 * (points @ total.to(points)).double()).clamp_min(0)


def approximate_start(points: Tensor, starts: Tensor) -> Tensor:
    """n: the squared mean distance to the start points (their indices), as the release begins."""
    squares = squared_norms(points)
    total = torch.zeros_like(squares)
    for start in starts.tolist():
        total += _squared_distances(points, squares, start).sqrt()
    return (total / len(starts)).square()


def greedy_picks(points: Tensor, reach: Tensor, count: int) -> Tensor:
    """Indices of at most `count` points, in the order picked: each the farthest from those before.

    points   n d
    reach    n   squared distances to begin with; the largest is picked first, ties by index
    Fewer come back where all remaining points are copies of picked ones.
    """
    squares = squared_norms(points)
    reach = reach.to(points).clone()
    same = SAME * float(squares.amax())
    picks: list[int] = []
    for _ in range(min(count, len(points))):
        pick = int(reach.argmax())
        if picks and float(reach[pick]) <= same:
            break
        picks.append(pick)
        torch.minimum(reach, _squared_distances(points, squares, pick), out=reach)
    return torch.tensor(picks, device=points.device)


def covering_radius(points: Tensor, picks: Tensor) -> float:
    """The largest distance of a point to its nearest pick."""
    squared, _ = nearest_rows(points, points[picks])
    return float(squared.amax().sqrt())


def _squared_distances(points: Tensor, squares: Tensor, index: int) -> Tensor:
    """n: from all points to one of them."""
    products = points @ points[index]
    distances = products.mul_(-2).add_(squares).add_(squares[index]).clamp_min_(0)
    distances[index] = 0  # which rounding would miss
    return distances
