"""Perlin noise: smooth randomness with a chosen grain."""

import numpy as np
from numpy.typing import NDArray

from inctrl.data.defects.site import Floats


def perlin(shape: tuple[int, int], cell: float, rng: np.random.Generator) -> Floats:
    """Gradient noise h w, about -1..1, `cell` pixels between lattice points (Perlin 1985)."""
    row, down = _lattice(shape[0], cell, rng)
    column, right = _lattice(shape[1], cell, rng)
    angle = rng.uniform(0, 2 * np.pi, (row[-1] + 2, column[-1] + 2)).astype(np.float32)
    slope_y, slope_x = np.sin(angle), np.cos(angle)

    def corner(y: int, x: int) -> Floats:
        along_y = slope_y.take(row + y, axis=0).take(column + x, axis=1) * (down - y)[:, None]
        along_x = slope_x.take(row + y, axis=0).take(column + x, axis=1) * (right - x)
        return along_y + along_x

    ease_y, ease_x = _ease(down)[:, None], _ease(right)
    top = corner(0, 0) + ease_x * (corner(0, 1) - corner(0, 0))
    bottom = corner(1, 0) + ease_x * (corner(1, 1) - corner(1, 0))
    return np.float32(np.sqrt(2)) * (top + ease_y * (bottom - top))


def fractal(shape: tuple[int, int], cell: float, octaves: int, rng: np.random.Generator) -> Floats:
    """Perlin noise h w of several grains, each half as large and half as strong as the last."""
    total = perlin(shape, cell, rng)
    for octave in range(1, octaves):
        total += perlin(shape, max(cell / 2**octave, 2.0), rng) / 2**octave
    return total


def _lattice(size: int, cell: float, rng: np.random.Generator) -> tuple[NDArray[np.intp], Floats]:
    """For each pixel, the lattice point before it and the way from there, 0..1."""
    position = (np.arange(size) / cell + rng.random()).astype(np.float32)
    before = position.astype(np.intp)
    return before, position - before.astype(np.float32)


def _ease(way: Floats) -> Floats:
    return way**3 * (way * (way * 6 - 15) + 10)
