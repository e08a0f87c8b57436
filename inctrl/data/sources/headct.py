"""HeadCT: the Kaggle set `felipekitamura/head-ct-hemorrhage`."""

from pathlib import Path

from inctrl.data.categories import Category, Sample
from inctrl.data.sources.source import Source, listed, locate, spot, with_test_quarter
from inctrl.data.sources.unused import unused
from inctrl.data.stored import Stored
from inctrl.errors import MissingData
from inctrl.files.text import read_rows

TREE = """
DIR/labels.csv            lines `0, 1`: number of the image, and whether it shows a hemorrhage
DIR/head_ct/000.png ...   the images, or one folder deeper in head_ct/head_ct

A quarter of the normal images becomes the test.
"""


def recognise(root: Path) -> bool:
    return spot(root, ("",), "labels.csv", "head_ct") is not None


def read(root: Path) -> list[Category]:
    locate(root, ("",), "labels.csv", "head_ct")
    images = spot(root, ("head_ct/head_ct",)) or root / "head_ct"
    rows = read_rows(root / "labels.csv")[1:]
    slices = sorted(_slice(images, line, row) for line, row in rows)
    normal = tuple(Stored(path) for path, bleeds in slices if not bleeds)
    test = tuple(Sample(Stored(path), True, "hemorrhage") for path, bleeds in slices if bleeds)
    return [with_test_quarter(Category("headct", "headct", normal, test, root, "head CT"))]


def _slice(images: Path, line: int, row: list[str]) -> tuple[Path, bool]:
    number, bleeds, *more = (cell.strip() for cell in [*row, ""][: max(2, len(row))])
    where = f"labels.csv, line {line}"
    if not number.isdecimal() or bleeds not in ("0", "1") or any(more):
        raise MissingData(f"{where}: {row} is not a number and 0 or 1")
    return listed(images / f"{int(number):03d}.png", where), bleeds == "1"


SOURCE = Source(
    "HeadCT, slices with and without hemorrhage",
    TREE,
    "see its page on Kaggle",
    "download felipekitamura/head-ct-hemorrhage from kaggle.com and unpack it; give the folder "
    "that holds labels.csv",
    recognise,
    read,
    unused,
)
