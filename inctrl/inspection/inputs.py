"""What users hand over: lists of images, the normal shots and the queries."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import PIL.Image
import torch
from numpy.typing import NDArray

from inctrl.decoding import Source, open_image
from inctrl.errors import UnreadableImage, UsageError
from inctrl.frames import Frame, frames
from inctrl.images import Image, Picture, Window, develop, shared_window
from inctrl.inspection.seen import Seen
from inctrl.types import Failure, Features

Input: TypeAlias = Source | Picture | Image
"""Anything that can be read as an image, or an image already read."""
SHOWN = 4_000_000
"""Pixels of a shot that are kept for showing it."""
GAINS = (0.9, 0.95, 1.05, 1.1)
SHIFTS = ((0.02, 0.03), (-0.03, -0.02), (0.03, -0.02), (-0.02, 0.03))
"""Down and right, in sides of the image; the uncovered border is filled by reflection."""
NO_FEATURES = Features((), torch.empty(0, 0))
"""Of no shot."""
Check: TypeAlias = Callable[[Image], object]
"""Raises UnreadableImage for an image that cannot be shown to the backbone."""
See: TypeAlias = Callable[[Image], Seen]


@dataclass(frozen=True, eq=False)
class Shots:
    """The distinct usable shots with their features, in the order given.

    images    as shown in evidence: bounded in size, under the sha256 of the original
    window    the brightness window of those of more than 8 bits
    warnings  what was left out, in words
    """

    images: tuple[Image, ...]
    seen: tuple[Seen, ...]
    window: Window | None
    warnings: tuple[str, ...]


def listed(inputs: Iterable[Input]) -> Iterable[Input]:
    """The inputs, unless they are a single one: a path or an array would be taken apart."""
    if isinstance(inputs, str | bytes | Path | np.ndarray | PIL.Image.Image | Picture | Image):
        raise UsageError("give a list of images, even for one: [image]")
    return inputs


def opened(inputs: Iterable[Input], frame: Frame) -> Iterator[Image | Picture | Failure]:
    """The images of all inputs, one at a time; what cannot be read comes as a Failure."""
    for given in listed(inputs):
        if isinstance(given, Image | Picture):
            yield given
            continue
        for one in frames(given, frame=frame):
            yield one if isinstance(one, Picture) else Failure(one.name or "image", str(one))


def open_shots(
    normals: Iterable[Input],
    window: Window | None,
    check: Check,
    see: See,
    *,
    frame: Frame = "all",
    needed: bool = True,
) -> Shots:
    """Read and encode the shots one by one, so that hundreds of photographs fit in memory.

    An unusable shot is left out, an equal one counts once; of a file that holds several images each
    is a shot, or the `frame` that is asked for. `window` is for images of more than
    8 bits (default: from those shots, which therefore wait for each other).
    Raises UsageError where no shot is left, unless none was given and none is `needed`.
    """
    warnings: list[str] = []
    found: dict[str, tuple[int, Image, Seen]] = {}
    deep: list[tuple[int, Picture]] = []

    def add(position: int, image: Image) -> None:
        check(image)
        if image.sha256 in found:
            first = found[image.sha256][1].name
            warnings.append(f"shot {image.name!r} is the same image as {first!r}: counted once")
        else:
            found[image.sha256] = (position, image.bounded(SHOWN), see(image))

    for position, entry in enumerate(opened(normals, frame)):
        try:
            if isinstance(entry, Failure):
                warnings.append(f"normal image left out: {entry.error}")
            elif isinstance(entry, Picture) and entry.deep:
                deep.append((position, entry))
            else:
                add(position, entry if isinstance(entry, Image) else develop(entry))
        except UnreadableImage as error:
            warnings.append(f"normal image left out: {error}")
    window = shared_window([picture for _, picture in deep], window)
    for position, picture in deep:
        try:
            add(position, develop(picture, window))
        except UnreadableImage as error:
            warnings.append(f"normal image left out: {error}")
    if not found and (needed or warnings):
        reason = warnings[0] if warnings else "none was given, and this detector needs them"
        raise UsageError(f"no normal image can be used ({reason})", fix="give normals")
    ordered = sorted(found.values(), key=lambda shot: shot[0])
    images, seen = tuple(shot[1] for shot in ordered), tuple(shot[2] for shot in ordered)
    return Shots(images, seen, window, tuple(warnings))


def open_query(
    query: Image | Picture, window: Window | None, check: Check, *, shots: bool = True
) -> Image | Failure:
    """A query in the window of the shots, or that given where there are no `shots`.

    A Failure where it cannot be used.
    """
    try:
        image = query if isinstance(query, Image) else develop(query, window)
        check(image)
    except UnreadableImage as error:
        return Failure(query.name, str(error))
    if isinstance(query, Image) or query.deep == (window is not None):
        return image
    if shots:
        other = "8 bits" if query.deep else "more than 8 bits"
        note = f"the shots have {other} a pixel: brightness cannot be compared"
        return image.noted(f"{note}, so that it is not called normal", doubt=True)
    if query.deep:
        return image.noted("its own brightness window; give one for all to compare images")
    return image


def small_views(image: Image) -> list[Image]:
    """Eight views, deterministic; no resampling, whose blur alone would look anomalous."""
    rgb = image.rgb.astype(np.float32)
    brighter = [np.rint(np.clip(rgb * gain, 0, 255)).astype(np.uint8) for gain in GAINS]
    shifted = [_shift(image.rgb, down, right) for down, right in SHIFTS]
    return [open_image(v, f"{image.name} (view {i})") for i, v in enumerate(brighter + shifted)]


def _shift(rgb: NDArray[np.uint8], down: float, right: float) -> NDArray[np.uint8]:
    height, width = rgb.shape[:2]
    dy, dx = round(down * height), round(right * width)
    padded = np.pad(rgb, ((abs(dy), abs(dy)), (abs(dx), abs(dx)), (0, 0)), mode="symmetric")
    top, left = abs(dy) - dy, abs(dx) - dx
    return padded[top : top + height, left : left + width]
