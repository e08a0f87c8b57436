"""MNIST, one digit against the rest or even against odd: four idx files, packed or not."""

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inctrl.data.categories import Category
from inctrl.data.sources.byclass import Classes, Labelled
from inctrl.data.sources.source import Source
from inctrl.data.stored import Record, Stored, contents
from inctrl.errors import MissingData

PLACES = ("", "raw", "MNIST/raw")
LABELS, IMAGES = 0x0801, 0x0803
TREE = """
DIR/train-images-idx3-ubyte   and train-labels-idx1-ubyte: of these, images of the digit are drawn
DIR/t10k-images-idx3-ubyte    and t10k-labels-idx1-ubyte: the test images of all digits
each as it is or ending in .gz; or all in DIR/MNIST/raw, as torchvision leaves them
"""
ONE = "\nTen categories: in each, one digit is normal and all others are anomalous.\n"
MULTI = """
One category: even digits are normal, odd ones anomalous.
It is read when it is named, as mnist-multi:DIR.
"""


def recognise(root: Path) -> bool:
    return _find(root, "train-labels-idx1-ubyte") is not None


def read(root: Path) -> list[Category]:
    classes = _classes(root, "mnist")
    return [classes.category(name, f"digit {name}", {int(name)}) for name in classes.names]


def read_multi(root: Path) -> list[Category]:
    """Multi-class normality: several classes are normal at once."""
    return [_classes(root, "mnist-multi").category("even", "even digit", {0, 2, 4, 6, 8})]


def _classes(root: Path, dataset: str) -> Classes:
    digits = [str(digit) for digit in range(10)]
    return Classes(dataset, digits, _labelled(root, "train"), _labelled(root, "t10k"), root)


def _find(root: Path, name: str) -> Path | None:
    files = (root / place / f"{name}{end}" for place in PLACES for end in ("", ".gz"))
    return next((file for file in files if file.is_file()), None)


def _labelled(root: Path, part: str) -> Labelled:
    file, (rows, columns), pixels = _idx(root, f"{part}-images-idx3-ubyte", IMAGES)
    _, _, labels = _idx(root, f"{part}-labels-idx1-ubyte", LABELS)
    size = rows * columns
    if pixels.size != labels.size * size:
        raise MissingData(f"{file.name} has {pixels.size // size} images, not {labels.size}")
    starts = range(16, 16 + pixels.size, size)
    images = [Stored(file, Record(i, at, (rows, columns))) for i, at in enumerate(starts)]
    return Labelled(images, labels)


def _idx(root: Path, name: str, magic: int) -> tuple[Path, tuple[int, ...], NDArray[np.uint8]]:
    """An idx file: where it is, the shape of an entry, and all values in a row."""
    file = _find(root, name)
    if file is None:
        raise MissingData(f"there is no file {name} or {name}.gz")
    data = contents(file)
    dimensions = magic & 0xFF
    start = 4 + 4 * dimensions
    header = [int.from_bytes(data[i : i + 4]) for i in range(0, start, 4)]
    values = np.frombuffer(data[start:], np.uint8)
    if header[0] != magic or values.size != math.prod(header[1:]):
        raise MissingData(f"{file.name} is no idx file of this kind, or ends too early")
    return file, tuple(header[2:]), values


LICENCE = "CC BY-SA 3.0 (Yann LeCun and Corinna Cortes)"
STEPS = (
    "download the four files of MNIST (yann.lecun.com/exdb/mnist, or let torchvision do it); give "
    "the folder that holds them"
)
SOURCE = Source("MNIST, one digit against the rest", TREE + ONE, LICENCE, STEPS, recognise, read)
SOURCE_MULTI = Source(
    "MNIST, even digits against odd ones (multi-class)",
    TREE + MULTI,
    LICENCE,
    STEPS,
    lambda _: False,  # the same files as mnist: only its name tells which is meant
    read_multi,
)
