"""A surface that is disturbed: smear, perlin, dent."""

import numpy as np
from scipy import ndimage

from inctrl.data.defects.noise import fractal, perlin
from inctrl.data.defects.shading import jittered, lean, mix, relief
from inctrl.data.defects.shapes import blob, centred
from inctrl.data.defects.site import Floats, Site

DRAGS = 10
"""Copies averaged along the way of a smear."""


def smear(site: Site, rng: np.random.Generator, contrast: float) -> Floats:
    """What was there dragged to one side, with streaks of more and less of it."""
    turn = rng.uniform(0, 2 * np.pi)
    way = np.array([np.sin(turn), np.cos(turn)])
    reach = max(3.0, rng.uniform(0.15, 0.35) * min(site.shape))
    dragged = np.zeros_like(site.rgb)
    for step in np.linspace(0, reach, DRAGS):
        down, right = np.rint(step * way).astype(int)
        dragged += np.roll(site.rgb, (down, right), (0, 1)) / DRAGS
    y, x = centred(site.shape)
    along = (x * np.float32(way[1]) + y * np.float32(way[0])) / (0.45 * min(site.shape))
    across = (y * np.float32(way[1]) - x * np.float32(way[0])) / (0.45 * min(site.shape))
    half = rng.uniform(0.25, 0.6)
    lane = np.interp(across / half, np.linspace(-1, 1, 17), rng.uniform(-1, 1, 17))
    lane = lane.astype(np.float32)
    # The front is blunt and bowed; the tail runs out in streaks, each as far as its lane carries.
    bowed = along - 0.5 * (across / half) ** 2
    front = np.clip((bowed + 0.95) / 0.12, 0, 1)
    tail = np.clip((0.6 + 0.35 * lane - along) / 0.5, 0, 1)
    flanks = np.clip((1 - np.abs(across / half)) / 0.2, 0, 1)
    cover = front * tail * flanks * (0.8 + 0.2 * lane)
    sign = lean(site.rgb, cover, rng)
    film = sign * contrast * (0.35 + 0.2 * lane)
    return mix(site.rgb, dragged + film[..., None], cover)


def perlin_blend(site: Site, rng: np.random.Generator, contrast: float) -> Floats:
    """Another texture, or the same in another light, in a Perlin mask (DRAEM, Zavrtanik 2021)."""
    side = min(site.shape)
    noise = fractal(site.shape, side * rng.uniform(0.15, 0.4), 2, rng)
    # The envelope keeps the mask inside its window, so that no straight border shows.
    envelope = np.clip(1.6 * (1 - blob(site.shape, 0.3, rng) * np.float32(0.85)), -1, 0.6)
    mask = np.clip((noise + envelope - rng.uniform(0.1, 0.3)) * side / 12, 0, 1)
    other = site.elsewhere if rng.random() < 0.6 else site.rgb
    opacity = np.float32(np.clip(0.3 + contrast * rng.uniform(0.8, 1.6), 0, 1))
    return mix(site.rgb, jittered(other, 1.5 * contrast, rng), mask * opacity)


def dent(site: Site, rng: np.random.Generator, contrast: float) -> Floats:
    """A smooth hollow or bump: one side lit, the other in shade, the pattern slightly bent."""
    distance = blob(site.shape, rng.uniform(0, 0.3), rng)
    uneven = 1 + 0.2 * perlin(site.shape, min(site.shape) / 2, rng)
    height = np.clip(1 - distance**2 / 1.4, 0, None) ** 2 * uneven
    light = relief(height, rng)
    down, right = np.gradient(height)
    bend = rng.uniform(0.01, 0.04) * min(site.shape) ** 2
    y, x = np.indices(site.shape, dtype=np.float32)
    where = np.stack([y + bend * down, x + bend * right])
    bent = np.stack(
        [
            ndimage.map_coordinates(site.rgb[..., c], where, order=1, mode="nearest")
            for c in range(3)
        ],
        axis=2,
    )
    lit = contrast * light[..., None]
    return np.asarray(bent * (1 + 0.4 * lit) + 0.45 * lit, dtype=np.float32)
