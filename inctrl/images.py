"""Opening an image: validate, orient, bound, and bring to 8-bit RGB.

bytes -> decode -> Picture (as stored) -> develop -> Image (RGB, as every backbone sees it)

The two steps are apart because images with more than 8 bits need a brightness window, and a
window chosen for each image by itself would hide that a query is brighter than its normals:
the window comes from the normal shots (`shared_window`) and serves the queries too.
"""

import hashlib
import io
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
import PIL.Image
import PIL.ImageOps
from numpy.typing import NDArray

from inctrl.errors import UnreadableImage
from inctrl.window import Window as Window
from inctrl.window import show, window_of

FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "WEBP", "GIF", "PPM")
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

Source: TypeAlias = str | Path | bytes | NDArray[np.generic] | PIL.Image.Image


@dataclass(frozen=True, eq=False)
class Picture:
    """A decoded image as stored: uint8 H W 3, or one deep channel (uint16, int32, float32) H W."""

    pixels: NDArray[np.generic]
    name: str
    notes: tuple[str, ...] = ()

    @property
    def deep(self) -> bool:
        return self.pixels.dtype != np.uint8


@dataclass(frozen=True, eq=False)
class Image:
    """An image ready to be scored: rgb uint8 H W 3; sha256 over its pixels; notes on reading.

    doubts   those notes for which it is not called normal, whatever its score
    deep     it is stored in more than 8 bits
    """

    rgb: NDArray[np.uint8]
    name: str
    sha256: str
    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    deep: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.rgb.shape[0], self.rgb.shape[1]

    def bounded(self, pixels: int) -> "Image":
        """The same image, reduced where it has more pixels; its sha256 stays the original's."""
        height, width = self.size
        if height * width <= pixels:
            return self
        factor = (pixels / (height * width)) ** 0.5
        size = (max(1, int(width * factor)), max(1, int(height * factor)))
        reduced = PIL.Image.fromarray(self.rgb).resize(size, PIL.Image.Resampling.BOX)
        return replace(self, rgb=np.asarray(reduced))

    def noted(self, note: str, *, doubt: bool = False) -> "Image":
        """The same image with one more note."""
        doubts = (*self.doubts, note) if doubt else self.doubts
        return replace(self, notes=(*self.notes, note), doubts=doubts)


def decode(source: Source, name: str | None = None, *, pixels: int = MAX_PIXELS) -> Picture:
    """Read one image: a path, encoded bytes, an array (H W, H W 3 or H W 4) or a Pillow image.

    Raises UnreadableImage, naming the source, for all that is no image of at most `pixels`.
    """
    if isinstance(source, np.ndarray):
        picture = _from_array(source, name or "array", pixels)
    elif isinstance(source, PIL.Image.Image):
        picture = _from_pillow(source, name or getattr(source, "filename", "") or "image", pixels)
    elif isinstance(source, bytes):
        picture = _from_bytes(source, name or "bytes", pixels)
    elif isinstance(source, str | Path):
        picture = _from_file(Path(source), name or str(source), pixels)
    else:
        raise UnreadableImage(f"{source!r} is no path, bytes, array or Pillow image")
    height, width = picture.pixels.shape[:2]
    if min(height, width) < MIN_SIDE:
        raise UnreadableImage(
            f"{picture.name!r} is {width} x {height} pixels; "
            f"at least {MIN_SIDE} a side are needed to compare anything"
        )
    return picture


def shared_window(pictures: Iterable[Picture], window: Window | None = None) -> Window | None:
    """One brightness window for all deep pictures of a set; None where all have 8 bits.

    `window`, where one is given, stays and learns how far the pictures reach.
    """
    deep = [picture.pixels for picture in pictures if picture.deep]
    return window_of(deep, window) if deep else window


def develop(picture: Picture, window: Window | None = None) -> Image:
    """Bring a picture to 8-bit RGB; `window` applies to deep pictures (default: their own)."""
    if not picture.deep:
        rgb = np.ascontiguousarray(picture.pixels, dtype=np.uint8)
        return Image(rgb, picture.name, digest(rgb), picture.notes)
    shown = show(picture.pixels, window or window_of([picture.pixels]))
    return Image(
        rgb=shown.rgb,
        name=picture.name,
        sha256=digest(shown.rgb),
        notes=(*picture.notes, *shown.notes),
        doubts=shown.doubts,
        deep=True,
    )


def open_image(source: Source, name: str | None = None, window: Window | None = None) -> Image:
    """`decode`, then `develop`."""
    return develop(decode(source, name), window)


