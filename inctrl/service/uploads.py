"""Files as they come, and the images in them."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from inctrl.errors import UnreadableImage
from inctrl.frames import Frame, too_many
from inctrl.types import Failure

T = TypeVar("T")


@dataclass(frozen=True)
class Upload:
    """A file as it came, and which of its images count."""

    name: str
    data: bytes
    frame: Frame = "all"


@dataclass(frozen=True, eq=False)
class Outcome(Generic[T]):
    """What was made of an image.

    index   of its file among those sent
    frame   which image of the file it is, where that holds several
    """

    index: int
    frame: int | None
    value: T | Failure


async def every_image(
    uploads: Sequence[Upload],
    take: Callable[[int, Upload], Awaitable[tuple[T | Failure, int]]],
    most: int,
    more: Callable[[int], object] = lambda _: None,
) -> list[Outcome[T]]:
    """What `take` makes of every image of every file, all files at a time, in order.

    take   of the number of a file and one image of it -> what it made, images in the file
    most   images of one file that are taken; that there are more is a Failure
    more   told how many further images a file holds, before they are taken
    """

    async def attempt(index: int, upload: Upload) -> tuple[T | Failure, int]:
        try:
            return await take(index, upload)
        except UnreadableImage as error:
            return Failure(error.name or upload.name, str(error)), error.frames

    async def all_of(index: int, upload: Upload) -> list[Outcome[T]]:
        if upload.frame != "all":
            value, count = await attempt(index, upload)
            number = upload.frame if isinstance(upload.frame, int) and count > 1 else None
            return [Outcome(index, number, value)]
        value, count = await attempt(index, replace(upload, frame=1))
        found = [Outcome(index, 1 if count > 1 else None, value)]
        if count > 1:
            more(min(count, most) - 1)
        for number in range(2, min(count, most) + 1):
            value, _ = await attempt(index, replace(upload, frame=number))
            found.append(Outcome(index, number, value))
        if count > most:
            error = too_many(upload.name, count, most)
            found.append(Outcome(index, most + 1, Failure(error.name, str(error))))
        return found

    several = await gathered(all_of(index, upload) for index, upload in enumerate(uploads))
    return [one for found in several for one in found]


def failures(outcomes: Iterable[Outcome[Any]]) -> tuple[Failure, ...]:
    """What could not be used."""
    return tuple(one.value for one in outcomes if isinstance(one.value, Failure))


async def gathered(work: Iterable[Awaitable[T]]) -> list[T]:
    """All results in order; where one fails, or the caller goes away, the others are dropped."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        return list(await asyncio.gather(*tasks))
    except BaseException:
        for task in tasks:
            task.cancel()
        raise
