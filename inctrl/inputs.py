"""What users hand over: lists of images, the normal shots and the queries."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import PIL.Image

from inctrl.errors import UnreadableImage, UsageError
from inctrl.images import Image, Source, Window, decode, develop, shared_window
from inctrl.types import Failure

Input: TypeAlias = Source | Image
"""Anything that can be read as an image, or an image already read."""
Check: TypeAlias = Callable[[Image], object]
"""Raises UnreadableImage for an image that cannot be shown to the backbone."""


@dataclass(frozen=True, eq=False)
class Shots:
    """The distinct usable shots, the brightness window they share, and what was left out."""

    images: tuple[Image, ...]
    window: Window | None
    warnings: tuple[str, ...]


def listed(inputs: Iterable[Input]) -> Iterable[Input]:
    """The inputs, unless they are a single one: a path or an array would be taken apart."""
    if isinstance(inputs, str | bytes | Path | np.ndarray | PIL.Image.Image | Image):
        raise UsageError("give a list of images, even for one: [image]")
    return inputs


def open_shots(normals: Iterable[Input], window: Window | None, check: Check) -> Shots:
    """Read the shots; an unusable one is left out, an equal one counts once.

    `window` is for images of more than 8 bits (default: from those shots).
    Raises UsageError where no shot is left.
    """
    warnings: list[str] = []
    opened = []
    for normal in listed(normals):
        try:
            opened.append(normal if isinstance(normal, Image) else decode(normal))
        except UnreadableImage as error:
            warnings.append(f"normal image left out: {error}")
    window = window or shared_window([p for p in opened if not isinstance(p, Image)])
    distinct: dict[str, Image] = {}
    for entry in opened:
        image = entry if isinstance(entry, Image) else develop(entry, window)
        try:
            check(image)
        except UnreadableImage as error:
            warnings.append(f"normal image left out: {error}")
            continue
        first = distinct.setdefault(image.sha256, image)
        if first is not image:
            same = f"shot {image.name!r} is the same image as {first.name!r}: counted once"
            warnings.append(same)
    if not distinct:
        reason = f" ({warnings[0]})" if warnings else ""
        raise UsageError(f"no normal image can be used; give at least one{reason}")
    return Shots(tuple(distinct.values()), window, tuple(warnings))


def open_query(query: Input, window: Window | None, check: Check) -> Image | Failure:
    """Read a query in the window of the shots; a Failure where it cannot be used."""
    try:
        if isinstance(query, Image):
            check(query)
            return query
        picture = decode(query)
        image = develop(picture, window)
        check(image)
    except UnreadableImage as error:
        name = query.name if isinstance(query, Image) else None
        name = str(query) if isinstance(query, str | Path) else name
        return Failure(name=name or "query", error=str(error))
    if picture.deep == (window is not None):
        return image
    other = "8 bits" if picture.deep else "more than 8 bits"
    return image.noted(f"the shots have {other} a pixel: brightness cannot be compared")
