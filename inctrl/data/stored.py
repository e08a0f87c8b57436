"""An image where a data set keeps it: a file, a part of one, or a record among many in a file."""

import gzip
import logging
import zlib
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path

import numpy as np

from inctrl.decoding import decode
from inctrl.errors import MissingData
from inctrl.images import Image, Picture, Window, develop
from inctrl.types import Box

logger = logging.getLogger("inctrl")


@dataclass(frozen=True)
class Record:
    """Bytes of a file that are an image of 8 bits: the `index`-th, from byte `start` on.

    shape    H W or H W 3
    planar   the channels lie one after the other, not pixel by pixel
    """

    index: int
    start: int
    shape: tuple[int, ...]
    planar: bool = False


@dataclass(frozen=True)
class Stored:
    """An image of a data set; `open` reads it.

    group   what images may share without being equal (a patient, a slide, a part): shots and test
            images of one group would make a test too easy
    """

    file: Path
    part: Box | Record | None = None
    group: str | None = None

    @property
    def name(self) -> str:
        """The path, and what of the file it is."""
        if isinstance(self.part, Box):
            box = self.part
            return f"{self.file}[{box.left},{box.top},{box.right},{box.bottom}]"
        return str(self.file) if self.part is None else f"{self.file}[{self.part.index}]"

    def decode(self) -> Picture:
        """Raises UnreadableImage or MissingData, naming the file.

        A file counts as one image, as it has one label: of one that holds several the first is
        taken, with a warning.
        """
        if self.part is None:
            picture = decode(self.file)
            if picture.frames > 1:
                _tell_several(self.file, picture.frames)
            return picture
        if isinstance(self.part, Box):
            box, whole = self.part, _whole(self.file)
            cut = whole.pixels[box.top : box.bottom, box.left : box.right]
            return replace(whole, pixels=cut, name=self.name)
        return decode(_record(self.file, self.part), self.name)

    def open(self, window: Window | None = None) -> Image:
        """The image in 8 bits; `window` is for those stored in more."""
        return develop(self.decode(), window)


@cache
def _tell_several(file: Path, count: int) -> None:
    """Once, however often the file is read."""
    logger.warning("%r holds %d images: the first alone is used; split it", str(file), count)


@lru_cache(maxsize=4)
def _whole(file: Path) -> Picture:
    """Kept for the other tiles of the same file."""
    return decode(file)


def contents(file: Path) -> bytes:
    """All bytes of a file, unpacked where its name ends with .gz; MissingData names the file."""
    try:
        return _unpacked(file) if file.suffix == ".gz" else file.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise MissingData(f"{str(file)!r} cannot be read ({error}); download it again") from None


@lru_cache(maxsize=2)
def _unpacked(file: Path) -> bytes:
    """Kept for the other records of the same file, of which none is found without unpacking."""
    return gzip.decompress(file.read_bytes())


def _part(file: Path, start: int, size: int) -> bytes:
    if file.suffix == ".gz":
        return contents(file)[start : start + size]
    try:
        with file.open("rb") as stream:
            stream.seek(start)
            return stream.read(size)
    except OSError as error:
        raise MissingData(f"{str(file)!r} cannot be read ({error}); download it again") from None


def _record(file: Path, part: Record) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    size = int(np.prod(part.shape))
    data = _part(file, part.start, size)
    if len(data) < size:
        raise MissingData(f"{str(file)!r} ends before image {part.index}; download it again")
    pixels = np.frombuffer(data, dtype=np.uint8)
    if part.planar:
        height, width, channels = part.shape
        return pixels.reshape(channels, height, width).transpose(1, 2, 0)
    return pixels.reshape(part.shape)
