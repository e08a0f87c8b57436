"""Finding images in folders.

Links are followed wherever they lead, each folder and each file once: real ones first, under their
own names, then what only links lead to. What is not read is told as warnings (passed.py).
"""

import contextlib
import logging
import math
import os
from collections import deque
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from inctrl.data.passed import Passed, left_out
from inctrl.decoding import SUFFIXES
from inctrl.errors import UsageError

WITHIN = "INCTRL_DATA_WITHIN"
"""Variable with the folder that no link may lead out of: a service reads for others."""
_root: ContextVar[str] = ContextVar("data_root", default="")
logger = logging.getLogger("inctrl")


@dataclass(frozen=True)
class Found:
    """The image files of a folder, sorted by path, and what was passed over, in lines."""

    images: tuple[Path, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Place:
    """A folder to be read: its path as shown, its real path, and those of what links lead from."""

    path: Path
    real: Path
    around: tuple[Path, ...]


def expand(
    arguments: Iterable[str | Path], *, recursive: bool = False, keep_empty: bool = False
) -> list[Path]:
    """Files as given, folders as their images in name order; UsageError for an empty folder.

    A file is taken whatever its name, so that an unreadable one is reported and not passed over;
    in a folder only image suffixes count, and hidden files never do. What lies in two of the
    folders counts once.

    keep_empty   an empty folder is left in, to be reported where it is opened
    """
    found: list[Path] = []
    seen: set[str] = set()
    given = list(map(Path, arguments))
    for argument in given:
        try:
            inside = images_in(argument, recursive=recursive) if argument.is_dir() else None
        except OSError as error:  # a folder around it may not be entered
            raise UsageError(f"{str(argument)!r} cannot be read ({error.strerror})") from None
        if inside is None:
            found.append(argument)
        elif inside:
            found += _new(inside, seen, argument) if len(given) > 1 else inside
        elif keep_empty:
            found.append(argument)
        else:
            raise _empty(argument, recursive)
    return found


def _new(images: list[Path], seen: set[str], folder: Path) -> list[Path]:
    """Those that no folder before has held."""
    passed, new = Passed(folder), list[Path]()
    for path in images:
        real = os.path.realpath(path)
        if real in seen:
            passed.add("again", path)
        else:
            new.append(path)
        seen.add(real)
    _tell(passed.notes())
    return new


def images_in(folder: Path, *, recursive: bool = False) -> list[Path]:
    """The image files of a folder, sorted by path; what is passed over is logged."""
    found = look(folder, recursive=recursive)
    _tell(found.notes)
    return list(found.images)


def look(folder: Path, *, recursive: bool = False) -> Found:
    """The image files of a folder, and what of it is not read; UsageError where it cannot be."""
    passed = Passed(folder)
    try:
        entries = _Walk(folder, recursive, passed).files()
    except OSError as error:
        raise UsageError(f"folder {str(folder)!r} cannot be read ({error.strerror})") from None
    # Real files come first, so that what a link leads to has its own name where it is read too.
    named: dict[str, Path] = {}
    for linked, path, real in sorted(entries):
        if real in named:
            passed.add("twice", path)
        elif linked and _outside(Path(real)):
            passed.add("outside", path)
        else:
            named[real] = path
    return Found(tuple(sorted(named.values())), passed.notes())


def subfolders(folder: Path) -> list[Path]:
    """The folders in a folder, by name, linked ones too and each once.

    Those that programs or runs keep there are none, nor those around it, nor what links lead to
    outside of the data.
    """
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return []
    found: dict[str, Path] = {}
    around = Path(os.path.realpath(folder))
    for entry in sorted(entries, key=lambda e: (e.is_symlink(), e.name)):
        path, real = folder / entry.name, os.path.realpath(entry.path)
        left = left_out(entry.name, path) or _outside(Path(real)) or around.is_relative_to(real)
        if _kind(entry) == "folder" and not left:
            found.setdefault(real, path)
    return sorted(found.values())


def _empty(folder: Path, recursive: bool) -> UsageError:
    """The error for a folder without images; subfolders are spoken of where they hold some."""
    below = Passed(folder)
    deeper = not recursive and _Walk(folder, True, below).files(most=1)
    if not recursive and not deeper:
        _tell(below.notes())
    suffixes = " ".join(sorted(SUFFIXES))
    return UsageError(
        f"no images in folder {str(folder)!r} ({suffixes})",
        fix="read subfolders" if deeper else None,
    )


def _tell(notes: Iterable[str]) -> None:
    for note in notes:
        logger.warning("%s", note)


class _Walk:
    """The files with names of images in a folder, with what lies in subfolders or without."""

    def __init__(self, folder: Path, recursive: bool, passed: Passed) -> None:
        self._start = _Place(folder, real := Path(os.path.realpath(folder)), (real,))
        self._recursive = recursive
        self._passed = passed
        self._seen = {real}
        self._waiting = deque([self._start])
        self._links = deque[_Place]()
        self._found: list[tuple[bool, Path, str]] = []

    def files(self, most: float = math.inf) -> list[tuple[bool, Path, str]]:
        """Whether each is a link, its path and its real path; `most` are enough."""
        if _outside(self._start.real):
            self._passed.add("outside", self._start.path)
            return []
        while (self._waiting or self._links) and len(self._found) < most:
            place = self._waiting.popleft() if self._waiting else self._followed()
            if place is not None:
                self._read(place)
        return self._found

    def _read(self, place: _Place) -> None:
        try:
            entries = sorted(os.scandir(place.path), key=lambda entry: entry.name)
        except OSError:
            if place is self._start:
                raise
            self._passed.add("unreadable", place.path)
            return
        for entry in entries:
            kind, path = _kind(entry), place.path / entry.name
            if kind == "folder":
                if self._recursive:
                    self._subfolder(entry, path, place)
            elif kind == "file" and path.suffix.lower() in SUFFIXES:
                self._image(entry, path, place)
            elif not entry.name.startswith("."):
                if kind == "file":
                    self._passed.file(path)
                else:
                    self._passed.add(kind, path)

    def _image(self, entry: "os.DirEntry[str]", path: Path, place: _Place) -> None:
        if entry.name.startswith("."):
            if not entry.name.startswith("._"):  # what macOS notes beside a file, no image
                self._passed.add("dots", path)
            return
        linked = entry.is_symlink()
        real = os.path.realpath(path) if linked else str(place.real / entry.name)
        self._found.append((linked, path, real))

    def _subfolder(self, entry: "os.DirEntry[str]", path: Path, place: _Place) -> None:
        """To be read, or followed as a link when all real folders are read."""
        if reason := left_out(entry.name, path):
            self._passed.aside(reason, path)
        elif entry.is_symlink():
            self._links.append(_Place(path, place.real, place.around))
        elif (real := place.real / entry.name) in self._seen:
            self._passed.add("twice", path)
        else:
            self._seen.add(real)
            self._waiting.append(_Place(path, real, place.around))

    def _followed(self) -> _Place | None:
        """Where the next link leads; None where it is not followed."""
        link = self._links.popleft()  # its `real` is the folder that it lies in
        target = Path(os.path.realpath(link.path))
        if _outside(target):
            self._passed.add("outside", link.path)
        elif any(around.is_relative_to(target) for around in (*link.around, link.real)):
            self._passed.add("round", link.path)
        elif target in self._seen:
            self._passed.add("twice", link.path)
        else:
            self._seen.add(target)
            return _Place(link.path, target, (*link.around, target))
        return None


def _kind(entry: "os.DirEntry[str]") -> Literal["folder", "file", "nowhere", "odd"]:
    try:
        if entry.is_dir():
            return "folder"
        if entry.is_file():
            return "file"
        entry.stat()
    except OSError:  # nothing there, a ring of links, or a place that may not be entered
        return "nowhere"
    return "odd"


@contextlib.contextmanager
def confined(root: Path) -> Iterator[None]:
    """In this block no link leads out of the folder, as in a process that has WITHIN set."""
    token = _root.set(str(root))
    try:
        yield
    finally:
        _root.reset(token)


def _outside(real: Path) -> bool:
    within = _root.get() or os.environ.get(WITHIN)
    return bool(within) and not real.is_relative_to(os.path.realpath(str(within)))
