"""Images, from the values a file holds to the 8-bit RGB that every backbone sees.

bytes -> decode (decoding.py) -> Picture (as stored) -> develop -> Image

The two steps are apart because images with more than 8 bits need a brightness window, and a
window chosen for each image by itself would hide that a query is brighter than its normals:
the window comes from the normal shots (`shared_window`) and serves the queries too.
"""

import hashlib
import io
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from inctrl.window import Window as Window
from inctrl.window import show, window_of


@dataclass(frozen=True, eq=False)
class Picture:
    """A decoded image as stored: uint8 H W 3, or one deep channel (uint16, int32, float32) H W.

    frames   how many images its file holds; this is one of them
    """

    pixels: NDArray[np.generic]
    name: str
    notes: tuple[str, ...] = ()
    frames: int = 1

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
