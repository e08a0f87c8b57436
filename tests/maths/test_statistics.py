import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from inctrl.backbones.tiny.joint import STATISTICS
from inctrl.maths.residuals import APART
from inctrl.maths.statistics import (
    QUANTILES,
    channel_statistics,
    image_statistics,
    self_residuals,
)

Floats = NDArray[np.float64]


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def loop_channels(image: Floats) -> Floats:
    """h w d -> 5d, place by place; the neighbourhood ends where the map ends."""
    rows, columns, channels = image.shape
    contrast = np.zeros(channels)
    for r in range(rows):
        for c in range(columns):
            near = [
                image[y, x]
                for y in range(max(0, r - 1), min(rows, r + 2))
                for x in range(max(0, c - 1), min(columns, c + 2))
            ]
            contrast += np.abs(image[r, c] - np.mean(near, axis=0)) / (rows * columns)
    flat = image.reshape(-1, channels)
    spread = flat.std(axis=0, ddof=1)
    return np.concatenate([flat.mean(0), spread, flat.max(0), flat.min(0), contrast])


def loop_self(image: Floats) -> Floats:
    """h w d -> 16, every place against every other."""
    rows, columns, _ = image.shape
    directions = image / np.linalg.norm(image, axis=2, keepdims=True)
    mean = directions.mean(axis=(0, 1))
    mean /= np.linalg.norm(mean)
    elsewhere, typical = [], []
    for r in range(rows):
        for c in range(columns):
            cosines = [
                float(directions[r, c] @ directions[y, x])
                for y in range(rows)
                for x in range(columns)
                if np.hypot((r - y) / rows, (c - x) / columns) >= APART
            ]
            elsewhere.append((1 - max(cosines)) / 2)
            typical.append((1 - float(directions[r, c] @ mean)) / 2)
    last = len(elsewhere) - 1
    return np.array([sorted(v)[round(q * last)] for v in (elsewhere, typical) for q in QUANTILES])


def test_channel_statistics_are_those_of_the_plain_loop() -> None:
    maps = drawn(2, 5, 4, 3) * 3 + 1
    expected = np.stack([loop_channels(image) for image in maps.double().numpy()])
    np.testing.assert_allclose(channel_statistics(maps).numpy(), expected, atol=1e-5)


def test_self_residuals_are_those_of_the_plain_loop() -> None:
    maps = drawn(2, 9, 7, 4, seed=1)
    expected = np.stack([loop_self(image) for image in maps.double().numpy()])
    np.testing.assert_allclose(self_residuals(maps).numpy(), expected, atol=1e-5)


def test_the_length_of_the_patches_says_nothing_of_likeness() -> None:
    maps = drawn(1, 6, 6, 4)
    lengths = drawn(1, 6, 6, 1, seed=1).abs() + 0.1
    torch.testing.assert_close(self_residuals(maps * lengths), self_residuals(maps))


def test_one_odd_place_shows_in_the_extremes_alone() -> None:
    maps = torch.tensor([1.0, 0.0]).repeat(1, 9, 9, 1)
    calm = self_residuals(maps)[0]
    maps[0, 4, 4] = torch.tensor([0.0, 1.0])
    shown = self_residuals(maps)[0]
    assert calm.abs().max() < 1e-6
    highest = [len(QUANTILES) - 1, 2 * len(QUANTILES) - 1]
    assert shown[highest[0]] == pytest.approx(0.5)
    others = [i for i in range(len(shown)) if i not in highest]
    assert shown[others].abs().max() < 1e-3


@pytest.mark.parametrize("side", [2, 9])
def test_the_maps_of_tiny_give_as_many_numbers_as_the_joint_space_takes(side: int) -> None:
    maps = [drawn(3, 4 * side, 4 * side, 40), drawn(3, 2 * side, 2 * side, 112)]
    maps.append(drawn(3, side, side, 320))
    found = image_statistics(maps)
    assert found.shape == (3, STATISTICS) == (3, 2392)
    assert found.isfinite().all()


def test_the_parts_come_channels_first_and_the_finest_layer_is_not_compared_with_itself() -> None:
    fine, middle, coarse = drawn(2, 8, 8, 3), drawn(2, 4, 4, 5), drawn(2, 2, 2, 7)
    parts = [*map(channel_statistics, (fine, middle, coarse))]
    parts += map(self_residuals, (middle, coarse))
    assert torch.equal(image_statistics([fine, middle, coarse]), torch.cat(parts, dim=1))


def test_an_image_has_its_statistics_in_any_company() -> None:
    maps = [drawn(4, 12, 12, 6), drawn(4, 6, 6, 9, seed=1)]
    together = image_statistics(maps)
    alone = torch.cat([image_statistics([m[i : i + 1] for m in maps]) for i in range(4)])
    torch.testing.assert_close(together, alone, atol=1e-6, rtol=1e-5)


def test_a_blank_image_is_finite() -> None:
    found = image_statistics([torch.zeros(1, 4, 4, 3), torch.zeros(1, 2, 2, 5)])
    assert found.isfinite().all()
