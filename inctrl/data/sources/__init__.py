"""The table of data sets: where to get each, what its folder looks like, and what reads it.

    read_data("sets/visa")           # the layout is recognised
    read_data("inctrl-json:lists")   # or named

A reader is given the folder (or file) and gives categories; what a reader finds nothing in, or
trips over, is reported here with the tree that was expected.
"""

import contextlib
import logging
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from inctrl.data.categories import Category
from inctrl.data.folders import subfolders
from inctrl.data.sources import (
    aitex,
    brainmri,
    cifar10,
    elpv,
    folder,
    headct,
    mnist,
    mvtec,
    released,
    sdd,
    table,
    visa,
)
from inctrl.data.sources.source import Source as Source
from inctrl.errors import InctrlError, MissingData
from inctrl.registry import meant, unknown

MOST_WARNINGS = 12
logger = logging.getLogger("inctrl")
SOURCES: dict[str, Source] = {
    "mvtec": mvtec.SOURCE,
    "visa": visa.SOURCE,
    "elpv": elpv.SOURCE,
    "sdd": sdd.SOURCE,
    "aitex": aitex.SOURCE,
    "brainmri": brainmri.SOURCE,
    "headct": headct.SOURCE,
    "mnist": mnist.SOURCE,
    "mnist-multi": mnist.SOURCE_MULTI,
    "cifar10": cifar10.SOURCE,
    "cifar10-multi": cifar10.SOURCE_MULTI,
    "folder": folder.SOURCE,
    "csv": table.SOURCE,
    "inctrl-json": released.SOURCE,
}


@dataclass(frozen=True)
class DataSet:
    """What is in a data set, and what lies there but is not used, in lines.

    name   of its folder or file
    """

    name: str
    categories: list[Category]
    left_out: tuple[str, ...]

    @property
    def warnings(self) -> list[str]:
        """The lines, the data set named; of many the first."""
        name = f"{self.name}: "
        lines = [line if line.startswith(name) else f"{name}{line}" for line in self.left_out]
        more = len(lines) - MOST_WARNINGS
        if more <= 0:
            return lines
        return [*lines[:MOST_WARNINGS], f"{self.name}: {more} more; `inctrl data` names all"]


def read_data(spec: str | Path, *, labelled: bool = True) -> list[Category]:
    """The categories of `find_data`; of what is left out the log is told."""
    found = find_data(spec, labelled=labelled)
    for line in found.warnings:
        logger.warning("%s", line)
    return found.categories


def find_data(spec: str | Path, *, labelled: bool = True) -> DataSet:
    """The categories of `PATH` or `LAYOUT:PATH`, in the order of their names.

    labelled   categories without test images are left out; training does without them
    MissingData shows the expected tree, the licence and where to get the set.
    """
    name, path = find_layout(spec)
    try:
        found = sorted(SOURCES[name].read(path), key=lambda category: category.name)
        lines = SOURCES[name].left_out(path, found)
        tested = [category for category in found if category.test]
        if labelled and tested:
            lines += [
                f"{category.name}: left out, it has no anomalous images"
                for category in found
                if not category.test
            ]
            found = tested
        fault = _fault(found, labelled)
        if fault and lines:
            fault = f"{fault}; {_printable(lines[0])}"
    except InctrlError as error:
        fault = str(error)
    except (OSError, ValueError, KeyError, IndexError) as error:
        fault = f"{type(error).__name__}: {error}"
    if fault is not None:
        raise MissingData(
            f"{str(path)!r} cannot be read as {name} ({fault}); compare it with "
            f"`inctrl data {name}`",
            describe(name),
        )
    return DataSet(path.absolute().name, found, tuple(map(_printable, lines)))


def find_layout(spec: str | Path) -> tuple[str, Path]:
    """The layout of `PATH` or `LAYOUT:PATH` and the path; MissingData where none is recognised."""
    name, path = _parsed(str(spec))
    if not path.exists():
        if name is None:
            beside = (one.name for one in subfolders(path.parent))
            near = meant(str(path), SOURCES) or meant(path.name, beside) or "; check it;"
            raise MissingData(f"no data at {str(path)!r}{near} `inctrl data` shows the layouts")
        fault = f"no data at {str(path)!r}; `inctrl data {name}` tells where to get it"
        raise MissingData(fault, describe(name))
    if name is None:
        name = next((n for n, source in SOURCES.items() if source.recognise(path)), None)
    if name is None:
        below = next((f"; it holds {str(one)!r}, which is" for one in _known_below(path)), "")
        raise MissingData(
            f"{str(path)!r} is in no layout known here ({', '.join(SOURCES)}){below}; name one, as "
            f"in folder:{path}; `inctrl data` shows the layouts"
        )
    return name, path


def _known_below(path: Path) -> Iterator[Path]:
    """Folders in one that is no data set, which are sets."""
    for inside in subfolders(path):
        with contextlib.suppress(OSError, ValueError):
            if any(source.recognise(inside) for source in SOURCES.values()):
                yield inside


def describe(name: str) -> str:
    """Tree, licence and steps of a source, in lines for people."""
    source = SOURCES[name]
    steps = textwrap.fill(f"to get it: {source.steps}", 98)
    return f"{source.tree.strip()}\n\nlicence: {source.licence}\n{steps}"


def _parsed(spec: str) -> tuple[str | None, Path]:
    name, colon, rest = spec.partition(":")
    if colon and name in SOURCES:
        return name, Path(rest)
    if colon and len(name) > 1 and not Path(spec).exists():
        raise unknown(name, SOURCES, "layout of data")
    return None, Path(spec)


def _printable(line: str) -> str:
    """Names of files may hold anything."""
    return "".join(c if c.isprintable() else "?" for c in line)


def _fault(found: list[Category], labelled: bool) -> str | None:
    if not found:
        return "no category found"
    for category in found:
        if not category.train:
            return f"category {category.name!r} has no normal training image"
        if labelled and not category.test:
            return f"category {category.name!r} has no test image (no anomalous ones)"
    return None