def digest(rgb: NDArray[np.uint8]) -> str:
    """sha256 over shape and pixels."""
    sha256 = hashlib.sha256(np.asarray(rgb.shape, dtype="<i8").tobytes())
    sha256.update(np.ascontiguousarray(rgb).data)
    return sha256.hexdigest()


def stored_digest(picture: Picture) -> str:
    """sha256 of the values as they are stored; of 8 bits it is that of the image."""
    pixels = np.ascontiguousarray(picture.pixels)
    if pixels.dtype == np.uint8:
        return digest(np.asarray(pixels, dtype=np.uint8))
    return hashlib.sha256(f"{pixels.dtype} {pixels.shape}".encode() + pixels.tobytes()).hexdigest()


def stored_bytes(picture: Picture) -> bytes:
    """A lossless file without metadata, of which `decode` gives back the same pixels."""
    buffer = io.BytesIO()
    pixels = np.ascontiguousarray(picture.pixels)
    if pixels.dtype in (np.uint8, np.uint16):
        PIL.Image.fromarray(pixels).save(buffer, "PNG", compress_level=4)
    else:
        PIL.Image.fromarray(pixels.astype(_tiff_type(pixels.dtype))).save(buffer, "TIFF")
    return buffer.getvalue()


def _tiff_type(dtype: np.dtype[np.generic]) -> type[np.generic]:
    """What Pillow stores without loss of a deep channel: 32 bits, whole or floating."""
    return np.int32 if dtype.kind in "ui" and dtype.itemsize <= 4 else np.float32


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


def _from_bytes(data: bytes, name: str, limit: int) -> Picture:
    if not data:
        raise UnreadableImage(f"{name!r} is empty (0 bytes); give an image file")
    try:
        with warnings.catch_warnings():
            # Pillow warns on large sizes; the limit below is ours and comes before the decoding.
            warnings.simplefilter("ignore", PIL.Image.DecompressionBombWarning)
            # A damaged metadata block is no reason to talk, as long as the pixels decode.
            warnings.simplefilter("ignore", UserWarning)
            with PIL.Image.open(io.BytesIO(data), formats=FORMATS) as stored:
                _refuse_bomb(stored.size, name, limit)
                notes = _notes(stored)
                stored.load()
                oriented = PIL.ImageOps.exif_transpose(stored)
    except PIL.Image.DecompressionBombError:
        raise UnreadableImage(
            f"{name!r} claims more than {limit / 1e6:g} megapixels; cut it into parts"
        ) from None
    except PIL.UnidentifiedImageError:
        raise UnreadableImage(
            f"{name!r} is not an image of a known format; accepted: {', '.join(FORMATS)}"
        ) from None
    except (UnreadableImage, MemoryError):
        raise
    except Exception as error:  # decoders raise almost anything on damaged files
        detail = " ".join(str(error).split()) or type(error).__name__
        raise UnreadableImage(f"{name!r} is damaged ({detail}); export it again") from error
    return _from_pillow(oriented, name, limit, notes)


def _notes(stored: PIL.Image.Image) -> tuple[str, ...]:
    """What reading a file does to it that its owner should know."""
    # Pillow names the stored layout in its tiles, until it decodes them (as getexif may); it
    # reads several deep channels as 8 bits each.
    layouts = [str(tile[3]) for tile in getattr(stored, "tile", ())]
    notes = []
    if len(stored.getbands()) > 1 and any("16" in layout for layout in layouts):
        notes.append("16 bits a channel cut to 8; save one channel to keep them")
    frames = getattr(stored, "n_frames", 1)
    if frames > 1:
        notes.append(f"frame 1 of {frames} used")
    if stored.getexif().get(0x0112) in range(2, 9):  # 1 is upright; there are no others
        notes.append("turned upright by its EXIF orientation")
    return tuple(notes)


def _from_file(path: Path, name: str, limit: int) -> Picture:
    if path.is_dir():
        raise UnreadableImage(f"{name!r} is a folder without images; give image files")
    try:
        if path.exists() and not path.is_file():
            raise UnreadableImage(f"{name!r} is not a regular file; give an image file")
        if path.stat().st_size > MAX_BYTES:
            raise UnreadableImage(f"{name!r} is over {MAX_BYTES // 10**6} MB; scale it down")
        data = path.read_bytes()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise UnreadableImage(f"{name!r} cannot be read ({reason}); check the path") from None
    except ValueError:
        raise UnreadableImage(f"{name!r} is not a valid path; check it") from None
    return _from_bytes(data, name, limit)


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
