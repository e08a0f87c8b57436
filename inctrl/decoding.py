"""Opening image files: validate, bound, decode a frame, turn upright.

decode("part.png")             # a file as one image: its first
decode("stack.tif", frame=2)   # one of several, named stack.tif#2; `frames.py` takes them all
"""

import warnings
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
import PIL.Image
import PIL.ImageOps
from numpy.typing import NDArray
from PIL.TiffImagePlugin import TiffImageFile

from inctrl import tiffs
from inctrl.encoded import FORMATS as FORMATS
from inctrl.encoded import Encoded
from inctrl.errors import UnreadableImage
from inctrl.images import Image, Picture, Window, develop

SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".gif", ".ppm", ".pgm"}
)
MAX_PIXELS = 64_000_000
"""Largest image decoded; a small file can claim any size (a decompression bomb)."""
MAX_BYTES = 512_000_000
"""Largest file read."""
MIN_SIDE = 4
"""Below this many pixels a side there is nothing to compare."""
BAND_PIXELS = 1 << 18  # brought to RGB at a time

Source: TypeAlias = str | Path | bytes | Encoded | NDArray[np.generic] | PIL.Image.Image
CUT = "16 bits a channel cut to 8; save one channel to keep them"
LEFT = 16
"""Steps of brightness, of 256, that must be left of 16 bits: those of 12 do not reach further."""
AS_TIFF = "save it with 8 or 16 bits or as float32, one channel or RGB"


def decode(
    source: Source, name: str | None = None, *, frame: int | None = None, pixels: int = MAX_PIXELS
) -> Picture:
    """Read one image: a path, encoded bytes, an array (H W, H W 3 or H W 4) or a Pillow image.

    frame   which image of a file that holds several, from 1; the name then says which. None: the
            file is taken for one image, its first, with a note. In a file of one it says nothing.
    Raises UnreadableImage, naming the source, for all that is no image of at most `pixels`. A
    Pillow image is taken at the frame where it stands.
    """
    if isinstance(source, np.ndarray):
        picture = _from_array(source, name or "array", pixels)
    elif isinstance(source, PIL.Image.Image):
        name = name or getattr(source, "filename", "") or "image"
        notes = _standing(source)
        if isinstance(source, TiffImageFile):
            page = tiffs.page_of(source.tag_v2)
            _refuse_kind(page, name)
            source = tiffs.corrected(source, page)
        picture = _from_pillow(source, name, pixels, notes)
    elif isinstance(source, bytes | Encoded):
        file = Encoded(source) if isinstance(source, bytes) else source
        picture = _from_file(file, name or "bytes", frame, pixels)
    elif isinstance(source, str | Path):
        picture = _from_file(Encoded(contents(source)), name or str(source), frame, pixels)
    else:
        raise UnreadableImage(f"{source!r} is no path, bytes, array or Pillow image")
    height, width = picture.pixels.shape[:2]
    if min(height, width) < MIN_SIDE:
        error = UnreadableImage(
            f"{picture.name!r} is {width} x {height} pixels; "
            f"at least {MIN_SIDE} a side are needed to compare anything"
        )
        error.name, error.frames = picture.name, picture.frames
        raise error
    return picture


def open_image(source: Source, name: str | None = None, window: Window | None = None) -> Image:
    """`decode`, then `develop`."""
    return develop(decode(source, name), window)


def contents(path: str | Path) -> bytes:
    """All of an image file; UnreadableImage where it cannot be had."""
    name, path = str(path), Path(path)
    if path.is_dir():
        raise UnreadableImage(f"{name!r} is a folder without images; give image files")
    try:
        if path.exists() and not path.is_file():
            raise UnreadableImage(f"{name!r} is not a regular file; give an image file")
        if path.stat().st_size > MAX_BYTES:
            raise UnreadableImage(f"{name!r} is over {MAX_BYTES // 10**6} MB; scale it down")
        return path.read_bytes()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise UnreadableImage(f"{name!r} cannot be read ({reason}); check the path") from None
    except ValueError:
        raise UnreadableImage(f"{name!r} is not a valid path; check it") from None


