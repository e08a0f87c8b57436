"""What lies in the folder of a data set and is not used, in lines for people.

Such as
    B: 5 images are not used (0.png, 1.png, ...): no folder 'normal' (it has CLEAN, DIRTY)
    4 files in ground_truth/ fit no anomalous image (010.bmp, 011.bmp, ...)
    test/scratch: 3 files are no images that are read (.heic 2, .txt 1)
"""

import functools
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from inctrl.data.categories import Category
from inctrl.data.folders import subfolders
from inctrl.data.passed import images_below, not_read
from inctrl.data.sources.names import LABELS, key
from inctrl.decoding import SUFFIXES

MOST = 100_000
"""Files and folders that are looked at."""
NAMED = 3
FOREIGN = frozenset(
    {
        *(".jp2", ".j2k", ".jxl", ".heic", ".heif", ".avif", ".jfif", ".tga", ".psd", ".svg"),
        *(".exr", ".hdr", ".dcm", ".nii", ".npy", ".npz", ".mat", ".raw", ".dng", ".cr2", ".nef"),
        *(".arw", ".pnm", ".pbm", ".ico", ".pdf", ".mp4", ".avi", ".mov"),
    }
)
"""Suffixes of images that are not read; other files are told of where images lie."""

Why = Callable[[Path], str]


@dataclass
class _Folder:
    """A folder as it was found; `used` and `images` are of it alone, `total` of all below too."""

    path: Path
    images: list[Path] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)
    used: int = 0
    total: int = 0
    below: "list[_Folder]" = field(default_factory=list)

    def all(self) -> "Iterator[_Folder]":
        yield self
        for folder in self.below:
            yield from folder.all()


def unused(
    root: Path,
    categories: Sequence[Category],
    why: Why = lambda _: "",
    also: Iterable[Path] = (),
) -> list[str]:
    """A line for each folder that holds something which no category uses.

    why    why a folder in `root` is no category
    also   files that are used besides
    """
    look = _Look(categories, also)
    lines = [*_beside(categories), *_lines(look.at(root), root, why)]
    lines += [f"{path.relative_to(root).as_posix()} {fault}" for path, fault in look.closed]
    if look.left <= 0:
        lines.append(f"there are more than {MOST} files; the others were not looked at")
    return lines


def _beside(categories: Sequence[Category]) -> Iterator[str]:
    """Of masks that lie beside a few of the images: they may be pictures of something else."""
    for category in categories:
        anomalous = [sample for sample in category.test if sample.anomalous]
        near = [
            (sample.mask.image.file, sample.image.file)
            for sample in anomalous
            if sample.mask and sample.mask.image.file.parent == sample.image.file.parent
        ]
        if 0 < 2 * len(near) <= len(anomalous):
            mask, image = near[0]
            more = f", and {len(near) - 1} more likewise" if len(near) > 1 else ""
            yield (
                f"{category.name}: {mask.name} is read as the mask of {image.name} beside it{more}"
            )


def below_only(normal: Mapping[str, Sequence[Path]], categories: Sequence[Category]) -> list[str]:
    """Lines on categories without normal images, but in subfolders.

    normal   the folders of normal images of each category, by its name
    """
    lines = []
    for name in (category.name for category in categories if not category.train):
        inside = [below for folder in normal[name] for below in subfolders(folder)]
        if images := sum(map(images_below, inside)):
            lines.append(
                f"{name}: of folder {normal[name][0].name!r} subfolders are not read, but they "
                f"hold its {images} images ({_names(inside)}); move these up"
            )
    return lines


def lacking(name: str, categories: Sequence[Path]) -> Why:
    """Why a folder beside categories is none: that it has no subfolder of this name."""

    def why(folder: Path) -> str:
        if folder.parent in categories:
            return ""
        inside = subfolders(folder)
        has = ", ".join(path.name for path in inside[:NAMED]) or "no folders"
        return f"no folder {name!r} (it has {has}{', ...' if len(inside) > NAMED else ''})"

    return why


