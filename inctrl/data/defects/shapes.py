"""The shapes defects are made of: curves, strokes along them, blobs and rectangles."""

import numpy as np

from inctrl.data.defects.site import Floats

REACH = 0.4
"""Radius of a blob as a share of its window's side; the rest is room for rims and shadows."""


def drift(count: int, knots: int, rng: np.random.Generator) -> Floats:
    """`count` values that change smoothly between `knots` random ones, within -1..1."""
    ends = rng.uniform(-1, 1, knots)
    position = np.linspace(0, knots - 1, count)
    before = np.minimum(position.astype(np.intp), knots - 2)
    way = position - before
    way = way * way * (3 - 2 * way)
    return np.asarray(ends[before] + way * np.diff(ends)[before], dtype=np.float32)


def path(headings: Floats, length: float, shape: tuple[int, int]) -> Floats:
    """Points n 2 (y, x) of a walk of `length` pixels along n headings, centred in the shape."""
    steps = np.stack([np.sin(headings), np.cos(headings)], axis=1) * (length / len(headings))
    points = np.cumsum(steps, axis=0)
    middle = (points.max(axis=0) + points.min(axis=0)) / 2
    return np.asarray(points - middle + np.array(shape) / 2, dtype=np.float32)


def stroke(
    shape: tuple[int, int], points: Floats, widths: Floats, ink: Floats | float = 1.0
) -> Floats:
    """Coverage h w, 0..1, of discs of these diameters (pixels) at points n 2, antialiased.

    `ink` is each disc's own strength; where discs overlap the strongest counts, so that dense
    points make a line.
    """
    # Below a pixel a disc gets fainter instead of thinner.
    strength = np.broadcast_to(np.minimum(widths, 1) * ink, widths.shape)
    half = int(np.ceil(widths.max() / 2)) + 1
    span = np.arange(-half, half + 1)
    corner = np.floor(points).astype(np.intp)
    rows, columns = corner[:, :1] + span, corner[:, 1:] + span
    across = (rows - points[:, :1])[:, :, None] ** 2 + (columns - points[:, 1:])[:, None, :] ** 2
    radius = np.maximum(widths, 1)[:, None, None] / 2
    cover = np.clip(radius + 0.5 - np.sqrt(across), 0, 1) * strength[:, None, None]
    inside = ((rows >= 0) & (rows < shape[0]))[:, :, None]
    inside = inside & ((columns >= 0) & (columns < shape[1]))[:, None, :] & (cover > 0)
    where = rows[:, :, None] * shape[1] + columns[:, None, :]
    canvas = np.zeros(shape[0] * shape[1], dtype=np.float32)
    np.maximum.at(canvas, where[inside], cover[inside].astype(np.float32))
    return canvas.reshape(shape)


def count_points(length: float, width: float) -> int:
    """How many points make an even line: closer than a third of its width."""
    return max(8, int(length / max(0.5, width / 3)))


def blob(shape: tuple[int, int], rough: float, rng: np.random.Generator) -> Floats:
    """Distance from the middle h w in units of an irregular contour: 0 middle, 1 contour."""
    y, x = centred(shape)
    turn, flat = rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 1)
    along, across = _turned(y, x, turn)
    across = across / np.float32(flat)
    angle = np.arctan2(across, along)
    radius = np.ones(shape, dtype=np.float32)
    for wave in range(2, 6):
        swing = rough * rng.uniform(-1, 1) / wave
        radius += np.float32(swing) * np.cos(wave * angle + np.float32(rng.uniform(0, 2 * np.pi)))
    contour = radius * (REACH * min(shape) / (1 + rough / 2))
    return np.asarray(np.hypot(along, across) / contour, dtype=np.float32)


def within(distance: Floats, softness: float) -> Floats:
    """Coverage of a blob's inside from its `distance`; `softness` is the share that fades."""
    cover = np.clip((1 - distance) / max(softness, 1e-3) + 0.5, 0, 1)
    return np.asarray(cover, dtype=np.float32)


def pixel(shape: tuple[int, int]) -> float:
    """One pixel as a share of a blob's radius: the softness of a sharp, antialiased contour."""
    return 1 / (REACH * min(shape))


def rectangle(shape: tuple[int, int], length: float, width: float, turn: float) -> Floats:
    """Coverage h w of a rectangle (pixels) in the middle, turned by `turn` radians."""
    along, across = _turned(*centred(shape), turn)
    inside = np.minimum(length / 2 - np.abs(along), width / 2 - np.abs(across))
    return np.clip(inside + np.float32(0.5), 0, 1)


def centred(shape: tuple[int, int]) -> tuple[Floats, Floats]:
    """Pixel coordinates from the middle: rows h 1, columns 1 w."""
    y, x = (np.arange(n, dtype=np.float32) - np.float32((n - 1) / 2) for n in shape)
    return y[:, None], x[None, :]


def _turned(y: Floats, x: Floats, turn: float) -> tuple[Floats, Floats]:
    cos, sin = np.float32(np.cos(turn)), np.float32(np.sin(turn))
    return x * cos + y * sin, y * cos - x * sin


def polygon(shape: tuple[int, int], corners: int, rng: np.random.Generator) -> Floats:
    """Distance like `blob`, but with straight sides: a broken piece rather than a drop."""
    y, x = centred(shape)
    angles = (np.arange(corners) + rng.uniform(-0.35, 0.35, corners)) * 2 * np.pi / corners
    reach = rng.uniform(0.5, 0.9, corners) * REACH * min(shape)
    turn = rng.uniform(0, 2 * np.pi)
    sides = [
        (x * np.float32(np.cos(a + turn)) + y * np.float32(np.sin(a + turn))) / np.float32(r)
        for a, r in zip(angles, reach, strict=True)
    ]
    return np.asarray(np.maximum.reduce(sides), dtype=np.float32)
