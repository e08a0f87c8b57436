import pytest
import torch

from inctrl.maths.windows import harmonic_map, harmonic_mean, window_index, window_starts

GRIDS = [(5, 5), (4, 7), (6, 3), (2, 2)]


def loop_windows(grid: tuple[int, int], size: int) -> list[list[int]]:
    """Straight from the words: every place of the square, row by row."""
    found = []
    for top in range(grid[0] - size + 1):
        for left in range(grid[1] - size + 1):
            cells = [(top + y, left + x) for y in range(size) for x in range(size)]
            found.append([row * grid[1] + column for row, column in cells])
    return found


def loop_harmonic(scores: torch.Tensor, grid: tuple[int, int], windows: list[list[int]]) -> list:
    """Per image and cell: how many windows cover it, over the sum of their inverses."""
    maps = []
    for values in scores.flatten(1).tolist():
        cells = []
        for cell in range(grid[0] * grid[1]):
            mine = [max(v, 0) for v, w in zip(values, windows, strict=True) if cell in w]
            cells.append(0.0 if min(mine) == 0 else len(mine) / sum(1 / v for v in mine))
        maps.append(cells)
    return maps


def random_scores(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.double)


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("grid", GRIDS)
def test_windows_are_numbered_row_by_row(grid: tuple[int, int], size: int) -> None:
    expected = loop_windows(grid, size)
    index = window_index(grid, size)
    assert index.tolist() == expected
    assert index.shape == (len(expected), size * size)


def test_the_last_window_is_flush_with_the_border_whatever_the_stride() -> None:
    assert window_starts(7, 3) == [0, 1, 2, 3, 4]
    assert window_starts(7, 3, 2) == [0, 2, 4]
    assert window_starts(8, 3, 2) == [0, 2, 4, 5]
    assert window_starts(3, 3, 2) == [0]
    assert window_starts(2, 3) == []
    assert window_index((3, 4), 2, 2).tolist() == [
        [0, 1, 4, 5],
        [2, 3, 6, 7],
        [4, 5, 8, 9],
        [6, 7, 10, 11],
    ]


@pytest.mark.parametrize("stride", [0, 3])
def test_a_stride_that_leaves_gaps_is_refused(stride: int) -> None:
    with pytest.raises(ValueError, match="leave gaps"):
        window_starts(6, 2, stride)


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("grid", GRIDS[:3])
def test_a_cell_has_the_harmonic_mean_of_the_windows_over_it(
    grid: tuple[int, int], size: int
) -> None:
    scores = random_scores(3, grid[0] - size + 1, grid[1] - size + 1)
    scores[1, 0, 0], scores[2, -1, -1] = 0, -1e-8
    expected = torch.tensor(loop_harmonic(scores, grid, loop_windows(grid, size)))
    found = harmonic_map(scores, grid, size)
    torch.testing.assert_close(found.flatten(1).float(), expected, atol=1e-6, rtol=1e-6)
    assert found.shape == (3, *grid)
    assert found.dtype == scores.dtype


def test_a_window_at_zero_makes_its_cells_zero_and_no_others() -> None:
    scores = torch.full((1, 3, 3), 0.5)
    scores[0, 0, 2] = 0
    expected = torch.full((1, 4, 4), 0.5)
    expected[0, 0:2, 2:4] = 0
    assert torch.equal(harmonic_map(scores, (4, 4), 2), expected)


def test_a_score_below_zero_is_rounding_and_counts_as_zero() -> None:
    scores = torch.full((1, 2, 2), 0.25)
    scores[0, 1, 1] = -3e-8
    expected = torch.full((1, 3, 3), 0.25)
    expected[0, 1:, 1:] = 0
    assert torch.equal(harmonic_map(scores, (3, 3), 2), expected)


def test_tiny_scores_do_not_overflow() -> None:
    """1e-40 has no inverse in single precision."""
    scores = torch.full((1, 2, 2), 1e-40)
    found = harmonic_map(scores, (3, 3), 2)
    torch.testing.assert_close(found, torch.full((1, 3, 3), 1e-40), atol=1e-43, rtol=0)


def test_strided_windows_cover_the_grid_too() -> None:
    scores = random_scores(2, 3, 4)
    grid = (5, 8)  # starts 0 2 3 of the rows and 0 2 4 6 of the columns
    windows = window_index(grid, 2, 2).tolist()
    expected = torch.tensor(loop_harmonic(scores, grid, windows))
    found = harmonic_map(scores, grid, 2, 2).flatten(1)
    torch.testing.assert_close(found.float(), expected, atol=1e-6, rtol=1e-6)


def test_the_harmonic_mean_of_maps_broadcasts_and_knows_zero() -> None:
    half, third = torch.full((2, 1, 1), 0.5), torch.full((2, 2, 3), 1 / 3)
    third[1, 0, 2] = 0
    expected = torch.full((2, 2, 3), 2 / (2 + 3))
    expected[1, 0, 2] = 0
    torch.testing.assert_close(harmonic_mean([half, third]), expected)
    torch.testing.assert_close(harmonic_mean([third]), third)
