"""Light and colour of a defect: brighter or darker, tinted, lit from a side, healed over."""

import numpy as np
import PIL.Image
from scipy import ndimage

from inctrl.data.defects.site import Floats

HEAL_SIDE = 40
"""Side in pixels at which a filling is computed: it is smooth, so a small one is enough."""


def lean(rgb: Floats, cover: Floats, rng: np.random.Generator) -> float:
    """+1 to brighten, -1 to darken what is covered: the more likely, the more room there is."""
    level = float((rgb.mean(axis=2) * cover).sum() / max(float(cover.sum()), 1e-6))
    return 1.0 if rng.random() > level else -1.0


def mix(rgb: Floats, other: Floats, cover: Floats) -> Floats:
    """`other` over `rgb` where covered: h w 3 (or a colour 3), h w 3 and h w."""
    return rgb + cover[..., None] * (other - rgb)


def toned(colour: float, rng: np.random.Generator, saturation: float) -> Floats:
    """A gray of this level 3, its channels apart by up to `saturation`."""
    return (colour + saturation * rng.uniform(-0.5, 0.5, 3)).astype(np.float32)


def jittered(rgb: Floats, contrast: float, rng: np.random.Generator) -> Floats:
    """The same surface h w 3 in another light: shifted, more or less contrasty, tinted."""
    mean = rgb.mean(axis=(0, 1))
    sign = lean(rgb, np.ones(rgb.shape[:2], dtype=np.float32), rng)
    shift = sign * contrast * rng.uniform(0.25, 0.75, 3).astype(np.float32)
    gain = np.float32(np.exp(rng.uniform(-0.7, 0.7) * contrast))
    return np.asarray(mean + gain * (rgb - mean) + shift, dtype=np.float32)


def relief(height: Floats, rng: np.random.Generator) -> Floats:
    """Light from a random side on a height h w: -1 in shade to 1 lit."""
    down, right = np.gradient(height)
    side = rng.uniform(0, 2 * np.pi)
    light = down * np.float32(np.sin(side)) + right * np.float32(np.cos(side))
    return np.asarray(light / max(float(np.abs(light).max()), 1e-6), dtype=np.float32)


def healed(rgb: Floats, gone: Floats) -> Floats:
    """The window h w 3 with what is `gone` (h w, 0..1) filled smoothly from what is left."""
    shape = rgb.shape[:2]
    small = (min(HEAL_SIDE, shape[0]), min(HEAL_SIDE, shape[1]))
    left = 1 - gone
    known = np.stack([_resized(rgb[..., c] * left, small) for c in range(3)], axis=2)
    weight = _resized(left, small)
    filled, trust = np.zeros_like(known), np.full(small, 1e-8, dtype=np.float32)
    # Near colours count most: each wider blur only speaks where the narrower had nothing.
    for sigma, share in ((2, 1.0), (5, 1e-2), (12, 1e-4)):
        filled += share * ndimage.gaussian_filter(known, (sigma, sigma, 0))
        trust += share * ndimage.gaussian_filter(weight, sigma)
    filled /= trust[..., None]
    return np.stack([_resized(filled[..., c], shape) for c in range(3)], axis=2)


def _resized(plane: Floats, shape: tuple[int, ...]) -> Floats:
    image = PIL.Image.fromarray(np.ascontiguousarray(plane, dtype=np.float32))
    return np.asarray(image.resize((shape[1], shape[0]), PIL.Image.Resampling.BILINEAR))
