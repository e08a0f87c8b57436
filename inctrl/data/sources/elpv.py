"""ELPV (Buerhop-Lutz et al. 2018): solar cells, with the probability that each is defective."""

from pathlib import Path

from inctrl.data.categories import Category, Sample
from inctrl.data.sources.source import Source, listed, locate, spot, with_test_quarter
from inctrl.data.sources.unused import unused
from inctrl.data.stored import Stored
from inctrl.errors import MissingData
from inctrl.files.text import read_text

PLACES = ("", "src/elpv_dataset/data")
TREE = """
DIR/images/cell0001.png ...   the images
DIR/labels.csv                lines `images/cell0001.png  1.0  mono`: path, probability, kind
or the same two in DIR/src/elpv_dataset/data

Probability 0 is normal and 1 anomalous; cells in between are left out.
A quarter of the normal images becomes the test.
"""


def recognise(root: Path) -> bool:
    return spot(root, PLACES, "labels.csv", "images") is not None


def read(root: Path) -> list[Category]:
    folder = locate(root, PLACES, "labels.csv", "images")
    lines = read_text(folder / "labels.csv").splitlines()
    cells = sorted(_cell(folder, i, line) for i, line in enumerate(lines, 1) if line.strip())
    normal = tuple(Stored(path) for path, probability, _ in cells if probability == 0)
    test = tuple(Sample(Stored(path), True, kind) for path, share, kind in cells if share == 1)
    return [with_test_quarter(Category("elpv", "elpv", normal, test, folder, "solar cell"))]


def _cell(folder: Path, number: int, line: str) -> tuple[Path, float, str]:
    """Path, probability that it is defective, and kind of cell."""
    words = line.split()
    if len(words) != 3:
        raise MissingData(f"labels.csv, line {number}: {line!r} is not a path, a number and a kind")
    return listed(folder / words[0], f"labels.csv, line {number}"), float(words[1]), words[2]


SOURCE = Source(
    "ELPV, electroluminescence images of solar cells",
    TREE,
    "CC BY-NC-SA 4.0; the authors ask to be contacted for commercial use",
    "clone or download github.com/zae-bayern/elpv-dataset; give its folder",
    recognise,
    read,
    unused,
)
