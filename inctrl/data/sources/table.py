"""A CSV file that lists the images of a data set, with their labels."""

import re
from dataclasses import dataclass
from pathlib import Path

from inctrl.data.categories import Category, Mask, Sample
from inctrl.data.sources.names import ANOMALOUS, NORMAL, TEST, TRAIN, key
from inctrl.data.sources.source import Source, listed_in
from inctrl.data.stored import Stored
from inctrl.errors import MissingData
from inctrl.files.text import read_rows
from inctrl.registry import unknown

NEEDED = ("path", "label", "split")
OPTIONAL = ("mask", "category", "item", "group", "kind")
ZERO, ONE = frozenset({"0", "0.0", "false"}), frozenset({"1", "1.0", "true"})
SPLITS = {**dict.fromkeys(TRAIN, "train"), **dict.fromkeys(TEST, "test")}
TREE = """
FILE.csv, with these columns in the first line, paths starting at the file's folder:
path       of an image
label      normal or anomalous (or good, bad, OK, NG, 0, 1, false, true); all of train are normal
split      train (shots are drawn from these) or test
mask       path of its mask, bright = anomalous           where there is one
category   name of the category                           default: the name of the file
item       what the category's images show, in words      default: the name of the category
group      what images share: a part, a patient, a slide  where it is known
kind       of the defect                                  where it is known

Commas, semicolons, tabs or bars part the values; letter case and blank rows do not matter. It may
be UTF-8, UTF-16 or, from an old spreadsheet, Windows-1252.
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
    return path.suffix.lower() in (".csv", ".tsv") and path.is_file()


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
    rows = read_rows(path, NEEDED + OPTIONAL)
    line, head = rows[0] if rows else (1, [])
    names = [cell.strip().lower() for cell in head]
    while names and not names[-1]:  # spreadsheets end every line with as many separators
        names.pop()
    numbered = names and re.fullmatch(r"(unnamed: 0)?", names[0])  # pandas writes its index too
    for name in names[1:] if numbered else names:
        if name not in NEEDED + OPTIONAL:
            raise unknown(name, NEEDED + OPTIONAL, "column")
        if names.count(name) > 1:
            raise MissingData(f"line {line}: column {name!r} is there twice")
    if missing := [name for name in NEEDED if name not in names]:
        raise MissingData(f"line {line}: no column {', '.join(missing)}")
    return [_row(path, number, names, cells) for number, cells in rows[1:]]


def _row(path: Path, line: int, names: list[str], cells: list[str]) -> Row:
    where = f"line {line}"
    if any(cell.strip() for cell in cells[len(names) :]):
        raise MissingData(f"{where}: more values than columns")
    row = dict.fromkeys(NEEDED + OPTIONAL, "") | dict(zip(names, cells, strict=False))
    folders = (path.parent, path.resolve().parent)
    values = {name: value.strip() for name, value in row.items()}
    label, split = _anomalous(values["label"]), SPLITS.get(key(values["split"]))
    if label is None or split is None:
        raise MissingData(
            f"{where}: label {values['label']!r} and split {values['split']!r} are not one of "
            "normal, anomalous, good, bad, OK, NG, 0, 1, false, true and one of train, test"
        )
    if label and split == "train":
        raise MissingData(f"{where}: an anomalous image in train; shots are drawn from normal ones")
    image = Stored(listed_in(folders, row["path"], where), group=values["group"] or None)
    mask = Mask(Stored(listed_in(folders, row["mask"], where))) if values["mask"] else None
    sample = Sample(image, label, values["kind"], mask)
    return Row(line, sample, split, values["category"] or path.stem, values["item"])


def _anomalous(label: str) -> bool | None:
    """What a label says, in any letter case; None where it is none."""
    if label.lower() in ZERO or key(label) in NORMAL:
        return False
    return True if label.lower() in ONE or key(label) in ANOMALOUS else None


SOURCE = Source(
    "a CSV file with paths and labels",
    TREE,
    "your own",
    "write the file by hand, with a spreadsheet or with a script",
    recognise,
    read,
)
