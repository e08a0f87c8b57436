"""The heat map of a result over its image.

A layer is a palette picture: index 0 is transparent, two opaque tones draw lines that show on
dark and on bright images, the rest are the see-through heat colours of the run's scale. The same
map value therefore has the same index, and the same colour, in every picture of a run.
"""

import numpy as np
import PIL.Image
import PIL.ImageDraw
from numpy.typing import NDArray
from scipy import ndimage

from inctrl.reporting.colours import Scale, cividis
from inctrl.types import Box, Result

LONGEST = 4096
"""Long side of an overlay file; larger images are scaled down to it."""
LINES_FROM = 64
"""Below this long side lines would cover what they mark, and are left out."""
OPACITY, STRONGEST = 144, 200
"""Of 255: of all heat above a limit; of the highest values where there is none."""
CLEAR, DARK, LIGHT, FIRST_HEAT = 0, 1, 2, 3
HEAT_LEVELS = 256 - FIRST_HEAT
TONES = ((0, 0, 0, 0), (16, 18, 22, 255), (255, 255, 255, 255))


def overlay(result: Result, scale: Scale, longest: int = LONGEST) -> PIL.Image.Image:
    """The image with its heat, contour and boxes as RGB, at original size up to `longest`."""
    height, width = result.image.size
    factor = min(1.0, longest / max(height, width))
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    picture = PIL.Image.fromarray(result.image.rgb)
    if picture.size != size:
        picture = picture.resize(size, PIL.Image.Resampling.BICUBIC, reducing_gap=2.0)
    heat = layer(result, scale, size).convert("RGBA")
    return PIL.Image.alpha_composite(picture.convert("RGBA"), heat).convert("RGB")


def layer(result: Result, scale: Scale, size: tuple[int, int]) -> PIL.Image.Image:
    """Heat, contour and boxes alone: a palette picture of `size` (width, height), 0 clear."""
    values = resample(result.anomaly_map, size[1], size[0])
    above = values > scale.limit if scale.limited else np.full(values.shape, True)
    levels = np.rint(scale.share(values) * (HEAT_LEVELS - 1)) + FIRST_HEAT
    indices = np.where(above, levels, CLEAR).astype(np.uint8)
    if max(size) >= LINES_FROM:
        line = line_width(size)
        _draw_contour(indices, above, line)
        picture = PIL.Image.fromarray(indices)
        draw = PIL.ImageDraw.Draw(picture)
        for region in result.regions:
            corners = scaled_corners(region.box, result.image.size, picture.size)
            draw_box(draw, corners, line, DARK, LIGHT)
    else:
        picture = PIL.Image.fromarray(indices)
    picture.putpalette(_palette(scale), "RGBA")
    return picture


def opacities(scale: Scale, count: int) -> NDArray[np.uint8]:
    """Those of `count` colours from low to high: without a limit heat fades out towards low."""
    lowest, highest = (OPACITY, OPACITY) if scale.limited else (0, STRONGEST)
    return np.rint(np.linspace(lowest, highest, count)).astype(np.uint8)


def line_width(size: tuple[int, int]) -> int:
    """Width in pixels of each of a line's two tones, in proportion to the picture."""
    return max(1, round(max(size) / 400))


def resample(values: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """A map H W as height x width: the largest value of each block, or the nearest one.

    A mean would let a small defect sink below the limit where the picture is smaller.
    """
    rows = np.arange(height) * values.shape[0] // height
    columns = np.arange(width) * values.shape[1] // width
    # reduceat over edges that repeat (a picture larger than the map) copies the value.
    tall = np.fmax.reduceat(values, rows, axis=0)
    return np.asarray(np.fmax.reduceat(tall, columns, axis=1), dtype=np.float32)


def draw_box(
    draw: PIL.ImageDraw.ImageDraw,
    corners: tuple[int, int, int, int],
    line: int,
    dark: int | tuple[int, ...],
    light: int | tuple[int, ...],
) -> None:
    """A light rectangle on its corners (both included) in a dark one just outside of it."""
    left, top, right, bottom = corners
    draw.rectangle((left - line, top - line, right + line, bottom + line), outline=dark, width=line)
    draw.rectangle((left, top, right, bottom), outline=light, width=line)


def scaled_corners(
    box: Box, image: tuple[int, int], size: tuple[int, int]
) -> tuple[int, int, int, int]:
    """Corners (both included) of a box of an image (height, width) drawn at (width, height)."""
    across, down = size[0] / image[1], size[1] / image[0]
    left, top = int(box.left * across), int(box.top * down)
    right = max(left, int(np.ceil(box.right * across)) - 1)
    bottom = max(top, int(np.ceil(box.bottom * down)) - 1)
    return left, top, right, bottom


def _draw_contour(indices: NDArray[np.uint8], above: NDArray[np.bool_], line: int) -> None:
    """Light just inside and dark just outside the limit; the picture's own edge is no limit."""
    if not above.any() or above.all():
        return
    mask = above.astype(np.uint8)
    grown = ndimage.maximum_filter(mask, size=2 * line + 1, mode="nearest")
    shrunk = ndimage.minimum_filter(mask, size=2 * line + 1, mode="nearest")
    indices[(grown == 1) & ~above] = DARK
    indices[above & (shrunk == 0)] = LIGHT


def _palette(scale: Scale) -> bytes:
    heat = cividis(np.linspace(0, 1, HEAT_LEVELS, dtype=np.float32))
    alpha = opacities(scale, HEAT_LEVELS)[:, None]
    lines = np.array(TONES, dtype=np.uint8)
    return np.concatenate([lines, np.hstack([heat, alpha])]).tobytes()
