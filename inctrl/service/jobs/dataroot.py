"""The folder whose data jobs may read: names in it lead to what lies in it, and nowhere else."""

import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from inctrl.data.folders import confined
from inctrl.errors import InctrlError, MissingData, UsageError
from inctrl.service.schemas import DataReply, DataSetReply

DEEPEST = 3
"""Folders below the data root in which data sets are looked for."""
FOUND, SECONDS = 200, 2.0
"""At most so many sets are listed, and no longer is looked for them."""
SAID = 12
"""Lines on what a set leaves out."""


def existing_root(root: Path | None) -> Path:
    """The data root; UsageError where the server has none."""
    if root is None:
        raise UsageError("this server has no data root; start it with --data-root DIR")
    if not root.is_dir():
        raise MissingData("the data root of this server is not there")
    return root.resolve()


def inside(root: Path | None, name: str) -> str:
    """The path of data from the root on, as `./...`; a command that runs in the root takes it.

    No message holds a path of the machine.
    """
    folder = existing_root(root)
    parts = PurePosixPath(name).parts
    if not name or name.startswith(("-", "/", "~")) or ".." in parts or not name.isprintable():
        raise UsageError(f"data {name!r} is no name in the data root, such as sets/bottle")
    try:
        target = (folder / name).resolve(strict=True)
    except (OSError, ValueError, RuntimeError):  # absent, too long, not encodable, a ring of links
        raise MissingData(f"no data {name!r} in the data root") from None
    if not target.is_relative_to(folder):
        raise UsageError(f"data {name!r} leads out of the data root")
    # With ./ in front it is no flag, and no layout's name however a folder is called.
    return f"./{target.relative_to(folder).as_posix()}"


def inside_with_layout(root: Path | None, spec: str) -> str:
    """`inside` for `[LAYOUT:]NAME`."""
    from inctrl.data.sources import SOURCES

    layout, colon, name = spec.partition(":")
    if colon and layout in SOURCES:
        return f"{layout}:{inside(root, name)}"
    return inside(root, spec)


def data_sets(root: Path | None, seconds: float = SECONDS, most: int = FOUND) -> DataReply:
    """The sets in the data root, as `inctrl data` recognises them.

    Of a folder of several categories each is listed too, and sets that lie beside these; inside of
    other sets, and of single categories, is not looked.
    """
    folder = existing_root(root)
    until, found = time.monotonic() + seconds, list[_Set]()
    with confined(folder):
        tree = _Tree(folder)
        while (place := tree.next()) is not None:
            if time.monotonic() > until or len(found) >= most:
                break
            path, depth = place
            layout, below = _layout(path), _folders(path)
            if layout is not None:
                parts = _parts(layout, path)
                found.append(_Set(path, layout, parts))
                several = parts if len(parts) > 1 else []
                found += [_Set(one, layout, [one]) for one in several if one in below]
                whole = parts in ([], [path])
                below = [] if whole else [one for one in below if one not in parts]
            tree.add(below, depth + 1)
        complete = place is None and len(found) <= most
        found = sorted(found, key=lambda one: one.path.relative_to(folder).as_posix())[:most]
        return DataReply(
            sets=[_reply(one, folder, until + seconds) for one in found],
            complete=complete,
            left_out=tree.outside[:SAID],
        )


class _Tree:
    """Folders in the order in which they are looked at: links after all real ones, each once.

    outside   lines on links that lead out of the root
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._seen = set[Path]()
        self._waiting, self._links = deque([(root, 0)]), deque[tuple[Path, int]]()
        self.outside = list[str]()

    def add(self, folders: list[Path], depth: int) -> None:
        if depth > DEEPEST:
            return
        for path in folders:
            (self._links if path.is_symlink() else self._waiting).append((path, depth))

    def next(self) -> tuple[Path, int] | None:
        while self._waiting or self._links:
            path, depth = (self._waiting or self._links).popleft()
            real = path.resolve()
            if not real.is_relative_to(self._root):
                name = path.relative_to(self._root).as_posix()
                self.outside.append(f"{name}: a link that leads out of the data root")
            elif real not in self._seen:
                self._seen.add(real)
                return path, depth
        return None


@dataclass(frozen=True)
class _Set:
    """A set, and the folders of its categories where each can be read by itself."""

    path: Path
    layout: str
    parts: list[Path]


def _reply(found: _Set, folder: Path, until: float) -> DataSetReply:
    """A row of the list; what is not used is told of sets that need not be decoded for it."""
    from inctrl.data.sources import find_data

    lines: list[str] | None = None
    if found.parts and time.monotonic() < until:
        try:
            data = find_data(f"{found.layout}:{found.path}", labelled=False)
            lines = list(data.left_out[:SAID])
        except InctrlError:
            lines = ["it cannot be read as it is; a job with it says why"]
    return DataSetReply(
        name=found.path.relative_to(folder).as_posix(),
        layout=found.layout,
        categories=len(found.parts) or None,
        left_out=lines,
    )


def _parts(layout: str, path: Path) -> list[Path]:
    """The folders of its categories, where each is a set of its own."""
    from inctrl.data.sources import SOURCES

    return SOURCES[layout].folders(path)


def _layout(path: Path) -> str | None:
    from inctrl.data.sources import SOURCES

    try:
        return next((name for name, source in SOURCES.items() if source.recognise(path)), None)
    except (OSError, ValueError):
        return None


def _folders(path: Path) -> list[Path]:
    """Those below that a job could name, linked ones too."""
    try:
        below = sorted(path.iterdir())
        named = [
            p for p in below if not p.name.startswith((".", "-", "~")) and p.name.isprintable()
        ]
        return [p for p in named if p.is_dir()]
    except OSError:
        return []
