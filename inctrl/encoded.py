"""The bytes of an image file, opened once however many of its images are read.

Each frame of an animation is drawn over those before it, so that to start anew for every one costs
the square of their number.
"""

import io
import warnings

import PIL.Image

from inctrl import tiffs

FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "WEBP", "GIF", "PPM")


class Encoded:
    """An image file in memory, and where its reading stands.

    pages   of a TIFF, those that are images of their own; () for other files
    count   how many images it holds; 1 where that cannot be told
    """

    def __init__(self, data: bytes) -> None:
        self._stream = io.BytesIO(data)
        self._opened: PIL.Image.Image | None = None
        self.empty = not data
        self.pages = tiffs.pages(data)
        self.count = len(self.pages) or _count(data)

    def at(self, number: int) -> tuple[PIL.Image.Image, int]:
        """Where the `number`-th image is: an opened file, and the frame of it to seek."""
        if self.pages:
            tiffs.first(self._stream, self.pages[number - 1])
            return PIL.Image.open(self._stream, formats=FORMATS), 0
        if self._opened is None:
            self._opened = PIL.Image.open(self._stream, formats=FORMATS)
        return self._opened, number - 1

    def start_anew(self) -> None:
        """After an image that could not be read, of which the next may know too much."""
        self._opened = None


def _count(data: bytes) -> int:
    """How many images a file that is no TIFF holds."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with PIL.Image.open(io.BytesIO(data), formats=FORMATS) as stored:
                # Further pictures of a JPEG are previews, gain maps, the other eye.
                return 1 if stored.format == "MPO" else getattr(stored, "n_frames", 1)
    except MemoryError:
        raise
    except Exception:  # it is opened again, and refused in words
        return 1
