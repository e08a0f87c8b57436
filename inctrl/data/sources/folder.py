"""Pictures of one's own, sorted into folders."""

from collections.abc import Sequence
from pathlib import Path

from inctrl.data.categories import Category, Mask, Sample
from inctrl.data.folders import subfolders
from inctrl.data.sources import mvtec
from inctrl.data.sources.maskfiles import apart, fitting
from inctrl.data.sources.names import (
    ANOMALOUS,
    LABELS,
    MASKS,
    NORMAL,
    TEST,
    TRAIN,
    images_of,
    key,
    named,
)
from inctrl.data.sources.source import Source, with_test_quarter
from inctrl.data.sources.unused import below_only, lacking, unused
from inctrl.data.stored import Stored

TREE = """
DIR/CATEGORY/normal/*                normal images (or good/, OK/, pass/, in any letter case)
DIR/CATEGORY/anomalous/*             anomalous images (or abnormal/, bad/, defect/, NG/, fail/), or
DIR/CATEGORY/anomalous/KIND/*        those of each kind of defect
DIR/CATEGORY/masks/KIND/STEM.png     where there are masks, named as the images (or STEM_mask.png)
DIR may be a category itself

A quarter of the normal images becomes the test. A category without anomalous images has none: it
can be trained on, and is left out of an evaluation.
"""


def recognise(root: Path) -> bool:
    # test/good and test/bad of a set in the layout of MVTec AD would look like a category.
    if mvtec.recognise(root):
        return False
    found = categories(root)
    return bool(found) and (found != [root] or _whole(root) or not _half(root))


def categories(root: Path) -> list[Path]:
    """The folders of the categories: `root` alone where it is one.

    Normal images alone make one too, but not the half of a set in the layout of MVTec AD.
    """
    if _whole(root):
        return [root]
    below = [
        folder
        for folder in subfolders(root)
        if _whole(folder) or (named(folder, NORMAL) and not _half(folder))
    ]
    return below or ([root] if named(root, NORMAL) else [])


def _whole(folder: Path) -> bool:
    return bool(named(folder, NORMAL) and named(folder, ANOMALOUS))


def _half(folder: Path) -> bool:
    return key(folder.absolute().name) in TRAIN | TEST


def read(root: Path) -> list[Category]:
    return [_category(folder, root) for folder in categories(root)]


def left_out(root: Path, found: list[Category]) -> list[str]:
    """What is not used, and what is read from several folders at once."""
    both = [
        f"{folder.name}: {' and '.join(path.name for path in parts)} are both read, as {label}"
        for folder in categories(root)
        for names, label in ((NORMAL, "normal"), (ANOMALOUS, "anomalous"))
        if len(parts := named(folder, names)) > 1
    ]
    folders = categories(root)
    deeper = below_only({f.absolute().name: named(f, NORMAL) for f in folders}, found)
    return [*deeper, *both, *unused(root, found, lacking("normal", folders))]


def _category(folder: Path, root: Path) -> Category:
    anomalous = named(folder, ANOMALOUS)
    images = [image for part in named(folder, NORMAL) for image in apart(images_of(part))[0]]
    masks = _masks(folder, anomalous)
    test = (Sample(Stored(image), True, image.parent.name, mask) for image, mask in masks.items())
    name = folder.absolute().name
    category = Category(
        root.absolute().name,
        name,
        tuple(map(Stored, images)),
        tuple(test),
        root,
        name.replace("_", " ").replace("-", " "),
    )
    return with_test_quarter(category) if anomalous and images else category


def _masks(folder: Path, anomalous: Sequence[Path]) -> dict[Path, Mask | None]:
    """The anomalous images, each with its mask."""
    truths, beside = named(folder, LABELS), dict[Path, Mask]()
    listed = []
    for part in anomalous:
        truths += named(part, MASKS)
        images, near = apart(
            path
            for path in images_of(part, recursive=True)
            if not any(key(name) in MASKS for name in path.relative_to(part).parent.parts)
        )
        beside |= near
        for image in images:
            kind = image.relative_to(part).parent.parts
            listed.append((image, [kind, (part.name, *kind)]))
    found = fitting(truths, listed)
    return {image: found.get(image) or beside.get(image) for image, _ in listed}


SOURCE = Source(
    "pictures of one's own, in folders",
    TREE,
    "your own",
    "make a folder for each category, and sort its pictures into normal and anomalous",
    recognise,
    read,
    left_out,
    categories,
)