class _Look:
    """A walk through folders, links too, each once."""

    def __init__(self, categories: Sequence[Category], also: Iterable[Path]) -> None:
        self._used = {*also, *(file for category in categories for file in _files(category))}
        self._seen = set[str]()
        self.left, self.closed = MOST, list[tuple[Path, str]]()

    @functools.cached_property
    def _real(self) -> set[str]:
        return {os.path.realpath(file) for file in self._used}

    def _is_used(self, file: Path) -> bool:
        return file in self._used or os.path.realpath(file) in self._real

    def at(self, path: Path) -> _Folder:
        found = _Folder(path)
        real = os.path.realpath(path)
        if real in self._seen:
            return found
        self._seen.add(real)
        try:
            entries, inside = sorted(path.iterdir()), frozenset(subfolders(path))
        except OSError:
            self.closed.append((path, "cannot be read; check its rights"))
            return found
        for entry in entries:
            self.left -= 1
            if self.left <= 0:
                break
            if entry in inside:
                found.below.append(self.at(entry))
            elif entry.is_dir():
                fault = not_read(entry)
                if fault:
                    self.closed.append((entry, fault))
            elif _clutter(entry):
                continue
            elif self._is_used(entry):
                found.used += 1
            elif entry.suffix.lower() in SUFFIXES:
                found.images.append(entry)
            else:
                found.others.append(entry)
        found.total = found.used + sum(folder.total for folder in found.below)
        return found


def _clutter(file: Path) -> bool:
    """What machines put beside pictures, and hidden files that are none."""
    hidden = file.name.startswith("._") or (file.name[0] == "." and not file.suffix)
    return hidden or file.name.lower() in ("thumbs.db", "desktop.ini")


def _files(category: Category) -> Iterator[Path]:
    yield from (image.file for image in category.train)
    for sample in category.test:
        yield sample.image.file
        if sample.mask:
            yield from (stored.file for stored in (sample.mask.image, *sample.mask.others))


def _lines(folder: _Folder, root: Path, why: Why) -> Iterator[str]:
    whole = not folder.total and folder.path != root
    inside = list(folder.all()) if whole else [folder]
    images = [image for one in inside for image in one.images]
    where = folder.path.relative_to(root)
    if images and _of_masks(where):
        yield (
            f"{_count(images, 'file')} in {where.as_posix()}/ {_fit(images)} no anomalous image"
            f" ({_names(images)})"
        )
    elif images:
        reason = why(folder.path) if len(where.parts) == 1 and whole else ""
        place = where.as_posix() if where.parts else "in the folder itself"
        are = "is" if len(images) == 1 else "are"
        yield f"{place}: {_count(images, 'image')} {are} not used ({_names(images)})" + (
            f": {reason}" if reason else ""
        )
    yield from _foreign(inside, where)
    if not whole:
        for below in folder.below:
            yield from _lines(below, root, why)


def _foreign(inside: Sequence[_Folder], where: Path) -> Iterator[str]:
    files = [
        file
        for folder in inside
        for file in folder.others
        if folder.used or file.suffix.lower() in FOREIGN or _of_masks(where)
    ]
    if files:
        suffixes = Counter(file.suffix.lower() or "no suffix" for file in files)
        counts = ", ".join(f"{suffix} {count}" for suffix, count in sorted(suffixes.items()))
        place = where.as_posix() if where.parts else "in the folder itself"
        are = "is no image that is" if len(files) == 1 else "are no images that are"
        yield f"{place}: {_count(files, 'file')} {are} read ({counts})"


def _of_masks(where: Path) -> bool:
    return any(key(part) in LABELS for part in where.parts)


def _count(files: Sequence[Path], one: str) -> str:
    return f"{len(files)} {one}{'' if len(files) == 1 else 's'}"


def _fit(files: Sequence[Path]) -> str:
    return "fits" if len(files) == 1 else "fit"


def _names(files: Sequence[Path]) -> str:
    return ", ".join(file.name for file in files[:NAMED]) + (", ..." if len(files) > NAMED else "")
