"""A query to look at closely: the image and its overlay, of one size."""

import io
from dataclasses import dataclass

import PIL.Image

from inctrl.reporting.colours import Scale
from inctrl.reporting.overlay import layer
from inctrl.types import Result

LONGEST, SHORTEST = 1280, 320
"""Long side of a view: larger images are reduced, smaller ones grow by a whole factor."""


@dataclass(frozen=True)
class View:
    """Encoded, for the memory of an open page: the image as JPEG, its heat as PNG."""

    image: bytes
    heat: bytes

    @property
    def pair(self) -> tuple[PIL.Image.Image, PIL.Image.Image]:
        """The original, and the same with heat, contour and boxes over it."""
        original = PIL.Image.open(io.BytesIO(self.image)).convert("RGB")
        heat = PIL.Image.open(io.BytesIO(self.heat)).convert("RGBA")
        over = PIL.Image.alpha_composite(original.convert("RGBA"), heat)
        return original, over.convert("RGB")


def view(result: Result, scale: Scale) -> View:
    height, width = result.image.size
    longest = max(height, width)
    factor = min(1.0, LONGEST / longest) if longest >= SHORTEST else -(-SHORTEST // longest)
    size = max(1, round(width * factor)), max(1, round(height * factor))
    enlarged = PIL.Image.Resampling.NEAREST if factor > 1 else PIL.Image.Resampling.BICUBIC
    picture = PIL.Image.fromarray(result.image.rgb).resize(size, enlarged, reducing_gap=2.0)
    image, heat = io.BytesIO(), io.BytesIO()
    picture.save(image, "JPEG", quality=95, subsampling=0)
    layer(result, scale, size).save(heat, "PNG", compress_level=3)
    return View(image.getvalue(), heat.getvalue())
