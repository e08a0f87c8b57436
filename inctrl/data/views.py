"""Views of one image: what small changes of light and position do to it."""

import numpy as np
from numpy.typing import NDArray

from inctrl.images import Image, open_image

GAINS = (0.9, 0.95, 1.05, 1.1)
SHIFTS = ((0.02, 0.03), (-0.03, -0.02), (0.03, -0.02), (-0.02, 0.03))
"""Down and right, in sides of the image; the uncovered border is filled by reflection."""


def small_views(image: Image) -> list[Image]:
    """Eight views, deterministic; no resampling, whose blur alone would look anomalous."""
    rgb = image.rgb.astype(np.float32)
    brighter = [np.rint(np.clip(rgb * gain, 0, 255)).astype(np.uint8) for gain in GAINS]
    shifted = [_shift(image.rgb, down, right) for down, right in SHIFTS]
    return [open_image(v, f"{image.name} (view {i})") for i, v in enumerate(brighter + shifted)]


def _shift(rgb: NDArray[np.uint8], down: float, right: float) -> NDArray[np.uint8]:
    height, width = rgb.shape[:2]
    dy, dx = round(down * height), round(right * width)
    padded = np.pad(rgb, ((abs(dy), abs(dy)), (abs(dx), abs(dx)), (0, 0)), mode="symmetric")
    top, left = abs(dy) - dy, abs(dx) - dx
    return padded[top : top + height, left : left + width]
