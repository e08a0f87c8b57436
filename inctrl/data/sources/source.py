"""A row of the table of sources, and what readers share: finding files, splitting off a test."""

import os
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from inctrl.data.categories import Category, Sample
from inctrl.data.folders import outside
from inctrl.errors import MissingData

SHARE = 0.25
SEED = 42
"""Of the normal images that become a test, and of their draw; as InCTRL's scripts have them."""


@dataclass(frozen=True)
class Source:
    """A row of the table.

    title       name of the data set, or of the format
    tree        what lies where
    licence     terms as the publisher states them
    steps       how to get it by hand
    recognise   whether a path looks like it; named sources need not
    read        path -> categories
    left_out    path and categories -> lines on what lies there and is not used
    folders     path -> the folders of categories that can be read by themselves, if any can
    """

    title: str
    tree: str
    licence: str
    steps: str
    recognise: Callable[[Path], bool]
    read: Callable[[Path], list[Category]]
    left_out: Callable[[Path, list[Category]], list[str]] = lambda _, __: []
    folders: Callable[[Path], list[Path]] = lambda _: []


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


def listed(file: Path, line: str) -> Path:
    """The file; MissingData names it and the line that lists it, where there is none to be read."""
    if not file.is_file():
        raise MissingData(f"{line}: there is no file {str(file)!r}")
    if outside(Path(os.path.realpath(file))):
        raise MissingData(f"{line}: {str(file)!r} lies out of the data root")
    return file


def listed_in(folders: Iterable[Path], name: str, line: str) -> Path:
    """The file that a list names, in the first folder that has it; MissingData as from `listed`.

    Lists come from other machines: with backslashes, quotes and spaces around, and with letters
    composed in the other way.
    """
    bare = name.strip().strip("\"'").strip()
    slashed = bare.replace("\\", "/")
    composed = [unicodedata.normalize(form, slashed) for form in ("NFC", "NFD")]
    names = dict.fromkeys([name, bare, slashed, *composed])
    places = list(folders)
    files = (folder / one for one in names if one for folder in places)
    return listed(next((file for file in files if file.is_file()), places[0] / name), line)


def with_test_quarter(category: Category) -> Category:
    """The category with a quarter of its training images as normal test images.

    This is the split of InCTRL's conversion scripts. It depends on the order of the images alone,
    and both parts keep that order. MissingData where there are fewer than two images to split.
    """
    from sklearn.model_selection import train_test_split  # takes a second to import

    normals = category.train
    if len(normals) < 2:
        raise MissingData(
            f"{category.name} has {len(normals)} normal images, at least 2 are needed"
        )
    kept, held = train_test_split(range(len(normals)), test_size=SHARE, random_state=SEED)
    tested = tuple(Sample(normals[i], anomalous=False) for i in sorted(held))
    return replace(
        category, train=tuple(normals[i] for i in sorted(kept)), test=tested + category.test
    )
