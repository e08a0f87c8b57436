"""VisA (Zou et al. 2022) as its tar file unpacks, with the one-class split that comes with it."""

from pathlib import Path

from inctrl.data.categories import Category, Mask, Sample
from inctrl.data.sources.source import Source, listed_in
from inctrl.data.sources.unused import unused
from inctrl.data.stored import Stored
from inctrl.files.text import read_rows

SPLIT = "split_csv/1cls.csv"
COLUMNS = ("object", "split", "label", "image", "mask")
TREE = """
DIR/split_csv/1cls.csv                       the split: object,split,label,image,mask
DIR/CATEGORY/Data/Images/Normal/*.JPG        normal images
DIR/CATEGORY/Data/Images/Anomaly/*.JPG       anomalous images
DIR/CATEGORY/Data/Masks/Anomaly/*.png        masks; 0 = normal, above = the number of the defect
"""


def recognise(root: Path) -> bool:
    return (root / SPLIT).is_file()


def read(root: Path) -> list[Category]:
    (_, head), *lines = read_rows(root / SPLIT, COLUMNS)
    names = [name.strip().lower() for name in head]
    rows = [dict(zip(names, map(str.strip, cells), strict=False)) for _, cells in lines]
    return [_category(root, name, rows) for name in sorted({row["object"] for row in rows})]


def _category(root: Path, name: str, rows: list[dict[str, str]]) -> Category:
    mine = sorted((row for row in rows if row["object"] == name), key=lambda row: row["image"])
    train = tuple(
        Stored(listed_in([root], row["image"], SPLIT))
        for row in mine
        if row["split"] == "train" and row["label"] == "normal"
    )
    test = tuple(_sample(root, row) for row in mine if row["split"] == "test")
    return Category("visa", name, train, test, root, name.replace("_", " "))


def _sample(root: Path, row: dict[str, str]) -> Sample:
    image = Stored(listed_in([root], row["image"], SPLIT))
    if row["label"] == "normal":
        return Sample(image, anomalous=False)
    mask = Mask(Stored(listed_in([root], row["mask"], SPLIT)), above=0) if row["mask"] else None
    return Sample(image, True, row["label"], mask)


SOURCE = Source(
    "VisA, 12 categories",
    TREE,
    "CC BY 4.0",
    "download VisA.tar as github.com/amazon-science/spot-diff tells, and unpack it; give the "
    "folder that holds split_csv, candle, capsules, ...",
    recognise,
    read,
    unused,
)
