"""Where a defect goes: on the object where there is a clear one, anywhere otherwise."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from inctrl.data.defects.site import Floats, Window

THUMB = 64
"""Cells along the longer side in which an object is looked for."""
UNIFORM = 0.06
"""A border whose colours spread further than this (0..1) is no plain background."""
APART = 0.08
"""How far (0..1) beyond that spread a colour must be from the border's to be the object's."""
OBJECT_SHARES = (0.03, 0.9)
"""A smaller 'object' is dirt, a larger one a texture."""


@dataclass(frozen=True, eq=False)
class Ground:
    """An object before a plain background.

    inside   rows columns, True in the cells of the object; a cell has `step` pixels a side
    colour   3, of the background, 0..1; `reach` is how far from it the background still goes
    """

    inside: NDArray[np.bool_]
    step: int
    colour: Floats
    reach: float


def find_ground(rgb: NDArray[np.uint8]) -> Ground | None:
    """The object of an image (uint8 H W 3) whose border is plain, or None."""
    step = -(-max(rgb.shape[:2]) // THUMB)
    thumb = rgb[step // 2 :: step, step // 2 :: step].astype(np.float32) / 255
    ring = np.ones(thumb.shape[:2], dtype=bool)
    ring[2:-2, 2:-2] = False
    colour = np.median(thumb[ring], axis=0)
    away = np.abs(thumb - colour).max(axis=2)
    spread = float(np.percentile(away[ring], 80))
    inside = ndimage.binary_fill_holes(ndimage.binary_opening(away > spread + APART))
    if spread > UNIFORM or not OBJECT_SHARES[0] < inside.mean() < OBJECT_SHARES[1]:
        return None
    return Ground(inside, step, colour.astype(np.float32), spread + APART / 2)


def place(
    size: tuple[int, int], side: int, ground: Ground | None, edge: bool, rng: np.random.Generator
) -> Window:
    """A window centred in the image, on the object if there is one, at its outline if `edge`."""
    if ground is None:
        y, x = rng.uniform(0.03, 0.97, 2) * size
    else:
        cells = ground.inside
        if edge:
            cells = cells & ~ndimage.binary_erosion(cells)
        options = np.argwhere(cells)
        y, x = (options[rng.integers(len(options))] + rng.random(2)) * ground.step
    return Window(int(y) - side // 2, int(x) - side // 2, side)


def object_matte(rgb: Floats, window: Window, ground: Ground | None) -> Floats:
    """h w, 1 where the window (h w 3) shows the object, 0 on the background, soft between."""
    if ground is None:
        return np.ones(rgb.shape[:2], dtype=np.float32)
    away = np.abs(rgb - ground.colour).max(axis=2)
    apart = np.clip((away - ground.reach) / (APART / 2), 0, 1)
    # Deep inside, a part in the background's colour belongs to the object all the same.
    deep = ndimage.binary_erosion(ground.inside, iterations=2)
    rows = np.clip(np.arange(window.top, window.top + window.side) // ground.step, 0, None)
    columns = np.clip(np.arange(window.left, window.left + window.side) // ground.step, 0, None)
    rows, columns = np.minimum(rows, deep.shape[0] - 1), np.minimum(columns, deep.shape[1] - 1)
    return np.asarray(np.maximum(apart, deep[rows[:, None], columns]), dtype=np.float32)
