"""Finding images in folders."""

from collections.abc import Iterable
from pathlib import Path

from inctrl.decoding import SUFFIXES
from inctrl.errors import UsageError


def expand(arguments: Iterable[str | Path], *, recursive: bool = False) -> list[Path]:
    """Files as given, folders as their images in name order; UsageError for an empty folder.

    A file is taken whatever its name, so that an unreadable one is reported and not passed over;
    in a folder only image suffixes count, and hidden files never do.
    """
    found: list[Path] = []
    for argument in map(Path, arguments):
        if not argument.is_dir():
            found.append(argument)
            continue
        inside = images_in(argument, recursive=recursive)
        if not inside:
            suffixes = " ".join(sorted(SUFFIXES))
            raise UsageError(
                f"no images in folder {str(argument)!r} ({suffixes})",
                fix=None if recursive else "read subfolders",
            )
        found.extend(inside)
    return found


def images_in(folder: Path, *, recursive: bool = False) -> list[Path]:
    """The image files of a folder, sorted by path."""
    try:
        entries = sorted(folder.rglob("*") if recursive else folder.iterdir())
    except OSError as error:
        raise UsageError(f"folder {str(folder)!r} cannot be read ({error.strerror})") from None
    return [
        path
        for path in entries
        if path.suffix.lower() in SUFFIXES and path.is_file() and not _hidden(path, folder)
    ]


def _hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)
