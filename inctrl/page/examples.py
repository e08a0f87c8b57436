"""The photographs that come with a checkout, to try the page on; a wheel has none."""

from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent.parent / "demos" / "images"


@dataclass(frozen=True)
class Example:
    """Normal images and queries of one item."""

    name: str
    normal: tuple[Path, ...]
    queries: tuple[Path, ...]


def examples(folder: Path = FOLDER) -> tuple[Example, ...]:
    """Those there are, by name; none where the folder is absent."""
    if not folder.is_dir():
        return ()
    found = (
        Example(place.name, _images(place / "normal"), _images(place / "query"))
        for place in sorted(folder.iterdir())
        if place.is_dir()
    )
    return tuple(one for one in found if one.normal and one.queries)


def _images(folder: Path) -> tuple[Path, ...]:
    return tuple(sorted(folder.glob("*.png")))
