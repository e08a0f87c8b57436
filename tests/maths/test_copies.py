import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from inctrl.maths.copies import SIDE, Bands, bands, own_grain, same_photograph, shared_detail

Array = NDArray[np.float32]


def scene(seed: int, side: int = SIDE) -> Array:
    """Soft shapes with a fine grain, and no noise."""
    random = np.random.default_rng(seed)
    shapes = ndimage.gaussian_filter(random.normal(0, 1, (side, side)), 6) * 400
    grain = ndimage.gaussian_filter(random.normal(0, 1, (side, side)), 1) * 20
    return (120 + shapes + grain).astype(np.float32)


def noisy(picture: Array, seed: int, levels: float) -> Array:
    return picture + np.random.default_rng(seed).normal(0, levels, picture.shape).astype(np.float32)


def seen(picture: Array) -> Bands:
    half = picture.reshape(SIDE // 2, 2, SIDE // 2, 2).mean(axis=(1, 3))
    return bands(picture, half, picture)


def test_a_picture_is_one_photograph_with_itself_brighter_blurred_or_moved() -> None:
    picture = scene(0)
    blurred = ndimage.gaussian_filter(picture, 0.7)
    for other in (picture, 0.95 * picture, picture + 8, blurred, np.roll(picture, (2, -1), (0, 1))):
        assert same_photograph(seen(picture), seen(other))
        assert same_photograph(seen(other), seen(picture))


def test_other_scenes_and_the_same_one_far_away_are_not() -> None:
    picture = scene(0)
    for other in (scene(1), np.roll(picture, 12, 1), np.zeros_like(picture)):
        assert not same_photograph(seen(picture), seen(other))


def test_like_parts_with_a_grain_of_their_own_are_not() -> None:
    """As solar cells are: the same lines and edges, and another crystal."""
    lines = np.tile(100 * (np.arange(SIDE) % 48 < 4), (SIDE, 1)).astype(np.float32)
    first, second = (
        lines + ndimage.gaussian_filter(noisy(0 * lines, seed, 20), 1.0) for seed in (0, 1)
    )
    assert not same_photograph(seen(first), seen(second))


def test_a_still_scene_taken_twice_has_two_noises() -> None:
    still = ndimage.gaussian_filter(scene(0), 4)
    first, second = (noisy(still, seed, 3) for seed in (0, 1))
    assert not same_photograph(seen(first), seen(second))
    assert same_photograph(seen(first), seen(first))


def test_noise_is_its_own_unless_it_is_shared_weak_or_only_in_one() -> None:
    flat = np.zeros((100, 120), dtype=np.float32)
    one, other = noisy(flat, 0, 2), noisy(flat, 1, 2)
    assert own_grain(one, other)
    assert not own_grain(one, one + noisy(flat, 1, 1))
    assert not own_grain(0.1 * one, 0.1 * other)
    assert not own_grain(one, 5 * other)
    assert not own_grain(one, np.roll(one, (3, 2), axis=(0, 1)))


def test_shared_detail_is_that_of_the_weaker_parts() -> None:
    random = np.random.default_rng(0)
    parts = random.normal(0, 5, (64, 400)).astype(np.float32)
    assert shared_detail(parts, parts) == pytest.approx(1)
    assert shared_detail(parts, 3 * parts + 9) == pytest.approx(3)
    alien = parts.copy()
    alien[:13] = random.normal(0, 5, (13, 400))
    assert shared_detail(parts, alien) < 0.2
    assert shared_detail(0.01 * parts, 0.01 * parts) == 0  # nothing shows
