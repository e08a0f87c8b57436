"""The images in a file: most hold one, stacks and animations several.

    for one in frames("stack.tif"): ...   # stack.tif#1, stack.tif#2, ...

Each frame is an image of its own, for queries as for shots: the first alone would say nothing of a
crack in the second.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, TypeAlias

from inctrl.decoding import MAX_PIXELS, Source, contents, decode
from inctrl.encoded import Encoded
from inctrl.errors import UnreadableImage, UsageError
from inctrl.images import Picture

MAX_FRAMES = 256
"""Most frames of one file that are taken for images; further ones are told."""
Frame: TypeAlias = int | Literal["all", "first"]
"""Which images of a file that holds several are taken; counted from 1."""


def frame_of(text: str | int) -> Frame:
    """`all`, `first` or a number from 1; UsageError for anything else."""
    if text == "all":
        return "all"
    if text == "first":
        return "first"
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise UsageError(f"frame {text!r} is not 'all', 'first' or a number from 1")
    return number


def frames(
    source: Source,
    name: str | None = None,
    *,
    frame: Frame = "all",
    most: int = MAX_FRAMES,
    pixels: int = MAX_PIXELS,
) -> Iterator[Picture | UnreadableImage]:
    """The images of a source, one at a time; one that cannot be read comes as its error.

    frame   all of a file's, up to `most` (that there are more comes as an error), or one of them
    """
    if isinstance(source, str | Path):
        try:
            name, source = name or str(source), contents(source)
        except UnreadableImage as error:
            error.name = str(source)
            yield error
            return
    if isinstance(source, bytes):
        source = Encoded(source)
    number = 1 if frame == "all" else None if frame == "first" else frame
    first = _or_error(source, name, number, pixels)
    yield first
    if frame != "all":
        return
    for number in range(2, min(first.frames, most) + 1):
        yield _or_error(source, name, number, pixels)
    if first.frames > most:
        yield too_many(name or "bytes", first.frames, most)


def too_many(name: str, count: int, most: int) -> UnreadableImage:
    """The error that stands for the frames beyond the most that are taken."""
    error = UnreadableImage(
        f"{name!r} holds {count} images: {most + 1} to {count} are left out; split the file"
    )
    error.name, error.frames = f"{name}#{most + 1}", count
    return error


def _or_error(
    source: Source, name: str | None, frame: int | None, pixels: int
) -> Picture | UnreadableImage:
    try:
        return decode(source, name, frame=frame, pixels=pixels)
    except UnreadableImage as error:
        error.name = error.name or name or ""
        return error
