"""Which mask belongs to which image, told from the names of files and folders.

Of the image KIND/010.png it is, in a folder of masks and under any image suffix and case:

    KIND/010_mask.png (or 010_gt, 010_label, mask_010, ...), or 010_mask1.png, 010_mask2.png, ...
    together; KIND/010.png; or all images in the folder KIND/010/;
    the same without KIND/, where only one anomalous image is called so;
    or 010_mask.png beside the image itself.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from inctrl.data.categories import Mask
from inctrl.data.sources.names import MASK_WORDS, images_of
from inctrl.data.stored import Stored

_WORDS = rf"(?:{MASK_WORDS}|label|seg(?:mentation)?|annotation)"
_AFTER = re.compile(rf"(.+?)[ ._-]?{_WORDS}[ _-]?(\d*)")
_BEFORE = re.compile(rf"{_WORDS}[ ._-](.+)")
_BESIDE = re.compile(rf"(.+)[ ._-]{MASK_WORDS}[ _-]?\d*")

Place = tuple[str, ...]
"""A folder below one of masks, by the names on the way to it."""


def apart(paths: Iterable[Path]) -> tuple[list[Path], dict[Path, Mask]]:
    """The images among files, and the masks of those that have one beside them."""
    listed = sorted(paths)
    known = {(path.parent, path.stem.casefold()): path for path in listed}
    masks = defaultdict[Path, list[Path]](list)
    images = []
    for path in listed:
        base = _BESIDE.fullmatch(path.stem.casefold())
        image = known.get((path.parent, base[1])) if base else None
        if image is None:
            images.append(path)
        else:
            masks[image].append(path)
    return images, {image: _mask(files) for image, files in masks.items()}


def fitting(
    folders: Sequence[Path], images: Sequence[tuple[Path, Sequence[Place]]]
) -> dict[Path, Mask]:
    """The masks of those images that have one in the folders.

    images   anomalous ones, each with the places in which its mask may lie
    """
    files = _Files(folders)
    called = Counter(path.stem.casefold() for path, _ in images)
    found = {}
    for path, places in images:
        alone: list[Place] = [()] if called[path.stem.casefold()] == 1 else []
        mask = next(filter(None, (files.of(path, place) for place in [*places, *alone])), None)
        if mask:
            found[path] = _mask(mask)
    return found


class _Files:
    """The files of folders of masks, by where they lie and whose they may be."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._inside = defaultdict[Place, list[Path]](list)
        self._named = defaultdict[tuple[Place, str], list[tuple[int, Path]]](list)
        for folder in folders:
            for file in images_of(folder, recursive=True):
                place = _folded(file.relative_to(folder).parent.parts)
                self._inside[place].append(file)
                for rank, base in _bases(file.stem.casefold()):
                    self._named[place, base].append((rank, file))

    def of(self, image: Path, place: Place) -> list[Path]:
        stem, where = image.stem.casefold(), _folded(place)
        named = self._named.get((where, stem), [])
        numbered = sorted(file for rank, file in named if rank == _NUMBERED)
        if not named:
            return self._inside.get((*where, stem), [])
        if numbered:
            return numbered
        # Of two that differ in case alone, each is of the image that is written so.
        best = min(named, key=lambda one: (one[0], not one[1].stem.startswith(image.stem), one[1]))
        return [best[1]]


_NUMBERED, _CALLED, _PLAIN = range(3)


def _bases(stem: str) -> list[tuple[int, str]]:
    """The names of images that a file may be the mask of, with how it says so."""
    after, before = _AFTER.fullmatch(stem), _BEFORE.fullmatch(stem)
    found = [(_PLAIN, stem)]
    if after:
        found.append((_NUMBERED if after[2] else _CALLED, after[1]))
    if before:
        found.append((_CALLED, before[1]))
    return found


def _folded(place: Iterable[str]) -> Place:
    return tuple(part.casefold() for part in place)


def _mask(files: Sequence[Path]) -> Mask:
    first, *others = (Stored(file) for file in files)
    return Mask(first, others=tuple(others))