def _from_file(file: Encoded, name: str, frame: int | None, limit: int) -> Picture:
    if file.empty:
        raise UnreadableImage(f"{name!r} is empty (0 bytes); give an image file")
    count = file.count
    number, notes = frame or 1, tuple[str, ...]()
    if count == 1:
        number = 1
    elif frame is None:
        notes = (f"frame 1 of {count} used",)
    elif frame > count:
        raise UnreadableImage(f"{name!r} holds {count} images, there is no {frame}")
    else:
        name = f"{name}#{frame}"
    try:
        picture = _decoded(file, name, number, limit)
    except UnreadableImage as error:
        file.start_anew()
        error.name, error.frames = name, count
        raise
    return replace(picture, notes=(*picture.notes, *notes), frames=count)


def _decoded(file: Encoded, name: str, number: int, limit: int) -> Picture:
    """The `number`-th image of a file that Pillow knows, upright; UnreadableImage in any case."""
    page = file.pages[number - 1] if file.pages else None
    if page and page.lost:
        raise UnreadableImage(f"{name!r} {page.lost}")
    if page:
        _refuse_kind(page, name)
    try:
        with warnings.catch_warnings():
            # Pillow warns on large sizes; the limit below is ours and comes before the decoding.
            warnings.simplefilter("ignore", PIL.Image.DecompressionBombWarning)
            # A damaged metadata block is no reason to talk, as long as the pixels decode.
            warnings.simplefilter("ignore", UserWarning)
            stored, place = file.at(number)
            _refuse_bomb(stored.size, name, limit)
            stored.seek(place)
            _refuse_bomb(stored.size, name, limit)
            notes = _notes(stored)
            stored.load()
            oriented = PIL.ImageOps.exif_transpose(stored)
        picture = _from_pillow(
            tiffs.corrected(oriented, page) if page else oriented, name, limit, notes
        )
        return _not_black(picture)
    except PIL.Image.DecompressionBombError:
        raise UnreadableImage(
            f"{name!r} claims more than {limit / 1e6:g} megapixels; cut it into parts"
        ) from None
    except PIL.UnidentifiedImageError:
        if page and page.whole:
            raise UnreadableImage(
                f"{name!r} is a TIFF that is damaged or of a kind that is not read ({page.kind}); "
                f"{AS_TIFF}"
            ) from None
        raise UnreadableImage(
            f"{name!r} is not an image of a known format; accepted: {', '.join(FORMATS)}"
        ) from None
    except (UnreadableImage, MemoryError):
        raise
    except Exception as error:  # decoders raise almost anything on damaged files
        detail = " ".join(str(error).split()) or type(error).__name__
        kind = f"a TIFF of {page.kind}, " if page else ""
        raise UnreadableImage(f"{name!r} is {kind}damaged ({detail}); export it again") from error


def _refuse_kind(page: tiffs.Page, name: str) -> None:
    if page.unread:
        raise UnreadableImage(
            f"{name!r} is a TIFF of a kind that is not read ({page.kind}); {AS_TIFF}"
        )


def _notes(stored: PIL.Image.Image) -> tuple[str, ...]:
    """What reading a file does to it that its owner should know."""
    # Pillow names the stored layout in its tiles, until it decodes them (as getexif may); it
    # reads several deep channels as 8 bits each.
    layouts = [tile[3] for tile in getattr(stored, "tile", ())]
    wide = any(";16" in str(layout) for layout in layouts)
    if stored.format == "PPM":  # it names the greatest value
        wide = any(isinstance(one, tuple) and one[1] > 255 for one in layouts)
    notes = []
    if len(stored.getbands()) > 1 and wide:
        notes.append(CUT)
    if stored.format == "MPO":
        notes.append(f"the first of {getattr(stored, 'n_frames', 1)} pictures in this JPEG used")
    if stored.getexif().get(0x0112) in range(2, 9):  # 1 is upright; there are no others
        notes.append("turned upright by its EXIF orientation")
    return tuple(notes)


