"""Whether two pictures are one photograph: saved again, resized, a little brighter or moved.

Two photographs of like parts in one place agree in all that the parts share, but not in what each
has of its own: its grain and the noise of the camera. So the weakest detail decides, and where
nothing of it was lost by resizing, the noise.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

SIDE = 192
"""Pixels a side at which details are compared; shapes are at half of it."""
COARSE, FINE = (1.0, 5.0), (0.8, 2.5)
"""Blurs whose difference is the band of shapes (at half the side) and of details."""
FARTHEST = 1.6
"""Pixels, of half the side, that one photograph may be moved."""
LEAST_COARSE, LEAST_FINE = 0.8, 0.4
"""Agreement of shapes, and of the weaker details, from which two pictures are one photograph."""
CELLS, WEAK = 8, 10
"""Parts a side for which details are compared, and the percentile of them that decides."""
FAINTEST, FEWEST = 0.3, 8
"""Gray levels of detail under which a part shows nothing, and the parts that must show some."""
BORDER = 12
"""Pixels at the rim that are not compared."""

GRAIN = 384
"""Pixels a side, at the most, of the middle in which noise is compared."""
SMOOTHEST, LEAST_GRAIN, SHARED_GRAIN, LIKE_GRAIN = 20, 0.7, 0.2, 4.0
"""Percentile of the places that are smooth; there, levels of noise that both must have, the share
of it that is the same in two copies, and the ratio of the powers of two noises of one camera."""

Array = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Bands:
    """A picture's spectra: of its shapes, faded to the rim and as they are, and of its details.

    strength   of the faded shapes
    size       height and width as stored
    grain      its middle as stored, without what is smooth
    """

    faded: NDArray[np.complex64]
    coarse: NDArray[np.complex64]
    fine: NDArray[np.complex64]
    strength: float
    size: tuple[int, int]
    grain: Array


def bands(gray: Array, half: Array, stored: Array) -> Bands:
    """Of a gray picture SIDE x SIDE in levels 0..255, at half the side, and as it is stored H W."""
    shapes = _between(half, COARSE)
    fade = np.hanning(len(half)).astype(np.float32)
    faded = shapes * np.outer(fade, fade)
    return Bands(
        faded=fft.rfft2(faded),
        coarse=fft.rfft2(shapes),
        fine=fft.rfft2(_between(gray, FINE)),
        strength=float(np.linalg.norm(faded)),
        size=(stored.shape[0], stored.shape[1]),
        grain=_grain(stored),
    )


def same_photograph(first: Bands, second: Bands) -> bool:
    """Whether two pictures show one photograph."""
    move = _move(first, second)
    if move is None:
        return False
    shapes = _moved(first.coarse, (0, 0)), _moved(second.coarse, move)
    spreads = [float(part.std()) for part in shapes]
    if min(spreads) == 0 or _correlation(*shapes) < LEAST_COARSE:
        return False
    gain = spreads[0] / spreads[1]
    details = _moved(first.fine, (0, 0)), gain * _moved(second.fine, (2 * move[0], 2 * move[1]))
    if shared_detail(_parts(details[0]), _parts(details[1])) < LEAST_FINE:
        return False
    return first.size != second.size or not own_grain(first.grain, second.grain)


def shared_detail(first: Array, second: Array) -> float:
    """How much of the fainter one's detail both have, in the weaker ones of the parts n p.

    1 = all of it, though one may have more (the other was compressed); 0 = none: two photographs.
    """
    least = np.minimum(first.var(axis=1), second.var(axis=1))
    shows = least > FAINTEST**2
    if np.count_nonzero(shows) < FEWEST:
        return 0.0
    centred = first - first.mean(axis=1, keepdims=True)
    shared = (centred * second).mean(axis=1)
    return float(np.percentile(shared[shows] / least[shows], WEAK))


def own_grain(first: Array, second: Array) -> bool:
    """Whether each of two pictures H W has a noise of its own, where both are smooth."""
    spectra = fft.rfft2(first), fft.rfft2(second)
    peaks = fft.irfft2(spectra[0] * spectra[1].conj(), first.shape)
    move = np.unravel_index(int(peaks.argmax()), peaks.shape)
    second = np.roll(second, move, axis=(0, 1))
    powers = [ndimage.uniform_filter(part * part, 5) for part in (first, second)]
    larger = np.maximum(*powers)
    smooth = larger <= np.percentile(larger, SMOOTHEST)
    lesser, greater = sorted(float(power[smooth].mean()) for power in powers)
    shared = float((first * second)[smooth].mean())
    return (
        lesser > LEAST_GRAIN**2 and greater < LIKE_GRAIN * lesser and shared < SHARED_GRAIN * lesser
    )


def _grain(stored: Array) -> Array:
    """The middle of a picture H W, GRAIN x GRAIN at the most, without what is smooth."""
    top, left = (max(0, side - GRAIN) // 2 for side in stored.shape)
    middle = stored[top : top + GRAIN, left : left + GRAIN]
    return middle - ndimage.gaussian_filter(middle, 1.0)


def _correlation(first: Array, second: Array) -> float:
    return float(np.corrcoef(first.ravel(), second.ravel())[0, 1])


def _between(gray: Array, blurs: tuple[float, float]) -> Array:
    fine, coarse = (ndimage.gaussian_filter(gray, blur) for blur in blurs)
    return fine - coarse


def _move(first: Bands, second: Bands) -> tuple[float, float] | None:
    """Pixels down and right by which the second lies over the first; None where it never does."""
    if min(first.strength, second.strength) == 0:
        return None
    peaks = fft.fftshift(fft.irfft2(first.faded * second.faded.conj()))
    middle, most = len(peaks) // 2, int(FARTHEST) + 1
    near = peaks[middle - most : middle + most + 1, middle - most : middle + most + 1]
    if near.max() < LEAST_COARSE / 2 * first.strength * second.strength:
        return None
    row, column = divmod(int(near.argmax()), near.shape[1])
    row, column = row + middle - most, column + middle - most
    down = row - middle + _vertex(*peaks[row - 1 : row + 2, column])
    right = column - middle + _vertex(*peaks[row, column - 1 : column + 2])
    return (down, right) if max(abs(down), abs(right)) <= FARTHEST else None


def _vertex(before: float, here: float, after: float) -> float:
    """Where between -1/2 and 1/2 a parabola through three values is highest."""
    bend = before - 2 * here + after
    return 0.0 if bend >= 0 else float(np.clip((before - after) / (2 * bend), -0.5, 0.5))


def _moved(spectrum: NDArray[np.complex64], move: tuple[float, float]) -> Array:
    """The picture of a spectrum moved down and right by parts of a pixel, without its rim."""
    side = len(spectrum)
    rim = BORDER * side // SIDE
    turn = np.outer(
        np.exp(-2j * np.pi * move[0] * fft.fftfreq(side)),
        np.exp(-2j * np.pi * move[1] * fft.rfftfreq(side)),
    )
    moved: Array = fft.irfft2(spectrum * turn.astype(np.complex64))
    return moved[rim:-rim, rim:-rim]


def _parts(picture: Array) -> Array:
    """A square picture in CELLS x CELLS parts: n p."""
    side = len(picture) // CELLS
    cut = picture[: side * CELLS, : side * CELLS].reshape(CELLS, side, CELLS, side)
    return cut.transpose(0, 2, 1, 3).reshape(CELLS * CELLS, side * side)
