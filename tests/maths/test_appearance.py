import io

import numpy as np
import PIL.Image
import pytest
from numpy.typing import NDArray
from scipy import stats

from inctrl.maths.appearance import (
    blockiness,
    brightness,
    noise,
    sharpness,
    usual_range,
)


def textured(seed: int = 0, side: int = 64) -> NDArray[np.float64]:
    """Smooth shapes and some edges, gray 40 to 200."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] / side
    values = 120 + 40 * np.sin(6 * x + random.random()) * np.cos(5 * y)
    values[side // 4 : side // 2, side // 4 : side // 2] += 40
    return np.asarray(values, dtype=np.float64)


def rgb(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    return np.repeat(np.clip(values, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


@pytest.mark.parametrize("height", [3, 4, 5, 6, 7, 8, 33])
def test_the_figures_are_those_of_a_plain_loop(height: int) -> None:
    image = np.random.default_rng(height).integers(0, 256, (height, 9, 3), dtype=np.uint8)
    gray = image.sum(axis=2).astype(float)
    masked, steps = [], []
    for y in range(1, height - 1, 4):
        for x in range(1, 8):
            cross = gray[y - 1, x] + gray[y + 1, x] + gray[y, x - 1] + gray[y, x + 1]
            corners = sum(gray[y + dy, x + dx] for dy in (-1, 1) for dx in (-1, 1))
            masked.append(abs(4 * gray[y, x] - 2 * cross + corners))
            steps.append(abs(4 * gray[y, x] - cross))
    assert noise(image) == pytest.approx(np.log2(np.quantile(masked, 0.25) / 3 + 0.5))
    assert sharpness(image) == pytest.approx(np.log2(np.quantile(steps, 0.99) / 3 + 0.5))
    assert brightness(image) == pytest.approx(np.log2(image.mean() + 1))


def test_noise_raises_the_noise_and_not_the_brightness() -> None:
    clean = textured()
    noisy = clean + np.random.default_rng(0).normal(0, 8, clean.shape)
    assert noise(rgb(noisy)) > noise(rgb(clean)) + 2
    assert brightness(rgb(noisy)) == pytest.approx(brightness(rgb(clean)), abs=0.02)


def test_blur_lowers_the_sharpness() -> None:
    sharp = textured()
    shifted = [np.roll(sharp, by, axis=(0, 1)) for by in ((0, 0), (1, 0), (0, 1), (1, 1))]
    assert sharpness(rgb(np.mean(shifted, axis=0))) < sharpness(rgb(sharp)) - 0.5


def test_twice_the_light_is_one_step_of_brightness() -> None:
    dark = rgb(textured() / 2)
    assert brightness(dark * 2) - brightness(dark) == pytest.approx(1, abs=0.02)


def test_black_has_finite_figures() -> None:
    black = np.zeros((8, 8, 3), np.uint8)
    assert np.isfinite([noise(black), sharpness(black), brightness(black)]).all()


@pytest.mark.parametrize("size", [(72, 64), (520, 72)])
def test_blockiness_compares_the_steps_at_block_borders_with_those_midway(
    size: tuple[int, int],
) -> None:
    flat = np.full((*size, 3), 100, dtype=np.uint8)
    assert blockiness(flat) == 0
    blocks = flat.copy()
    blocks[(np.add.outer(np.arange(size[0]) // 8, np.arange(size[1]) // 8) % 2) == 1] = 110
    assert blockiness(blocks) == pytest.approx(np.log2(10.5 / 0.5))
    assert blockiness(np.roll(blocks, 3, axis=(0, 1))) == 0  # borders elsewhere are no JPEG's
    assert blockiness(blocks[:63]) == 0  # too few blocks to tell


def test_an_enlarged_image_is_not_blockier() -> None:
    grainy = rgb(textured() + np.random.default_rng(0).normal(0, 5, (64, 64)))
    for times in (2, 4):
        size = 64 * times, 64 * times
        large = PIL.Image.fromarray(grainy).resize(size, PIL.Image.Resampling.BICUBIC)
        assert blockiness(np.asarray(large)) < blockiness(grainy) + 0.2


def test_a_photograph_saved_at_low_quality_is_blockier() -> None:
    clean = textured() + np.random.default_rng(0).normal(0, 3, (64, 64))
    stream = io.BytesIO()
    PIL.Image.fromarray(rgb(clean)).save(stream, "JPEG", quality=15)
    saved = np.asarray(PIL.Image.open(stream).convert("RGB"))
    assert blockiness(saved) > blockiness(rgb(clean)) + 0.5


def test_one_value_has_the_range_of_the_assumed_spread() -> None:
    low, high = usual_range([3.0], 0.25)
    margin = stats.t.ppf(0.995, 2) * 0.25 * np.sqrt(2)
    assert (low, high) == pytest.approx((3 - margin, 3 + margin))


def test_many_values_have_the_range_of_their_own_spread_and_hold_all_of_them() -> None:
    values = stats.norm.ppf(np.linspace(0.02, 0.98, 400), scale=2).tolist()
    low, high = usual_range(values, 0.25)
    assert (low, high) == pytest.approx((-4.65, 4.65), abs=0.1)
    assert low <= min(values)
    assert high >= max(values)
    wide = usual_range([0.0, 0.0, 0.0, 50.0], 0.25)
    assert wide[1] >= 50


@pytest.mark.parametrize("n", [1, 2, 4, 8])
def test_few_images_like_the_others_lie_beyond_the_range(n: int) -> None:
    random = np.random.default_rng(n)
    draws = random.normal(0, 0.25, (3000, n + 1))
    beyond = []
    for row in draws:
        low, high = usual_range(row[:-1].tolist(), 0.25)
        beyond.append(not low <= row[-1] <= high)
    assert np.mean(beyond) < 0.025
