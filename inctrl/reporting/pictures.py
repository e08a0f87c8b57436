"""The small pictures inside the page, each a `data:` URI: thumbnails, heat layers, crops."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import PIL.Image
import PIL.ImageDraw

from inctrl.images import Image
from inctrl.reporting.colours import Scale
from inctrl.reporting.overlay import TONES, draw_box, layer, scaled_corners
from inctrl.types import Box, Result

LONGEST = 640
ENLARGED_FROM = 160
"""Images under this long side are enlarged to it or more, so that a person can see them."""
NARROWEST = 24
"""Short side of very elongated images, which in proportion would be a hair."""
CROP = 240
SHOT = 192


@dataclass(frozen=True)
class Pictures:
    """What the page shows of one query.

    original, heat   data URIs of one shape; heat, width x height, lies on top
    stretched        the short side is drawn larger than in proportion
    place, nearest   data URIs of the evidence's two crops; None without evidence
    """

    original: str
    heat: str
    width: int
    height: int
    stretched: bool
    place: str | None
    nearest: str | None


def pictures(result: Result, scale: Scale, shots: Sequence[Image]) -> Pictures:
    """All pictures of one result; `shots` in the order that its evidence counts them."""
    # Lines drawn at the size of a small image would be ragged where the page enlarges it.
    size = _scaled(result.image, LONGEST / max(result.image.size))
    place = nearest = None
    evidence = result.evidence
    if evidence is not None:
        place = crop(result.image, evidence.query_box)
        if 0 <= evidence.shot < len(shots):
            nearest = crop(shots[evidence.shot], evidence.shot_box)
    height, width = result.image.size
    return Pictures(
        original=_thumbnail(result.image, LONGEST),
        heat=_uri(layer(result, scale, size)),
        width=size[0],
        height=size[1],
        stretched=max(size) / min(size) < 0.9 * max(height, width) / min(height, width),
        place=place,
        nearest=nearest,
    )


def thumbnail(shot: Image) -> str:
    """A shot, small."""
    return _thumbnail(shot, SHOT)


def crop(image: Image, box: Box) -> str:
    """A box with its outline and as much again around it, so that a person sees where it is."""
    height, width = image.size
    side = max(2 * (box.right - box.left), 2 * (box.bottom - box.top), 32)
    left, right = _span(box.left, box.right, side, width)
    top, bottom = _span(box.top, box.bottom, side, height)
    factor = CROP / max(right - left, bottom - top)
    size = (
        max(NARROWEST, round((right - left) * factor)),
        max(NARROWEST, round((bottom - top) * factor)),
    )
    # Interpolated, a handful of pixels would look like a blur that is not there.
    method = PIL.Image.Resampling.NEAREST if factor >= 8 else PIL.Image.Resampling.BICUBIC
    picture = PIL.Image.fromarray(image.rgb[top:bottom, left:right]).resize(size, method)
    inside = Box(box.left - left, box.top - top, box.right - left, box.bottom - top)
    corners = scaled_corners(inside, (bottom - top, right - left), size)
    draw_box(PIL.ImageDraw.Draw(picture), corners, 1, TONES[1][:3], TONES[2][:3])
    return _uri(picture)


def _thumbnail(image: Image, longest: int) -> str:
    longer = max(image.size)
    # Tiny images grow by a whole factor, so that their pixels stay equal squares.
    factor = min(1.0, longest / longer) if longer >= ENLARGED_FROM else -(-ENLARGED_FROM // longer)
    enlarged = PIL.Image.Resampling.NEAREST if factor > 1 else PIL.Image.Resampling.BICUBIC
    picture = PIL.Image.fromarray(image.rgb)
    return _uri(picture.resize(_scaled(image, factor), enlarged, reducing_gap=2.0))


def _scaled(image: Image, factor: float) -> tuple[int, int]:
    height, width = image.size
    return max(NARROWEST, round(width * factor)), max(NARROWEST, round(height * factor))


def _span(start: int, stop: int, side: int, length: int) -> tuple[int, int]:
    """An interval of `side` around start..stop, moved and cut to lie within 0..length."""
    first = (start + stop - side) // 2
    first = max(0, min(first, length - side))
    return first, min(length, first + side)


def _uri(picture: PIL.Image.Image) -> str:
    stream = io.BytesIO()
    if picture.mode == "P":
        kind = "png"
        picture.save(stream, "PNG", optimize=True)
    else:
        kind = "jpeg"
        # Full colour resolution: defects are often a matter of colour.
        picture.save(stream, "JPEG", quality=86, subsampling=0)
    return f"data:image/{kind};base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"
