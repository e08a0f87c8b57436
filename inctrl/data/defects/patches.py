"""Pieces of image in the wrong place: cut, cutpaste, missing, shifted."""

import numpy as np

from inctrl.data.defects.shading import healed, jittered, lean, mix
from inctrl.data.defects.shapes import blob, pixel, polygon, rectangle, within
from inctrl.data.defects.site import Floats, Site


def cut(site: Site, rng: np.random.Generator, contrast: float) -> Floats:
    """A long thin turned strip from elsewhere (the scar of CutPaste, Li et al. 2021)."""
    length = rng.uniform(0.7, 0.95) * min(site.shape)
    width = max(2.0, length * rng.uniform(0.05, 0.22))
    strip = rectangle(site.shape, length, width, rng.uniform(0, np.pi))
    return mix(site.rgb, jittered(site.elsewhere, contrast, rng), strip)


def cutpaste(site: Site, rng: np.random.Generator, contrast: float) -> Floats:
    """A patch from elsewhere in a slightly other light (CutPaste, Li et al. 2021)."""
    side = 0.8 * min(site.shape)
    length, width = side * rng.uniform(0.6, 1), side * rng.uniform(0.35, 0.9)
    if rng.random() < 0.7:
        turn = 0.0 if rng.random() < 0.5 else rng.uniform(0, np.pi)
        patch = rectangle(site.shape, length * 0.85, width * 0.85, turn)
    else:
        patch = within(blob(site.shape, 0.4, rng), 2 * pixel(site.shape))
    return mix(site.rgb, jittered(site.elsewhere, contrast, rng), patch)


def missing(site: Site, rng: np.random.Generator, contrast: float) -> Floats:
    """A broken-off piece: the background shows, or the surface is empty, behind a broken edge."""
    if rng.random() < 0.6:
        distance = polygon(site.shape, int(rng.integers(3, 7)), rng)
    else:
        distance = blob(site.shape, 0.5, rng)
    piece = within(distance, 1.5 * pixel(site.shape))
    at_edge = float(site.surface.mean()) < 0.95
    behind = healed(site.rgb, np.maximum(piece, site.surface) if at_edge else piece)
    if at_edge:  # beyond the outline nothing is missing
        piece = piece * site.surface
    sign = lean(site.rgb, piece, rng)
    behind = behind + np.float32((0.15 if at_edge else 0.5) * sign * contrast)
    behind = behind + rng.normal(0, 0.006, site.shape).astype(np.float32)[..., None]
    broken = np.exp(-(((distance - 1) / max(0.06, 2 * pixel(site.shape))) ** 2)) * site.surface
    edge = site.rgb + (0.6 * sign * contrast * broken)[..., None]
    return mix(edge, behind, piece)


def shifted(site: Site, rng: np.random.Generator, contrast: float) -> Floats:
    """A piece moved along one axis: a shaded gap where it was, a seam where it is now."""
    side = min(site.shape)
    room = max(2, round(side * rng.uniform(0.06, 0.18))) * int(rng.choice([-1, 1]))
    tall, wide = round(side * rng.uniform(0.3, 0.65)), round(side * rng.uniform(0.25, 0.65))
    top, left = (site.shape[0] - tall) // 2, (site.shape[1] - wide) // 2
    old = np.zeros(site.shape, dtype=np.float32)
    old[top : top + tall, left : left + wide] = 1
    axis = int(rng.integers(2))
    new = np.roll(old, room, axis)
    gap = old * (1 - new)
    # A gap is in shade, on the object only; on black it is seen by what shines through.
    shade = contrast * (-1 if site.rgb.mean() > 0.12 else 1) * site.surface
    fill = healed(site.rgb, old) + (rng.uniform(0.4, 1) * shade)[..., None]
    lip = new * (1 - np.roll(new, -int(np.sign(room)), axis))
    moved = np.roll(site.rgb, room, axis) + (0.5 * shade * lip)[..., None]
    return mix(mix(site.rgb, fill, gap), moved, new)