def _standing(image: PIL.Image.Image) -> tuple[str, ...]:
    """That an image in memory is one of several, of which nobody looks at the others."""
    count = getattr(image, "n_frames", 1)
    return (f"frame {image.tell() + 1} of {count} used",) if count > 1 else ()


def _not_black(picture: Picture) -> Picture:
    """UnreadableImage where 16 bits a channel were cut to 8 and next to nothing is left of them.

    As of cameras with 12 bits: whatever the part looks like, the picture is black.
    """
    most = int(picture.pixels.max()) if CUT in picture.notes else 255
    if most < LEFT:
        raise UnreadableImage(
            f"{picture.name!r} has colours of 16 bits that all lie below {256 * (most + 1)}: "
            "cut to 8 bits it is black; scale its values to 0..65535, or save one channel"
        )
    return picture


def _from_array(
    array: NDArray[np.generic], name: str, limit: int, notes: tuple[str, ...] = ()
) -> Picture:
    colour = array.ndim == 3 and array.shape[2] in (3, 4)
    if array.ndim != 2 and not colour:
        raise UnreadableImage(
            f"{name!r} has shape {array.shape}; give H W, H W 3 or H W 4 (channels last)"
        )
    if array.dtype == np.uint8:
        return _from_pillow(PIL.Image.fromarray(np.asarray(array, dtype=np.uint8)), name, limit)
    if colour or array.dtype.kind not in "uif":
        raise UnreadableImage(
            f"{name!r} holds {array.dtype} values; give uint8, or one channel of a wider type"
        )
    if not np.isfinite(array).all():
        raise UnreadableImage(f"{name!r} holds values that are not finite; replace them first")
    # A big-endian file says ">u2", which is another identity for the same values.
    return Picture(array.astype(array.dtype.newbyteorder("="), copy=False), name, notes)


def _refuse_bomb(size: tuple[int, int], name: str, limit: int) -> None:
    width, height = size
    if width * height > limit:
        raise UnreadableImage(
            f"{name!r} is {width} x {height} = {width * height / 1e6:.4g} megapixels; "
            f"the limit is {limit / 1e6:g}: scale it down or cut it into parts"
        )


def _from_pillow(
    image: PIL.Image.Image, name: str, limit: int, notes: tuple[str, ...] = ()
) -> Picture:
    _refuse_bomb(image.size, name, limit)
    if image.mode.startswith("I") or image.mode == "F":
        return _from_array(np.asarray(image), name, limit, notes)
    return Picture(pixels=_rgb(image), name=name, notes=notes)


def _rgb(image: PIL.Image.Image) -> NDArray[np.uint8]:
    """Its colours on white, a band of rows at a time: each step copies what it is given."""
    width, height = image.size
    rgb = np.empty((height, width, 3), np.uint8)
    rows = max(1, BAND_PIXELS // max(1, width))
    for top in range(0, height, rows):
        band = image.crop((0, top, width, min(top + rows, height)))
        rgb[top : top + rows] = np.asarray(_opaque(band))
    rgb.flags.writeable = False
    return rgb


def _opaque(image: PIL.Image.Image) -> PIL.Image.Image:
    # A palette may carry transparency, and so may one colour of an image without alpha.
    transparent = image.mode in ("LA", "PA", "RGBA", "La", "RGBa")
    if transparent or image.mode == "P" or "transparency" in image.info:
        image = image.convert("RGBA")
        white = PIL.Image.new("RGBA", image.size, "white")
        image = PIL.Image.alpha_composite(white, image)
    return image if image.mode == "RGB" else image.convert("RGB")
