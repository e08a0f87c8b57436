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

WINDOW_PERCENTILES = (0.1, 99.9)
"""Dark and bright end of the window for images of more than 8 bits."""


@dataclass(frozen=True)
class Window:
    """The stored values shown as black and as white."""

    low: float
    high: float


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
    """An image ready to be scored: rgb uint8 H W 3; sha256 over its pixels; notes on reading."""

    rgb: NDArray[np.uint8]
    name: str
    sha256: str
    notes: tuple[str, ...] = ()

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

    def noted(self, note: str) -> "Image":
        """The same image with one more note."""
        return replace(self, notes=(*self.notes, note))


def shared_window(pictures: Iterable[Picture]) -> Window | None:
    """One brightness window for all deep pictures of a set; None where all have 8 bits."""
    samples = [
        p.pixels.ravel()[:: max(1, p.pixels.size // 100_000)].astype(np.float64)
        for p in pictures
        if p.deep
    ]
    if not samples:
        return None
    low, high = np.percentile(np.concatenate(samples), WINDOW_PERCENTILES)
    return Window(float(low), float(max(high, np.nextafter(low, np.inf))))


def develop(picture: Picture, window: Window | None = None) -> Image:
    """Bring a picture to 8-bit RGB; `window` applies to deep pictures (default: their own)."""
    notes = picture.notes
    if picture.deep:
        window = window or shared_window([picture])
        assert window is not None  # noqa: S101  a deep picture always yields one
        scaled = (picture.pixels.astype(np.float64) - window.low) / (window.high - window.low)
        gray = np.rint(np.clip(scaled, 0, 1) * 255).astype(np.uint8)
        rgb = np.repeat(gray[..., None], 3, axis=2)
        notes = (*notes, f"{picture.pixels.dtype} values {window.low:g}..{window.high:g} shown")
    else:
        rgb = np.ascontiguousarray(picture.pixels, dtype=np.uint8)
    return Image(rgb=rgb, name=picture.name, sha256=digest(rgb), notes=notes)


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
