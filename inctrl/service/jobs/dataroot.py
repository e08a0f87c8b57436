"""The folder whose data jobs may read: names in it lead to what lies in it, and nowhere else."""

import time
from collections import deque
from pathlib import Path, PurePosixPath

from inctrl.errors import MissingData, UsageError
from inctrl.registry import meant, unknown
from inctrl.service.schemas import DataReply, DataSetReply

DEEPEST = 3
"""Folders below the data root in which data sets are looked for."""
FOUND, SECONDS = 200, 2.0
"""At most so many sets are listed, and no longer is looked for them."""


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
        near = meant(name, (path.name for path in _folders(folder)))
        raise MissingData(f"no data {name!r} in the data root{near}") from None
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
    try:
        return inside(root, spec)
    except MissingData:
        if colon:
            raise unknown(layout, SOURCES, "layout of data") from None
        raise


def data_sets(root: Path | None, seconds: float = SECONDS, most: int = FOUND) -> DataReply:
    """The sets in the data root, as `inctrl data` recognises them; inside of one is not looked."""
    folder = existing_root(root)
    until, found = time.monotonic() + seconds, list[DataSetReply]()
    waiting = deque([(folder, 0)])
    while waiting:
        if time.monotonic() > until or len(found) >= most:
            break
        path, depth = waiting.popleft()
        layout = _layout(path)
        if layout is not None:
            name = path.relative_to(folder).as_posix()
            found.append(DataSetReply(name=name, layout=layout))
        elif depth < DEEPEST:
            waiting += [(below, depth + 1) for below in _folders(path)]
    return DataReply(sets=sorted(found, key=lambda one: one.name), complete=not waiting)


def _layout(path: Path) -> str | None:
    from inctrl.data.sources import SOURCES

    try:
        return next((name for name, source in SOURCES.items() if source.recognise(path)), None)
    except (OSError, ValueError):
        return None


def _folders(path: Path) -> list[Path]:
    """Those below that a job could name; links are left out, so that none leads round or out."""
    try:
        below = sorted(path.iterdir())
        named = [
            p for p in below if not p.name.startswith((".", "-", "~")) and p.name.isprintable()
        ]
        return [p for p in named if p.is_dir() and not p.is_symlink()]
    except OSError:
        return []
