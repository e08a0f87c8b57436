"""How far the values of an image reach, and where they lie beyond: single hot pixels aside."""

from collections.abc import Iterable
from itertools import product

import numpy as np
from numpy.typing import NDArray

PLACE = 5
"""Neighbouring pixels that are a place; fewer are hot or dead pixels of the sensor."""
FEW = 50_000
"""Pixels up to which a place is looked for from one to the next, and not in the whole image."""


def reach(values: NDArray[np.generic], low: float, high: float) -> tuple[float, float]:
    """The least and the greatest value that PLACE neighbouring pixels of H W reach together.

    Pixels touch by their corners too. At the most `low` and at the least `high`.
    """
    flat = values.ravel()
    below, above = np.flatnonzero(np.less(flat, low)), np.flatnonzero(np.greater(flat, high))
    falling = below[np.argsort(flat[below], kind="stable")]
    rising = above[np.argsort(flat[above], kind="stable")[::-1]]
    least, most = _met(falling, values.shape[1]), _met(rising, values.shape[1])
    return low if least is None else float(flat[least]), high if most is None else float(flat[most])


def _met(pixels: Iterable[np.intp], width: int) -> int | None:
    """The first pixel, given one after the other, with which PLACE neighbours have come."""
    groups: dict[tuple[int, int], set[tuple[int, int]]] = {}
    for pixel in map(int, pixels):
        row, column = divmod(pixel, width)
        group = {(row, column)}
        for near in product(range(row - 1, row + 2), range(column - 1, column + 2)):
            group |= groups.get(near, set())
        if len(group) >= PLACE:
            return pixel
        groups.update(dict.fromkeys(group, group))
    return None


def places(marked: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Of the marked pixels of H W those in places: with PLACE of them side by side."""
    count = np.count_nonzero(marked)
    if count <= FEW:
        return _flooded(marked) if count >= PLACE else np.zeros_like(marked)
    from scipy import ndimage  # here: the client opens images too, and is quick to import

    labels, _ = ndimage.label(marked, structure=np.ones((3, 3), dtype=int))
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    large: NDArray[np.bool_] = (sizes >= PLACE)[labels]
    return large


def _flooded(marked: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """`places` of a few pixels in what may be a large image, from pixel to pixel."""
    found = np.zeros_like(marked)
    waiting = set(zip(*(axis.tolist() for axis in np.nonzero(marked)), strict=True))
    while waiting:
        part = [waiting.pop()]
        for row, column in part:
            around = product(range(row - 1, row + 2), range(column - 1, column + 2))
            near = waiting.intersection(around)
            waiting -= near
            part += near
        if len(part) >= PLACE:
            found[tuple(zip(*part, strict=True))] = True
    return found


def around(values: NDArray[np.uint8], marked: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """For each marked pixel of H W, the median of those not marked in 5 x 5 around it."""
    rows, columns = np.nonzero(marked)
    height, width = values.shape
    seen = np.empty((25, len(rows)), dtype=np.float32)
    for i, (down, right) in enumerate(product(range(-2, 3), repeat=2)):
        near = np.clip(rows + down, 0, height - 1), np.clip(columns + right, 0, width - 1)
        seen[i] = np.where(marked[near], np.nan, values[near])
    return np.rint(np.nanmedian(seen, axis=0)).astype(np.uint8)
