"""Figures of anomaly maps against masks: pixel AUROC and the per-region overlap (AUPRO), exact.

Bergmann et al., The MVTec Anomaly Detection Dataset, IJCV 2021: a threshold marks pixels; its PRO
is the share marked of a region, averaged over all regions of all images; its FPR is the share
marked of all normal pixels of all images, normal images included. AUPRO is the area under
PRO(FPR) from 0 to a limit, divided by the limit.

Every distinct value of the maps is a threshold here, and pixels of one value are marked together,
so that the curve is straight between neighbouring thresholds. No curve is built: the area is a
sum over anomalous pixels. One with `above` of N normal pixels above it and `equal` at its own
value adds its weight to the curve along a ramp from x0 = above / N to x1 = (above + equal) / N.
"""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

EIGHT = np.ones((3, 3), dtype=np.int8)
"""Pixels that touch by a corner belong to one region."""
LIMITS = {"pixel_auroc": 1.0, "aupro_30": 0.3, "aupro_05": 0.05}
"""The FPR up to which each figure integrates."""


def pixel_figures(
    pairs: Iterable[tuple[NDArray[np.float32], NDArray[np.bool_]]],
) -> dict[str, float | None]:
    """The figures of all (map H W, mask H W) of a test set; normal images have empty masks."""
    counter = PixelCounter()
    for anomaly_map, mask in pairs:
        counter.add(anomaly_map, mask)
    return counter.figures()


class PixelCounter:
    """Takes maps one by one and keeps four bytes of each pixel, no map and no index."""

    def __init__(self) -> None:
        self._normal: list[NDArray[np.float32]] = []
        self._regions: list[NDArray[np.float32]] = []

    def add(self, anomaly_map: NDArray[np.float32], mask: NDArray[np.bool_]) -> None:
        """Count one image.

        anomaly_map  H W   higher is more anomalous, raw: the same scale for all images
        mask         H W   true where anomalous
        """
        _check(anomaly_map, mask)
        values = np.asarray(anomaly_map, dtype=np.float32)
        self._normal.append(values[~mask])
        self._regions.extend(_regions(values, mask))

    def figures(self) -> dict[str, float | None]:
        """pixel_auroc, aupro_30 and aupro_05; None where a kind of pixel is missing."""
        normal = self._sorted_normal()
        if not self._regions or not len(normal):
            return dict.fromkeys(LIMITS)
        areas = np.array([len(region) for region in self._regions])
        parts = np.array([_areas(region, normal) for region in self._regions])
        # In the ROC all pixels weigh the same, in the PRO all regions.
        by_region, by_pixel = parts.mean(axis=0), np.average(parts, axis=0, weights=areas)
        return {
            key: float((by_pixel if key == "pixel_auroc" else by_region)[i])
            for i, key in enumerate(LIMITS)
        }

    def _sorted_normal(self) -> NDArray[np.float32]:
        """All normal values in order; parts are given up as they are copied, to hold them once."""
        together = np.empty(sum(map(len, self._normal)), dtype=np.float32)
        end = len(together)
        while self._normal:
            part = self._normal.pop()
            together[end - len(part) : end] = part
            end -= len(part)
        together.sort()
        self._normal = [together]
        return together


def _regions(values: NDArray[np.float32], mask: NDArray[np.bool_]) -> Iterator[NDArray[np.float32]]:
    """The values inside each 8-connected region of a mask H W, each region in order."""
    labels, _ = ndimage.label(mask, structure=EIGHT)
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        yield np.sort(values[box][labels[box] == number])


def _areas(region: NDArray[np.float32], normal: NDArray[np.float32]) -> list[float]:
    """What a region adds to each figure of LIMITS if it is alone; both arrays are in order.

    The mean over its pixels of the area under their ramps up to the limit, over the limit.
    """
    above = len(normal) - np.searchsorted(normal, region, side="right")
    above_or_equal = len(normal) - np.searchsorted(normal, region, side="left")
    x0, x1 = above / len(normal), above_or_equal / len(normal)
    return [float(_under_ramp(x0, x1, limit).mean()) / limit for limit in LIMITS.values()]


def _under_ramp(
    x0: NDArray[np.float64], x1: NDArray[np.float64], limit: float
) -> NDArray[np.float64]:
    """Area from 0 to `limit` under ramps that are 0 up to x0, rise to x1, and are 1 from there."""
    inside = np.clip(limit, x0, x1) - x0  # of the slope, what lies within the limit
    flat = np.maximum(limit - x1, 0)
    width = x1 - x0
    # Without a tie there is no slope, only a step.
    slope = np.divide(inside**2, 2 * width, out=np.zeros_like(width), where=width > 0)
    return np.asarray(slope + flat, dtype=np.float64)


def _check(anomaly_map: NDArray[np.float32], mask: NDArray[np.bool_]) -> None:
    if anomaly_map.ndim != 2 or anomaly_map.shape != mask.shape:
        raise ValueError(
            f"the map has shape {anomaly_map.shape} and the mask {mask.shape}; "
            "resize the map to the H W of the mask"
        )
    if mask.dtype != np.bool_:
        raise ValueError(f"the mask is of {mask.dtype}; say which values are anomalous (mask > 0)")
    if not np.isfinite(anomaly_map).all():
        bad = int((~np.isfinite(anomaly_map)).sum())
        raise ValueError(
            f"{bad} of {anomaly_map.size} map values are not finite; "
            "leave the detector out, or correct what makes them"
        )
