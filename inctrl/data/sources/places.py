"""Finding what a data set consists of, with words for what is not there."""

from collections.abc import Iterable
from pathlib import Path

from inctrl.errors import MissingData


def spot(root: Path, places: Iterable[str], *parts: str) -> Path | None:
    """The first folder among the places below `root` ("" is `root` itself) that holds all parts."""
    folders = (root / place for place in places if (root / place).is_dir())
    return next((f for f in folders if all((f / part).exists() for part in parts)), None)


def locate(root: Path, places: Iterable[str], *parts: str) -> Path:
    """`spot`; MissingData names the parts where no place has them all."""
    found = spot(root, places, *parts)
    if found is None:
        raise MissingData(f"no folder with {' and '.join(parts)}")
    return found


def listed(file: Path, told: str) -> Path:
    """The file; MissingData names it and `told`, the line that lists it, where there is none."""
    if not file.is_file():
        raise MissingData(f"{told}: there is no file {str(file)!r}")
    return file
