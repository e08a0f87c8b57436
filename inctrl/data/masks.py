"""Masks: which pixels of an image are anomalous, in whatever way the mask was drawn.

A set with a rule of its own keeps it (`Mask.above`). Everywhere else a mask is read like this:

    0/1, 0/255, bool    what is bright, above half of 255. In a file without loss and of few values
                        a flat patch that is dim is marked too, as 0/1 and numbers of defects are
                        written; the soft edge of a bright patch counts from the half on
    more than 8 bits    the same, with half of the largest value
    index (palette)     index 0 is the background, whatever its colour, all others are marked; where
                        that would mark most of the border and index 0 is no black, colours count
    colour              all that is not black; without black, all but the main colour of the border:
                        a large defect covers more of the image than of its border
    transparent ground  what is opaque; of opaque black with something bright in it, what is bright
    JPEG, WebP          what is bright; what is dim may be a trace of the compression
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageOps
from numpy.typing import NDArray

from inctrl.data.categories import Category, Mask, Sample
from inctrl.data.stored import Stored
from inctrl.decoding import FORMATS, MAX_BYTES, MAX_PIXELS, MIN_SIDE, decode
from inctrl.errors import MissingData, UnreadableImage

HALF = 127
DARK = 32
"""Below it, in all channels, a pixel of a colour mask is black, traces of compression included."""
FEW = 16
"""Values up to which a mask is flat, so that dim ones are no soft edge."""
PATCH = 9
"""Pixels from which on something dim is a patch."""
THICK = 5
"""Pixels across from which on something dim beside something bright is no soft edge."""
SOME = 0.01
"""Share of the pixels from which on black is a colour of the mask."""
LOSSY = ("JPEG", "WEBP")
MUCH = 0.95
ORIENTATION = 0x0112

Marks = NDArray[np.bool_]


def read_mask(sample: Sample, size: tuple[int, int]) -> Marks:
    """The anomalous pixels of a sample, H W; a normal image has none, nor has one without a mask.

    MissingData names a mask of another size.
    """
    anomalous = np.zeros(size, dtype=bool)
    if sample.mask is None:
        return anomalous
    for stored in (sample.mask.image, *sample.mask.others):
        marked = marks(stored, sample.mask.above)
        if marked.shape != size:
            raise MissingData(_other_size(stored, marked.shape, sample.image, size))
        anomalous |= marked
    return anomalous


def marks(stored: Stored, above: int | None = None) -> Marks:
    """The pixels H W that a mask marks: those brighter than `above`, or as the module tells.

    Of a palette it is the index that counts as the number of the defect, not its colour.

    Raises UnreadableImage or MissingData, naming the file.
    """
    if stored.part is not None:
        return _above(stored.open().rgb.max(axis=2), HALF if above is None else above)
    image = _opened(stored.file)
    if above is not None:
        numbers = np.asarray(image) if image.mode == "P" else stored.open().rgb.max(axis=2)
        return _above(numbers, above)
    if image.mode == "F" or image.mode.startswith("I"):
        return _deep(decode(stored.file).pixels.astype(np.float64))
    if image.has_transparency_data:
        rgba = np.asarray(image.convert("RGBA"))
        empty = image.format == "BMP" and not rgba[..., 3].any()  # its fourth byte may be unused
        if rgba[..., 3].min() < 255 and not empty:
            return _drawn(rgba)
    if image.mode == "P":
        return _indexed(image)
    return _coloured(np.asarray(image.convert("RGB")), image.format in LOSSY)


def says_nothing(anomalous: Marks, mask: Mask) -> str | None:
    """Why a mask does not say where the anomaly is: it marks no pixel, or every one.

    A mask of a part of an image may mark all of it.
    """
    if not anomalous.any():
        rule = "" if mask.above is None else f": values above {mask.above} do in this layout"
        fault = f"no pixel as anomalous{rule}"
    elif anomalous.all() and mask.image.part is None:
        fault = "every pixel as anomalous"
    else:
        return None
    return (
        f"mask {mask.image.name!r} marks {fault}; mark the defect bright on black (or opaque on "
        "transparent), or take the mask away"
    )


def unmasked(category: Category) -> str | None:
    """A few missing masks are rather a slip than the way of the set: said, and None otherwise."""
    anomalous = [sample for sample in category.test if sample.anomalous]
    missing = sum(sample.mask is None for sample in anomalous)
    if not 0 < missing < len(anomalous):
        return None
    return (
        f"{missing} of {len(anomalous)} anomalous images of {category.dataset}/{category.name} "
        "have no mask"
    )


def inverted(name: str, shares: Mapping[str, float]) -> str | None:
    """What looks like masks in which the defect is dark: they mark most of their image.

    name     of the category
    shares   of its image that each mask marks, by name
    """
    large = {name: share for name, share in shares.items() if share > MUCH}
    if 2 * sum(share > 0.5 for share in shares.values()) > len(shares):
        large |= {name: share for name, share in shares.items() if share > 0.5}
    if not large:
        return None
    first, share = max(large.items(), key=lambda item: item[1])
    return (
        f"{len(large)} of {len(shares)} masks of {name} mark most of their image ({first}: "
        f"{100 * share:.0f} %): if the defect is what is dark in them, invert them"
    )


def askew(category: Category) -> str | None:
    """Images shown turned by their EXIF orientation whose masks of the same size are not."""
    pairs = [(s.image, s.mask.image) for s in category.test if s.mask and s.mask.image.part is None]
    found = [image for image, mask in pairs if turned(image.file) and not turned(mask.file)]
    if not found:
        return None
    return (
        f"{len(found)} of {len(pairs)} masked images of {category.dataset}/{category.name} are "
        f"turned by their EXIF orientation ({category.short(found[0])}), their masks are not: look "
        "whether the masks were drawn on the turned images"
    )


def turned(path: Path) -> bool:
    """Whether a file is shown turned or mirrored by its EXIF orientation."""
    try:
        with PIL.Image.open(path, formats=FORMATS) as image:
            return image.getexif().get(ORIENTATION) in range(2, 9)
    except (OSError, ValueError, SyntaxError):
        return False


def _opened(path: Path) -> PIL.Image.Image:
    """A file as it is stored, its palette and transparency included, within the limits of `decode`.

    Whatever is wrong with it, `decode` says.
    """
    try:
        if not path.is_file() or path.stat().st_size > MAX_BYTES:
            raise ValueError("not a file, or too large")
        with PIL.Image.open(path, formats=FORMATS) as image:
            width, height = image.size
            if width * height > MAX_PIXELS or min(width, height) < MIN_SIDE:
                raise ValueError("too large or too small")
            if getattr(image, "n_frames", 1) > 1:
                raise MissingData(
                    f"mask {str(path)!r} has {getattr(image, 'n_frames', 1)} frames; save each as "
                    "a file of its own"
                )
            image.load()
            upright = PIL.ImageOps.exif_transpose(image)
            upright.format = image.format
            return upright
    except (MissingData, MemoryError):
        raise
    except Exception as error:  # decoders raise almost anything on damaged files
        decode(path)
        raise UnreadableImage(f"{str(path)!r} cannot be read as a mask ({error})") from error


def _indexed(image: PIL.Image.Image) -> Marks:
    """Of a palette: index 0 is the background, but where that would mark most of the border."""
    index = np.asarray(image)
    palette = np.zeros((256, 3), np.uint8)
    colours = np.array(image.getpalette("RGB") or [], dtype=np.uint8).reshape(-1, 3)
    palette[: len(colours)] = colours
    used = np.flatnonzero(np.bincount(index.ravel(), minlength=256))
    if (palette[used] == used[:, None]).all():  # its palette is the ramp of grays
        return _levels(index)
    marked: Marks = index != 0
    on_border = _border(marked).mean()
    if on_border > 0.5 and (palette[0].any() or 0 not in used):
        by_colour = _coloured(palette[index])
        if by_colour.any() and _border(by_colour).mean() < on_border:
            return by_colour
    return marked


def _drawn(rgba: NDArray[np.uint8]) -> Marks:
    """On a transparent ground: what is opaque, or what is bright in opaque black."""
    opaque = _levels(rgba[..., 3])
    inside = rgba[opaque][:, :3].max(axis=1)
    if inside.size and (inside < DARK).mean() >= SOME and (inside > HALF).any():
        return _coloured(np.where(opaque[..., None], rgba[..., :3], np.uint8(0)))
    return opaque


def _coloured(rgb: NDArray[np.uint8], lossy: bool = False) -> Marks:
    if (rgb == rgb[..., :1]).all():
        return _levels(rgb[..., 0], lossy)
    away = np.abs(rgb.astype(np.int16) - _ground(rgb)).max(axis=2)
    return _levels(away.astype(np.uint8), lossy)


def _ground(rgb: NDArray[np.uint8]) -> NDArray[np.int16]:
    """The colour of the background: black where there is some, else the main one of the border."""
    if (rgb.max(axis=2) < DARK).mean() >= SOME:
        return np.zeros(3, np.int16)
    border = _border(rgb)
    near = border // DARK
    key = near[:, 0] * np.int32(64) + near[:, 1] * np.int32(8) + near[:, 2]
    most = border[key == np.bincount(key).argmax()]
    colour: NDArray[np.int16] = np.median(most, axis=0).astype(np.int16)
    return colour


def _border(image: NDArray[Any]) -> NDArray[Any]:
    """The pixels of H W or H W C at the four sides, n or n C."""
    return np.concatenate([image[0], image[-1], image[1:-1, 0], image[1:-1, -1]])


def _deep(values: NDArray[np.float64]) -> Marks:
    """Of more than 8 bits: the same, told by their largest value."""
    top = float(values.max())
    if top <= 0:
        return np.zeros(values.shape, dtype=bool)
    few = len(np.unique(values)) <= FEW
    if few and top <= HALF:
        return _above(values, 0)
    # Rounded up, so that nothing dim becomes nothing.
    return _levels(np.ceil(values.clip(0) / top * 255).astype(np.uint8), lossy=not few)


def _above(values: NDArray[np.generic], limit: int) -> Marks:
    marked: Marks = np.greater(values, limit)
    return marked


def _levels(values: NDArray[np.uint8], lossy: bool = False) -> Marks:
    """Of gray values, whose background is 0: what is bright, and flat patches that are dim."""
    from scipy import ndimage

    bright = _above(values, HALF)
    used = np.flatnonzero(np.bincount(values.ravel(), minlength=256))
    if lossy or len(used) > FEW:
        return bright
    if used[-1] <= HALF:
        return _above(values, 0)
    if not ((used > 0) & (used <= HALF)).any():
        return bright
    patches, count = ndimage.label(values > 0, np.ones((3, 3)))
    each = np.arange(count + 1)
    low, high = ndimage.minimum(values, patches, each), ndimage.maximum(values, patches, each)
    flat = (low == high) & (high <= HALF) & (np.bincount(patches.ravel()) >= PATCH)
    flat[0] = False
    dim: Marks = flat[patches]
    left = (values > 0) & ~bright & ~dim
    return bright | dim | _thick(values, left) if left.any() else bright | dim


def _thick(values: NDArray[np.uint8], dim: Marks) -> Marks:
    """What of something dim beside something bright is too thick for a soft edge."""
    from scipy import ndimage

    low, high = (near(values, THICK) for near in (ndimage.minimum_filter, ndimage.maximum_filter))
    thick = dim & (low == high)
    found: Marks = np.zeros_like(thick)
    for value in np.unique(values[thick]):
        found |= ndimage.binary_propagation(thick & (values == value), mask=values == value)
    return found


def _other_size(mask: Stored, seen: tuple[int, ...], image: Stored, size: tuple[int, int]) -> str:
    fault = (
        f"mask {mask.name!r} is {seen[1]} x {seen[0]} pixels, its image {image.name!r} "
        f"{size[1]} x {size[0]}"
    )
    if seen == size[::-1] and turned(image.file) and not turned(mask.file):
        return f"{fault}: the image is turned by its EXIF orientation; turn the mask likewise"
    return f"{fault}; save the mask at the size of the image"
