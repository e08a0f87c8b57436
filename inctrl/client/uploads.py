"""Images on their way to a service: files as they are, arrays as lossless files."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from inctrl.decoding import decode
from inctrl.errors import UnreadableImage, UsageError
from inctrl.images import stored_bytes

Image: TypeAlias = str | Path | bytes | NDArray[Any]
"""A file, what a file holds, or an array (H W, H W 3 or H W 4)."""


def uploads(images: Iterable[Image], what: str) -> list[tuple[str, bytes]]:
    """Name and bytes of each; `what` names the images that have no name: what-1, what-2."""
    if isinstance(images, str | bytes | Path | np.ndarray):
        raise UsageError("give a list of images, even for one: [image]")
    return [upload(image, f"{what}-{number}") for number, image in enumerate(images, start=1)]


def upload(image: Image, name: str) -> tuple[str, bytes]:
    """Name and bytes of one; files go as they are, so that the service reads what their owner has.

    Raises UnreadableImage where there is no such file, or the array is no image.
    """
    if isinstance(image, bytes):
        return name, image
    if isinstance(image, np.ndarray):
        return name, stored_bytes(decode(image, name))
    if not isinstance(image, str | Path):
        raise UsageError(f"{image!r} is no path, bytes or array")
    return Path(image).name, file_bytes(image)


def file_bytes(path: str | Path) -> bytes:
    """All of a file; UnreadableImage, naming it, where it cannot be read."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise UnreadableImage(f"{str(path)!r} cannot be read ({reason}); check the path") from None
