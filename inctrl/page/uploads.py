"""Files that were added on the page: kept in order, shown small, read again when needed."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from inctrl.errors import UnreadableImage, UsageError
from inctrl.frames import Frame
from inctrl.images import Picture, develop
from inctrl.reporting.pictures import thumbnail
from inctrl.service.error_replies import TooLarge
from inctrl.service.uploads import Upload
from inctrl.service.workbench import Workbench

AT_ONCE = 2
"""Images that are decoded to be shown; the service has as many decoders."""
EXAMPLES = Path(__file__).resolve().parent.parent.parent / "demos" / "images"
"""The photographs that come with a checkout, to try the page on; a wheel has none."""


@dataclass(frozen=True)
class Added:
    """A file on the page; `picture` is a data URI, empty where `error` says why there is none.

    frames   how many images it holds
    frame    which of them are meant
    """

    path: Path
    picture: str
    error: str
    frames: int = 1
    frame: Frame = "all"

    @property
    def name(self) -> str:
        return self.path.name


async def added(bench: Workbench, paths: Iterable[Path]) -> tuple[Added, ...]:
    """Files as they are shown, in their order; what cannot be read says why."""
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(path: Path) -> Added:
        async with turns:
            (upload,) = await read([path])
            pictures, refused = await bench.pictures([replace(upload, frame="first")])
            if refused:
                return Added(path, "", refused[0].error)
            try:
                small = await asyncio.to_thread(_small, pictures[0])
                return Added(path, small, "", pictures[0].frames)
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


@dataclass(frozen=True)
class Example:
    """Normal images and queries of one item."""

    name: str
    normal: tuple[Path, ...]
    queries: tuple[Path, ...]


def examples(folder: Path = EXAMPLES) -> tuple[Example, ...]:
    """Those there are, by name; none where the folder is absent."""
    if not folder.is_dir():
        return ()
    found = (
        Example(place.name, _pngs(place / "normal"), _pngs(place / "query"))
        for place in sorted(folder.iterdir())
        if place.is_dir()
    )
    return tuple(one for one in found if one.normal and one.queries)


def _pngs(folder: Path) -> tuple[Path, ...]:
    return tuple(sorted(folder.glob("*.png")))
