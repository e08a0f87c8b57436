"""Connected regions of a map above a limit."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage


@dataclass(frozen=True)
class Component:
    """left, top, right, bottom in pixels (right and bottom excluded); peak; area in pixels."""

    box: tuple[int, int, int, int]
    peak: float
    area: int


def components(
    values: NDArray[np.float32], limit: float, most: int = 10, least_share: float = 1e-3
) -> list[Component]:
    """8-connected parts of a map H W above `limit`, highest peak first, `most` at the most.

    Parts under `least_share` of the image (a third of a cell of an 18 x 18 map) are specks of the
    interpolation and left out, unless nothing else is there.
    """
    labels, count = ndimage.label(values > limit, structure=np.ones((3, 3), dtype=int))
    if count == 0:
        return []
    index = np.arange(1, count + 1)
    areas = ndimage.sum_labels(np.ones_like(labels), labels, index)
    peaks = ndimage.maximum(values, labels, index)
    found = [
        Component((cols.start, rows.start, cols.stop, rows.stop), float(peak), int(area))
        for (rows, cols), peak, area in zip(ndimage.find_objects(labels), peaks, areas, strict=True)
    ]
    found.sort(key=lambda part: -part.peak)
    large = [part for part in found if part.area >= least_share * values.size]
    return (large or found[:1])[:most]
