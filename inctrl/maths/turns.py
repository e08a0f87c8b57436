"""An image turned by eighths of a circle on its own canvas, and the way back.

Counter-clockwise about the centre. What leaves the canvas is lost, and what comes in is the image
reflected about its edges: a black corner would look like a defect, or hide one.
"""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch.nn import functional as F

TURNS = 8
"""Turns of 45 degrees, the first being none."""
RINGS, ANGLES = 16, 64
"""Places of a disc at which two pictures are compared: from its rim inwards, and around it."""
Corners = tuple[float, float, float, float]


def turned(rgb: NDArray[np.uint8], eighths: float) -> NDArray[np.uint8]:
    """H W 3 -> H W 3. Quarter turns only rearrange pixels; the others are bicubic."""
    if eighths % 2:
        return _between(rgb, eighths)
    quarter = np.rot90(rgb, int(eighths) // 2)
    if quarter.shape == rgb.shape:
        return np.ascontiguousarray(quarter)
    rows, columns = (
        _folded(n, have) for n, have in zip(rgb.shape, quarter.shape[:2], strict=False)
    )
    return np.ascontiguousarray(quarter[rows][:, columns])


def turned_back(box: Corners, size: tuple[int, int], eighths: int) -> Corners:
    """Where a box (left, top, right, bottom) of the turned image lies in the image (H, W).

    The least upright box around it; one that shows a reflected margin is where that is from.
    """
    height, width = size
    c, s = _direction(eighths)
    x = [box[i] - width / 2 for i in (0, 2, 0, 2)]
    y = [box[i] - height / 2 for i in (1, 1, 3, 3)]
    across = [c * a - s * b + width / 2 for a, b in zip(x, y, strict=True)]
    down = [s * a + c * b + height / 2 for a, b in zip(x, y, strict=True)]
    left, right = _inside(min(across), max(across), width)
    top, bottom = _inside(min(down), max(down), height)
    return left, top, right, bottom


def _direction(eighths: float) -> tuple[float, float]:
    """Cosine and sine, exact for quarter turns."""
    if eighths % 2 == 0:
        return ((1, 0), (0, 1), (-1, 0), (0, -1))[int(eighths) // 2 % 4]
    angle = eighths * math.pi / 4
    return math.cos(angle), math.sin(angle)


def _folded(wanted: int, have: int) -> NDArray[np.intp]:
    """Which of `have` pixels stand at the `wanted` ones about the same centre, edges repeated."""
    places = (np.arange(wanted) + (have - wanted) // 2) % (2 * have)
    return np.where(places < have, places, 2 * have - 1 - places)


def _between(rgb: NDArray[np.uint8], eighths: float) -> NDArray[np.uint8]:
    height, width = rgb.shape[:2]
    c, s = _direction(eighths)
    theta = torch.tensor([[[c, -s * height / width, 0], [s * width / height, c, 0]]])
    pixels = torch.from_numpy(rgb.copy()).permute(2, 0, 1)[None].float()
    grid = F.affine_grid(theta, list(pixels.shape), align_corners=False)
    made = F.grid_sample(
        pixels, grid, mode="bicubic", padding_mode="reflection", align_corners=False
    )
    rounded: NDArray[np.uint8] = made[0].round_().clamp_(0, 255).to(torch.uint8).numpy()
    return np.ascontiguousarray(rounded.transpose(1, 2, 0))


def _inside(low: float, high: float, length: int) -> tuple[float, float]:
    """A stretch whose middle is folded into 0..length, as reflection has it."""
    middle = (low + high) / 2 % (2 * length)
    moved = (middle if middle < length else 2 * length - middle) - (low + high) / 2
    return low + moved, high + moved


def nearer_turned(pictures: NDArray[np.float32]) -> float:
    """How much nearer square pictures k S S come to each other where they may be turned.

    For each, its distance to the nearest of the others at the best of ANGLES turns over that to the
    nearest unturned, in the disc about the centre; the median. 1 = no nearer: they lie alike, or
    are round, or have nothing in common. Light, contrast and the side that is lit do not count.
    """
    around = np.array([_rings(picture) for picture in pictures])
    spectra = np.fft.rfft(around - around.mean(axis=(1, 2), keepdims=True), axis=2)
    spectra[:, :, 1] = 0  # one wave around: light that falls off to one side
    lengths = np.sqrt((np.fft.irfft(spectra, ANGLES, axis=2) ** 2).sum(axis=(1, 2), keepdims=True))
    spectra /= np.maximum(lengths, 1e-6)
    ratios = []
    for i, spectrum in enumerate(spectra):
        others = np.delete(spectra, i, axis=0)
        alike = np.fft.irfft((spectrum * others.conj()).sum(axis=1), ANGLES, axis=1)
        apart = np.sqrt(np.maximum(2 - 2 * alike, 0))
        ratios.append(apart.min() / max(float(apart[:, 0].min()), 1e-6))
    return float(np.median(ratios))


def _rings(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    """S S -> RINGS x ANGLES, each ring weighted by the root of its area."""
    side = len(picture)
    radius = (np.arange(RINGS) + 0.5)[:, None] / RINGS * side / 2
    angle = np.arange(ANGLES) * 2 * np.pi / ANGLES
    middle = (side - 1) / 2
    places = middle + radius * np.sin(angle), middle + radius * np.cos(angle)
    sampled = ndimage.map_coordinates(picture, places, order=1, mode="nearest")
    weighted: NDArray[np.float32] = sampled * np.sqrt(radius)
    return weighted
