"""Files that were added on the page: kept in order, shown small, read again when needed."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from inctrl.errors import UnreadableImage, UsageError
from inctrl.images import Picture, develop
from inctrl.reporting.pictures import thumbnail
from inctrl.service.error_replies import TooLarge
from inctrl.service.workbench import Upload, Workbench

AT_ONCE = 2
"""Images that are decoded to be shown; the service has as many decoders."""


@dataclass(frozen=True)
class Added:
    """A file on the page; `picture` is a data URI, empty where `error` says why there is none."""

    path: Path
    picture: str
    error: str

    @property
    def name(self) -> str:
        return self.path.name


async def added(bench: Workbench, paths: Iterable[Path]) -> tuple[Added, ...]:
    """Files as they are shown, in their order; what cannot be read says why."""
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(path: Path) -> Added:
        async with turns:
            (upload,) = await read([path])
            pictures, refused = await bench.pictures([upload])
            if refused:
                return Added(path, "", refused[0].error)
            try:
                return Added(path, await asyncio.to_thread(_small, pictures[0]), "")
            except UnreadableImage as error:
                return Added(path, "", str(error))

    return tuple(await asyncio.gather(*map(one, paths)))


def joined(bench: Workbench, there: Sequence[Added], coming: Sequence[str] | None) -> list[Path]:
    """The new ones among files that come; UsageError where there would be too many in all."""
    paths = [Path(name) for name in coming or ()]
    most = bench.settings.limits.images
    if len(there) + len(paths) > most:
        raise TooLarge(f"at most {most} images at a time; there are {len(there)} already")
    known = {one.path for one in there}
    return [path for path in dict.fromkeys(paths) if path not in known]


async def read(paths: Iterable[Path]) -> list[Upload]:
    """Files as the workbench takes them."""
    return [await asyncio.to_thread(_read, path) for path in paths]


def _read(path: Path) -> Upload:
    try:
        return Upload(path.name, path.read_bytes())
    except OSError:
        raise UsageError(f"{path.name!r} is not kept any more; add it again") from None


def _small(picture: Picture) -> str:
    return thumbnail(develop(picture))
