import pytest
import torch
from torch import Tensor

from inctrl.maths.coreset import (
    approximate_start,
    covering_radius,
    exact_start,
    greedy_picks,
    project,
    random_projection,
)


def points(n: int = 60, d: int = 5, seed: int = 0) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def all_distances(rows: Tensor) -> Tensor:
    return (rows.double()[:, None] - rows.double()).norm(dim=-1)


def loop(rows: Tensor, start: Tensor, count: int) -> list[int]:
    """The released loop, with the whole distance matrix."""
    matrix = all_distances(rows)
    reach, picks = start.double().clone(), []
    for _ in range(count):
        pick = int(reach.argmax())
        picks.append(pick)
        reach = torch.minimum(reach, matrix[pick])
    return picks


@pytest.mark.parametrize("seed", range(5))
def test_exact_picks_are_those_of_the_loop(seed: int) -> None:
    rows = points(seed=seed)
    matrix = all_distances(rows)
    torch.testing.assert_close(exact_start(rows).sqrt(), matrix.norm(dim=1), rtol=1e-6, atol=0)
    picks = greedy_picks(rows, exact_start(rows), 20)
    assert picks.tolist() == loop(rows, matrix.norm(dim=1), 20)


@pytest.mark.parametrize("seed", range(5))
def test_approximate_picks_are_those_of_the_loop(seed: int) -> None:
    rows, starts = points(seed=seed), torch.tensor([3, 14, 15])
    mean = all_distances(rows)[:, starts].mean(dim=1)
    torch.testing.assert_close(approximate_start(rows, starts).sqrt(), mean.float())
    picks = greedy_picks(rows, approximate_start(rows, starts), 20)
    assert picks.tolist() == loop(rows, mean, 20)


def test_more_picks_than_points_are_all_of_them() -> None:
    rows = points(9)
    assert sorted(greedy_picks(rows, exact_start(rows), 50).tolist()) == list(range(9))


def test_copies_are_picked_once_even_far_from_the_origin() -> None:
    rows = torch.cat([points(4), points(4), points(4)]) + 1000
    assert sorted(greedy_picks(rows - rows.mean(0), exact_start(rows), 12).tolist()) == [0, 1, 2, 3]


def test_a_projection_is_centred_and_keeps_distances_roughly() -> None:
    rows = points(50, 400) + 5
    matrix = random_projection(128, 400, torch.Generator().manual_seed(0))
    assert float(matrix.abs().max()) <= 400**-0.5
    reduced = project(rows, matrix)
    torch.testing.assert_close(reduced.mean(0), torch.zeros(128), atol=1e-4, rtol=0)
    ratio = torch.pdist(reduced) / torch.pdist(rows)
    assert float(ratio.std() / ratio.mean()) < 0.1


def test_the_covering_radius_is_the_farthest_point() -> None:
    rows = torch.tensor([[0.0, 0], [3, 4], [0, 1]])
    assert covering_radius(rows, torch.tensor([0])) == 5
    assert covering_radius(rows, torch.tensor([0, 1])) == 1
