"""Round defects: hole, stain, specks."""

import numpy as np
from scipy import ndimage

from inctrl.data.defects.noise import fractal
from inctrl.data.defects.shading import lean, mix, relief, toned
from inctrl.data.defects.shapes import REACH, blob, pixel, stroke, within
from inctrl.data.defects.site import Floats, Site


def hole(site: Site, rng: np.random.Generator, contrast: float) -> Floats:
    """A dark pit: near side in shade, far wall catching light, a worn rim around it."""
    distance = blob(site.shape, rng.uniform(0.1, 0.5), rng)
    inside = within(distance, 1.5 * pixel(site.shape))
    depth = np.clip(1 - distance, 0, 1)
    wall = relief(np.minimum(distance, 1), rng)
    floor = site.rgb.mean(axis=(0, 1)) * np.float32(0.35) + np.float32(0.25) * site.rgb
    dark = np.clip(contrast * (1.6 + 0.8 * depth), 0, 0.97)
    lit = 0.5 * min(contrast, 1) * np.clip(wall, 0, 1) * np.minimum(distance, 1) ** 3
    pit = floor * (1 - dark)[..., None] + lit[..., None] * site.rgb
    if site.rgb.mean() < 0.12:  # on black a pit only shows by what shines through it
        pit = site.rgb + np.float32(contrast)
    rim = np.exp(-(((distance - 1.08) / 0.12) ** 2)) * rng.uniform(0, 0.7)
    worn = site.rgb - (contrast * rim * relief(distance, rng))[..., None]
    return mix(worn, pit, inside)


def stain(site: Site, rng: np.random.Generator, contrast: float) -> Floats:
    """A tint with a ragged soft edge, patchy inside, sometimes with a dried dark border."""
    cell = min(site.shape) * rng.uniform(0.15, 0.35)
    ragged = fractal(site.shape, cell, 3, rng)
    distance = blob(site.shape, rng.uniform(0.2, 0.6), rng) + rng.uniform(0.1, 0.35) * ragged
    softness = rng.uniform(0.1, 0.7)
    cover = within(distance + softness / 2, softness)
    ring = np.exp(-(((distance - 1 + softness) / 0.12) ** 2)) * rng.choice([0, 0.6])
    amount = np.clip(cover * (0.85 + 0.3 * ragged) + ring * cover, 0, 1.3)
    hue = rng.uniform(0.35, 1, 3).astype(np.float32)
    kept = 1 - np.minimum((1.3 * contrast * amount)[..., None] * hue, 0.95)
    if lean(site.rgb, cover, rng) < 0:
        return np.asarray(site.rgb * kept, dtype=np.float32)
    return np.asarray(1 - (1 - site.rgb) * kept, dtype=np.float32)


def specks(site: Site, rng: np.random.Generator, contrast: float) -> Floats:
    """A loose cluster of small dots, few of them large, all of the same dirt."""
    number = int(rng.integers(4, 26))
    spread = REACH * min(site.shape)
    points = np.clip(rng.normal(0, 0.5, (number, 2)), -1, 1) * spread
    points = (points + np.array(site.shape) / 2).astype(np.float32)
    widths = site.scale * rng.uniform(0.004, 0.012) * rng.lognormal(0, 0.45, number)
    widths = np.clip(widths, 1.3, max(1.3, 0.03 * site.scale)).astype(np.float32)
    ink = rng.uniform(0.6, 1, number).astype(np.float32)
    # Most dirt is longer than wide: a second disc beside the first.
    beside = points + (rng.normal(0, 0.3, (number, 2)) * widths[:, None]).astype(np.float32)
    dots = np.maximum(
        stroke(site.shape, points, widths, ink), stroke(site.shape, beside, widths * 0.8, ink)
    )
    dots = ndimage.gaussian_filter(dots, 0.3 + 0.0005 * site.scale)
    sign = lean(site.rgb, dots, rng)
    level = float(np.clip(site.rgb.mean() + 1.5 * sign * contrast, 0, 1))
    return mix(site.rgb, toned(level, rng, 0.25 * min(contrast, 1)), dots)
