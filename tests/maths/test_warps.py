"""Warps against plain loops, on grids that are no squares."""

import math

import pytest
import torch
from torch import Tensor

from inctrl.maths.warps import (
    LEAST_DETERMINANT,
    MODES,
    altered,
    identity_params,
    inverse,
    restore,
    theta_of,
    warp,
)


def reflected(place: float, low: float, high: float) -> float:
    """A place brought between two mirrors."""
    while not low <= place <= high:
        place = 2 * low - place if place < low else 2 * high - place
    return place


def sample(plane: Tensor, y: float, x: float) -> float:
    """Bilinear, in cells; places outside of all centres take the nearest."""
    height, width = plane.shape
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    top, left = int(y), int(x)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    above = plane[top, left] * (1 - x + left) + plane[top, right] * (x - left)
    below = plane[bottom, left] * (1 - x + left) + plane[bottom, right] * (x - left)
    return float(above * (1 - y + top) + below * (y - top))


def warped_by_loop(plane: Tensor, theta: Tensor) -> Tensor:
    height, width = plane.shape
    found = torch.empty(height, width)
    for i in range(height):
        for j in range(width):
            u = torch.tensor([(2 * j + 1) / width - 1, (2 * i + 1) / height - 1, 1.0])
            x, y = (theta @ u).tolist()
            column = reflected(((x + 1) * width - 1) / 2, -0.5, width - 0.5)
            row = reflected(((y + 1) * height - 1) / 2, -0.5, height - 0.5)
            found[i, j] = sample(plane, row, column)
    return found


def turned_by_loop(plane: Tensor, turns: int) -> Tensor:
    """Counter-clockwise about the centre, on the same canvas."""
    height, width = plane.shape
    c, s = round(math.cos(turns * math.pi / 2)), round(math.sin(turns * math.pi / 2))
    found = torch.empty(height, width)
    for i in range(height):
        for j in range(width):
            x, y = j - (width - 1) / 2, i - (height - 1) / 2
            column = reflected(c * x - s * y + (width - 1) / 2, 0, width - 1)
            row = reflected(s * x + c * y + (height - 1) / 2, 0, height - 1)
            found[i, j] = sample(plane, row, column)
    return found


def test_a_warp_is_bilinear_and_reflects_at_the_outer_edges() -> None:
    torch.manual_seed(0)
    maps, theta = torch.randn(4, 2, 5, 8), torch.eye(2, 3) + torch.randn(4, 2, 3)
    seen = warp(maps, theta)
    for i in range(4):
        for channel in range(2):
            expected = warped_by_loop(maps[i, channel], theta[i])
            torch.testing.assert_close(seen[i, channel], expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("size", [(6, 6), (4, 8), (5, 8), (3, 9)])
def test_quarter_turns_keep_the_canvas(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    images = torch.rand(1, 3, *size)
    for turns in (1, 2, 3):
        seen = altered(images)[18 + turns][0, 1]
        torch.testing.assert_close(seen, turned_by_loop(images[0, 1], turns), atol=1e-5, rtol=0)
        if size[0] == size[1]:
            torch.testing.assert_close(seen, images[0, 1].rot90(turns), atol=1e-5, rtol=0)


def test_turns_and_shifts_are_in_sides_of_the_image() -> None:
    torch.manual_seed(0)
    plane = torch.rand(5, 10)
    images = plane.expand(1, 3, 5, 10)
    made = altered(images)
    c, s = math.cos(-math.pi / 4), math.sin(-math.pi / 4)
    turned = warped_by_loop(plane, torch.tensor([[c, -s, 0], [s, c, 0]]))
    torch.testing.assert_close(made[1][0, 0], turned, atol=1e-5, rtol=0)
    shifted = warped_by_loop(plane, torch.tensor([[1, 0, -0.2], [0, 1, 0.2]]))
    torch.testing.assert_close(made[10][0, 0], shifted, atol=1e-5, rtol=0)
    # 0.2 of a side that counts 2 is one pixel of ten.
    torch.testing.assert_close(made[9][0, 0, 0, :9], (plane[0, 1:] + plane[1, 1:]) / 2)


@pytest.mark.parametrize("mode", MODES)
def test_identity_parameters_change_nothing(mode: str) -> None:
    params = identity_params(mode)
    assert len(params) == MODES[mode]
    theta = theta_of(params.expand(3, -1), mode)
    assert torch.equal(theta, torch.eye(2, 3).expand(3, 2, 3))
    assert torch.equal(inverse(theta), theta)


def test_an_unknown_mode_is_named() -> None:
    with pytest.raises(ValueError, match="mode 'twist' is none of affine"):
        identity_params("twist")


def test_an_inverse_undoes_a_warp() -> None:
    torch.manual_seed(0)
    theta = torch.eye(2, 3) + torch.randn(8, 2, 3) / 3
    row = torch.tensor([0.0, 0, 1]).expand(8, 1, 3)
    both = torch.cat([inverse(theta), row], dim=1) @ torch.cat([theta, row], dim=1)
    torch.testing.assert_close(both, torch.eye(3).expand(8, 3, 3), atol=1e-4, rtol=0)


def test_a_singular_warp_is_restored_to_something_finite() -> None:
    torch.manual_seed(0)
    flat = torch.tensor([[[1.0, 2, 0.1], [0.5, 1, -0.2]], [[0, 0, 0], [0, 0, 0]]])
    assert torch.isfinite(inverse(flat)).all()
    # Scaled by 1e-6 in one direction, mirrored in the other: its sign stays.
    thin = torch.tensor([[[1e-6, 0, 0], [0, -1.0, 0]]])
    expected = torch.tensor([[[1 / LEAST_DETERMINANT, 0, 0], [0, -1e-6 / LEAST_DETERMINANT, 0]]])
    torch.testing.assert_close(inverse(thin), expected)
    assert torch.isfinite(restore(torch.randn(2, 3, 4, 5), [flat, flat])).all()
