"""A CSV file that lists the images of a data set, with their labels."""

import csv
from dataclasses import dataclass
from pathlib import Path

from inctrl.data.categories import Category, Mask, Sample
from inctrl.data.sources.source import Source, listed
from inctrl.data.stored import Stored
from inctrl.errors import MissingData
from inctrl.registry import unknown

NEEDED = ("path", "label", "split")
OPTIONAL = ("mask", "category", "item", "group", "kind")
LABELS = {"normal": False, "0": False, "anomalous": True, "1": True}
SPLITS = ("train", "test")
TREE = """
FILE.csv, with these columns in the first line, paths starting at the file's folder:
path       of an image
label      normal or anomalous (or 0, 1); all of train are normal
split      train (shots are drawn from these) or test
mask       path of its mask, bright = anomalous           where there is one
category   name of the category                           default: the name of the file
item       what the category's images show, in words      default: the name of the category
group      what images share: a part, a patient, a slide  where it is known
kind       of the defect                                  where it is known
"""


@dataclass(frozen=True)
class Row:
    """A line of the file, checked; `line` is its number."""

    line: int
    sample: Sample
    split: str
    category: str
    item: str


def recognise(path: Path) -> bool:
    return path.suffix.lower() == ".csv" and path.is_file()


def read(path: Path) -> list[Category]:
    rows = _rows(path)
    return [
        _category(path, name, [row for row in rows if row.category == name])
        for name in sorted({row.category for row in rows})
    ]


def _category(path: Path, name: str, rows: list[Row]) -> Category:
    seen: dict[Path, int] = {}
    items = {row.item: row.line for row in rows if row.item}
    for row in rows:
        first = seen.setdefault(row.sample.image.file.resolve(), row.line)
        if first != row.line:
            raise MissingData(f"line {row.line}: {row.sample.image.name!r} is in line {first} too")
    if len(items) > 1:
        raise MissingData(f"line {max(items.values())}: category {name!r} has two items")
    train = tuple(row.sample.image for row in rows if row.split == "train")
    test = tuple(row.sample for row in rows if row.split == "test")
    return Category(path.stem, name, train, test, path.parent, next(iter(items), ""))


def _rows(path: Path) -> list[Row]:
    with path.open(encoding="utf-8-sig", newline="") as file:  # spreadsheets put a mark in front
        reader = csv.DictReader(file, restkey="", restval="")
        names = reader.fieldnames or ()
        for name in names:
            if name not in NEEDED + OPTIONAL:
                raise unknown(name, NEEDED + OPTIONAL, "column")
        if missing := [name for name in NEEDED if name not in names]:
            raise MissingData(f"line 1: no column {', '.join(missing)}")
        return [_row(path, reader.line_num, row) for row in reader]


def _row(path: Path, line: int, row: dict[str, str]) -> Row:
    where = f"line {line}"
    if "" in row:
        raise MissingData(f"{where}: more values than columns")
    if row["label"] not in LABELS or row["split"] not in SPLITS:
        raise MissingData(
            f"{where}: label {row['label']!r} and split {row['split']!r} are not one of "
            f"{', '.join(LABELS)} and one of {', '.join(SPLITS)}"
        )
    anomalous = LABELS[row["label"]]
    if anomalous and row["split"] == "train":
        raise MissingData(f"{where}: an anomalous image in train; shots are drawn from normal ones")
    image = Stored(listed(path.parent / row["path"], where), group=row.get("group") or None)
    mask = row.get("mask") and Mask(Stored(listed(path.parent / row["mask"], where)))
    sample = Sample(image, anomalous, row.get("kind", ""), mask or None)
    return Row(line, sample, row["split"], row.get("category") or path.stem, row.get("item", ""))


SOURCE = Source(
    "a CSV file with paths and labels",
    TREE,
    "your own",
    "write the file by hand, with a spreadsheet or with a script",
    recognise,
    read,
)
