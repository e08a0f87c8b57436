"""The table of data sets: where to get each, what its folder looks like, and what reads it.

    read_data("sets/visa")              # the layout is recognised
    read_data("inctrl-json:lists.json") # or named

A reader is given the folder (or file) and gives categories; it checks nothing: what a reader finds
nothing in, or trips over, is reported here with the tree that was expected.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from inctrl.data.categories import Category
from inctrl.data.sources import mvtec
from inctrl.errors import InctrlError, MissingData
from inctrl.registry import unknown


@dataclass(frozen=True)
class Source:
    """A row of the table.

    title       name of the data set, or of the format
    tree        what lies where
    licence     terms as the publisher states them
    steps       how to get it by hand
    recognise   whether a path looks like it; named sources need not
    read        path -> categories
    """

    title: str
    tree: str
    licence: str
    steps: str
    recognise: Callable[[Path], bool]
    read: Callable[[Path], list[Category]]


SOURCES: dict[str, Source] = {
    "mvtec": Source(
        "MVTec AD, or any set in its layout",
        mvtec.TREE,
        "MVTec AD: CC BY-NC-SA 4.0, not for commercial use",
        "download mvtec_anomaly_detection.tar.xz from mvtec.com (Research, Datasets, MVTec AD) "
        "and unpack it; give the folder that holds bottle, cable, ...",
        mvtec.recognise,
        mvtec.read,
    ),
}


def read_data(spec: str | Path) -> list[Category]:
    """The categories of `PATH` or `LAYOUT:PATH`, in the order of their names.

    MissingData shows the expected tree, the licence and where to get the set.
    """
    name, path = _parsed(str(spec))
    if not path.exists():
        told = "" if name is None else f"; expected:\n{describe(name)}"
        raise MissingData(f"no data at {str(path)!r}{told}")
    if name is None:
        name = next((n for n, source in SOURCES.items() if source.recognise(path)), None)
    if name is None:
        known = ", ".join(SOURCES)
        raise MissingData(
            f"{str(path)!r} is in no layout known here ({known}); name one, as in "
            f"mvtec:{path}; `inctrl data` shows the layouts"
        )
    return _read(name, path)


def describe(name: str) -> str:
    """Tree, licence and steps of a source, for people."""
    source = SOURCES[name]
    tree = source.tree.strip("\n")
    return f"{tree}\nlicence: {source.licence}\nto get it: {source.steps}"


def _parsed(spec: str) -> tuple[str | None, Path]:
    name, colon, rest = spec.partition(":")
    if colon and name in SOURCES:
        return name, Path(rest)
    if colon and len(name) > 1 and not Path(spec).exists():
        raise unknown(name, SOURCES, "layout of data")
    return None, Path(spec)


def _read(name: str, path: Path) -> list[Category]:
    source = SOURCES[name]
    try:
        found = source.read(path)
        fault = _fault(found)
    except InctrlError as error:
        fault = str(error)
    except (OSError, ValueError, KeyError, IndexError, UnicodeDecodeError) as error:
        fault = f"{type(error).__name__}: {error}"
    if fault is not None:
        raise MissingData(
            f"{str(path)!r} is not {source.title} as published ({fault}); expected:\n"
            f"{describe(name)}"
        )
    return found


def _fault(found: list[Category]) -> str | None:
    if not found:
        return "no category found"
    for category in found:
        if not category.train:
            return f"category {category.name!r} has no normal training image"
        if not category.test:
            return f"category {category.name!r} has no test image"
    return None
