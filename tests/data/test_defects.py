"""The defect generator: every kind, on every sort of image, keeps the same promises."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from inctrl.data.defects import KINDS, NOTICED, VISIBLE, Damaged, damage, damage_any
from inctrl.errors import UsageError

Rgb = NDArray[np.uint8]


def textured(height: int, width: int, seed: int = 0) -> Rgb:
    """A colour texture with some structure, neither dark nor bright."""
    noise = np.random.default_rng(seed).uniform(0, 1, (height, width, 3))
    smooth = ndimage.gaussian_filter(noise, (2, 2, 0))
    return np.clip(128 + 350 * (smooth - 0.5), 0, 255).astype(np.uint8)


def disc(side: int) -> Rgb:
    """A textured disc, a third of the image, before plain white."""
    y, x = np.indices((side, side)) - side / 2
    rgb = textured(side, side) // 2
    rgb[np.hypot(y, x) > 0.33 * side] = 245
    return rgb


IMAGES: dict[str, Rgb] = {
    "colour": textured(120, 150),
    "gray": np.repeat(textured(128, 128)[..., :1], 3, axis=2),
    "constant": np.full((96, 96, 3), 128, dtype=np.uint8),
    "black": np.zeros((64, 64, 3), dtype=np.uint8),
    "white": np.full((64, 64, 3), 255, dtype=np.uint8),
    "tiny": textured(32, 32),
    "tall": textured(400, 32),
    "wide": textured(32, 400),
    "object": disc(128),
    "large": textured(500, 640),
}


def many(rgb: Rgb, kind: str, count: int) -> list[Damaged]:
    return [damage(rgb, kind, np.random.default_rng([7, i])) for i in range(count)]


def changed(rgb: Rgb, result: Damaged) -> NDArray[np.int16]:
    """H W, levels of 255 in the channel that changed most."""
    return np.abs(result.rgb.astype(np.int16) - rgb).max(axis=2)


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize("kind", KINDS)
def test_the_mask_is_what_visibly_changed(kind: str, name: str) -> None:
    rgb = IMAGES[name]
    kept = rgb.copy()
    for result in many(rgb, kind, 6):
        assert result.kind == kind
        assert result.rgb.shape == rgb.shape
        assert result.rgb.dtype == np.uint8
        assert result.mask.shape == rgb.shape[:2]
        assert result.mask.dtype == np.bool_
        assert 4 <= result.mask.sum() < 0.4 * result.mask.size
        change = changed(rgb, result)
        near = ndimage.binary_dilation(result.mask, np.ones((3, 3)))
        assert (change[~near] == 0).all()
        assert (change[~result.mask] <= VISIBLE).mean() > 0.995  # only stray pixels are dropped
        assert (change[result.mask] > VISIBLE).mean() > 0.6
        assert change[result.mask].max() >= NOTICED
    np.testing.assert_array_equal(rgb, kept)


@pytest.mark.parametrize("kind", KINDS)
def test_the_generator_governs_everything(kind: str) -> None:
    rgb = IMAGES["colour"]
    first, again, other = (damage(rgb, kind, np.random.default_rng(seed)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.rgb, again.rgb)
    np.testing.assert_array_equal(first.mask, again.mask)
    assert (first.mask != other.mask).any()


@pytest.mark.parametrize("kind", KINDS)
def test_defects_grow_with_the_image(kind: str) -> None:
    small, large = (
        np.mean([r.mask.mean() for r in many(np.full((n, n, 3), 120, np.uint8), kind, 40)])
        for n in (150, 450)
    )
    assert 0.45 < large / small < 1.6


@pytest.mark.parametrize("kind", KINDS)
def test_sizes_run_from_small_to_medium(kind: str) -> None:
    shares = [r.mask.mean() for r in many(IMAGES["colour"], kind, 40)]
    assert min(shares) < 0.012
    assert max(shares) < 0.15
    assert max(shares) > 3 * min(shares)


@pytest.mark.parametrize("kind", KINDS)
def test_defects_are_placed_on_a_clear_object(kind: str) -> None:
    rgb = IMAGES["object"]
    on_object = ndimage.binary_dilation(rgb.min(axis=2) < 200, iterations=2)
    shares = [on_object[r.mask].mean() for r in many(rgb, kind, 20)]
    assert np.mean(shares) > 0.6  # by area alone it would be a third


@pytest.mark.parametrize("kind", ["scratch", "hole", "crack", "dent", "stain", "smear", "perlin"])
def test_surface_defects_end_where_the_object_ends(kind: str) -> None:
    rgb = IMAGES["object"]
    background = ndimage.binary_erosion(rgb.min(axis=2) >= 240, iterations=3)
    assert not any((result.mask & background).any() for result in many(rgb, kind, 20))


def test_a_missing_piece_of_an_object_shows_the_background() -> None:
    rgb = IMAGES["object"]
    levels = [r.rgb[ndimage.binary_erosion(r.mask)].mean() for r in many(rgb, "missing", 20)]
    assert np.median(levels) > 180  # the object is at 64, the background at 245


def test_a_hole_is_dark_and_strengths_differ() -> None:
    rgb = IMAGES["constant"]
    depths = [128 - r.rgb[r.mask].mean() for r in many(rgb, "hole", 20)]
    assert min(depths) > 10
    assert max(depths) - min(depths) > 15
    strengths = [np.percentile(changed(rgb, r)[r.mask], 90) for r in many(rgb, "scratch", 40)]
    assert max(strengths) > 3 * min(strengths)


@pytest.mark.parametrize("kind", ["cut", "cutpaste", "perlin"])
def test_a_donor_lends_its_texture(kind: str) -> None:
    rgb = np.full((100, 100, 3), 128, dtype=np.uint8)
    checks = np.where(np.indices((80, 60)).sum(axis=0) % 2, 230, 30).astype(np.uint8)
    donor = np.repeat(checks[..., None], 3, axis=2)
    rough = [
        np.std(damage(rgb, kind, np.random.default_rng(i), donor=given).rgb[..., 0])
        for given in (None, donor)
        for i in range(12)
    ]
    assert np.mean(rough[12:]) > 1.3 * np.mean(rough[:12])


def test_any_kind_comes_from_the_kinds_given() -> None:
    rng = np.random.default_rng(0)
    drawn = {damage_any(IMAGES["tiny"], rng, ("hole", "crack")).kind for _ in range(20)}
    assert drawn == {"hole", "crack"}
    assert {damage_any(IMAGES["tiny"], rng).kind for _ in range(150)} == set(KINDS)


def test_wrong_arguments_are_named() -> None:
    rng, rgb = np.random.default_rng(0), IMAGES["tiny"]
    with pytest.raises(UsageError, match="unknown kind of defect 'scrach'; did you mean 'scratch'"):
        damage(rgb, "scrach", rng)
    with pytest.raises(UsageError, match=r"20 x 15 pixels.*at least 16"):
        damage(textured(15, 20), "hole", rng)
    with pytest.raises(UsageError, match="donor.*float64"):
        damage(rgb, "cut", rng, donor=np.zeros((20, 20, 3)))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="no kinds"):
        damage_any(rgb, rng, ())
