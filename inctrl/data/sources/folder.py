"""Pictures of one's own, sorted into folders."""

from pathlib import Path

from inctrl.data.categories import Category, Mask, Sample
from inctrl.data.folders import images_in
from inctrl.data.sources import mvtec
from inctrl.data.sources.source import Source, spot, with_test_quarter
from inctrl.data.stored import Stored

NORMAL = ("normal", "good")
ANOMALOUS = ("anomalous", "bad", "defect")
TREE = """
DIR/CATEGORY/normal/*                normal images (or good/)
DIR/CATEGORY/anomalous/*             anomalous images (or bad/, defect/), or
DIR/CATEGORY/anomalous/KIND/*        those of each kind of defect
DIR/CATEGORY/masks/KIND/STEM.png     where there are masks, named as the images; bright = anomalous
DIR may be a category itself

A quarter of the normal images becomes the test.
"""


def recognise(root: Path) -> bool:
    # test/good and test/bad of a set in the layout of MVTec AD would look like a category.
    return not mvtec.recognise(root) and bool(_categories(root))


def read(root: Path) -> list[Category]:
    return [_category(folder, root) for folder in _categories(root)]


def _categories(root: Path) -> list[Path]:
    folders = [root, *root.glob("*/")]
    found = [folder for folder in folders if spot(folder, NORMAL) and spot(folder, ANOMALOUS)]
    return [root] if root in found else found


def _category(folder: Path, root: Path) -> Category:
    normal, anomalous = spot(folder, NORMAL), spot(folder, ANOMALOUS)
    assert normal is not None and anomalous is not None  # noqa: S101, PT018  _categories saw them
    train = tuple(Stored(path) for path in images_in(normal))
    test = tuple(
        Sample(Stored(path), True, path.parent.name, _mask(folder, path.relative_to(anomalous)))
        for path in images_in(anomalous, recursive=True)
    )
    name = folder.absolute().name
    category = Category(
        root.absolute().name, name, train, test, root, name.replace("_", " ").replace("-", " ")
    )
    return with_test_quarter(category)


def _mask(folder: Path, image: Path) -> Mask | None:
    file = folder / "masks" / image.with_suffix(".png")
    return Mask(Stored(file)) if file.is_file() else None


SOURCE = Source(
    "pictures of one's own, in folders",
    TREE,
    "your own",
    "make a folder for each category, and sort its pictures into normal and anomalous",
    recognise,
    read,
)
