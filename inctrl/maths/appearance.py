"""How noisy, sharp and bright an image is, and how far these figures vary among images alike.

All figures are base-2 logarithms, so that a difference of 1 is a factor of 2 in any of them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

USUAL_SPREAD = 0.25
"""Standard deviation of a figure among images of one kind, as far as few of them do not tell."""
WEIGHT = 2
"""Images that this assumption counts for."""
SHARE = 0.01
"""Of images like the others that lie beyond a limit, at either end."""


@dataclass(frozen=True)
class Appearance:
    """Figures of one image.

    noise       median response to Immerkaer's mask (Fast Noise Variance Estimation, 1996), which
                planes and edges leave cold
    sharpness   of its steepest hundredth: Laplacian, 99th percentile
    brightness  mean gray value
    """

    noise: float
    sharpness: float
    brightness: float


def appearance(rgb: NDArray[np.uint8]) -> Appearance:
    """Of an image H W 3, of which every fourth row is looked at; 3 a side at least."""
    gray = rgb[..., 0].astype(np.int16) + rgb[..., 1] + rgb[..., 2]
    row = gray[1:-1:4]
    above, below = gray[:-2:4], gray[2::4]
    outer = above[:, :-2] + above[:, 2:] + below[:, :-2] + below[:, 2:]
    cross = above[:, 1:-1] + below[:, 1:-1] + row[:, :-2] + row[:, 2:]
    steps = 4 * row[:, 1:-1] - cross
    noise = np.abs(steps - cross + outer)
    return Appearance(
        noise=_log(float(np.median(noise)), 0.5),
        sharpness=_log(float(np.quantile(np.abs(steps), 0.99)), 0.5),
        brightness=_log(float(gray.mean()), 1.0),
    )


def usual_range(values: Sequence[float]) -> tuple[float, float]:
    """Where the figure of one more image lies, but for SHARE of such images at either end.

    The prediction limits of a Gaussian, whose spread is that of the values and USUAL_SPREAD, which
    counts like WEIGHT further values (a moderated t, Smyth 2004); so one value has limits too.
    """
    n, mean = len(values), float(np.mean(values))
    squares = float(np.square(np.asarray(values) - mean).sum())
    free = WEIGHT + n - 1
    spread = math.sqrt((WEIGHT * USUAL_SPREAD**2 + squares) / free)
    margin = float(special.stdtrit(free, 1 - SHARE)) * spread * math.sqrt(1 + 1 / n)
    return min(mean - margin, *values), max(mean + margin, *values)


def _log(sum_of_three: float, least: float) -> float:
    """Of a mean over the channels; `least` gray values keep black finite."""
    return math.log2(sum_of_three / 3 + least)
