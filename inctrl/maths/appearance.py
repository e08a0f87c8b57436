"""How noisy, sharp, bright and blocky an image is, and how far that varies among images alike.

All figures are base-2 logarithms, so that a difference of 1 is a factor of 2 in any of them.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import special

WEIGHT = 2
"""Images that the spread assumed of a figure counts for."""
BLOCK = 8
"""Side of the blocks of JPEG, in pixels."""
FEWEST = 8
"""Blocks a side; fewer do not tell them from what the image shows."""
LOOKED_AT = 256
"""Rows, and columns, in which steps at block borders are sought."""
SHARE = 0.005
"""Of images like the others that lie beyond a limit, at either end."""


def noise(rgb: NDArray[np.uint8]) -> float:
    """First quartile of the response to Immerkaer's mask, of an image H W 3, 3 a side at least.

    Planes and edges leave the mask cold (Fast Noise Variance Estimation, 1996), and a quarter of an
    image is plain. It is for pixels as they were taken: enlarging smooths noise away.
    """
    steps, cross, corners = _around(rgb)
    return _log(float(np.quantile(np.abs(steps - cross + corners), 0.25)), 0.5)


def sharpness(rgb: NDArray[np.uint8]) -> float:
    """Laplacian of the steepest hundredth of an image H W 3, 3 a side at least."""
    return _log(float(np.quantile(np.abs(_around(rgb)[0]), 0.99)), 0.5)


def brightness(rgb: NDArray[np.uint8]) -> float:
    """Of the mean gray value of an image H W 3."""
    return _log(3 * float(rgb.mean()), 1.0)


def blockiness(rgb: NDArray[np.uint8]) -> float:
    """How much larger steps at the borders of JPEG's blocks are than midway, of an image H W 3.

    Midway alone: an enlarged image has larger steps in every second (fourth) place too. 0 of an
    image of under FEWEST blocks a side.
    """
    sides = rgb.shape[:2]
    if min(sides) < FEWEST * BLOCK:
        return 0.0
    down, across = (max(1, side // LOOKED_AT) for side in sides)
    lines = _gray(rgb[::down]), _gray(rgb[:, ::across]).T
    steps = [np.abs(np.diff(part, axis=1)) for part in lines]
    borders = [float(part[:, BLOCK - 1 :: BLOCK].mean()) for part in steps]
    midway = [float(part[:, BLOCK // 2 - 1 :: BLOCK].mean()) for part in steps]
    return _log(sum(borders) / 2, 0.5) - _log(sum(midway) / 2, 0.5)


def usual_range(values: Sequence[float], assumed: float) -> tuple[float, float]:
    """Where the figure of one more image lies, but for SHARE of such images at either end.

    assumed   the standard deviation expected of the figure among images of one kind

    The prediction limits of a Gaussian, whose spread is that of the values and the assumed one,
    which counts like WEIGHT further values (a moderated t, Smyth 2004): one value has limits too.
    """
    n, mean = len(values), float(np.mean(values))
    squares = float(np.square(np.asarray(values) - mean).sum())
    free = WEIGHT + n - 1
    spread = math.sqrt((WEIGHT * assumed**2 + squares) / free)
    margin = float(special.stdtrit(free, 1 - SHARE)) * spread * math.sqrt(1 + 1 / n)
    return min(mean - margin, *values), max(mean + margin, *values)


def _around(rgb: NDArray[np.uint8]) -> tuple[NDArray[np.int16], ...]:
    """Of the pixels of every fourth row: Laplacian, sum of the four beside, sum of the corners."""
    row, above, below = (_gray(rgb[start:stop:4]) for start, stop in ((1, -1), (0, -2), (2, None)))
    cross = above[:, 1:-1] + below[:, 1:-1] + row[:, :-2] + row[:, 2:]
    corners = above[:, :-2] + above[:, 2:] + below[:, :-2] + below[:, 2:]
    return 4 * row[:, 1:-1] - cross, cross, corners


def _gray(rgb: NDArray[np.uint8]) -> NDArray[np.int16]:
    """Sum of the channels."""
    return rgb[..., 0].astype(np.int16) + rgb[..., 1] + rgb[..., 2]


def _log(sum_of_three: float, least: float) -> float:
    """Of a mean over the channels; `least` gray values keep black finite."""
    return math.log2(sum_of_three / 3 + least)
