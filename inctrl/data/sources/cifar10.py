"""CIFAR-10 in its binary version: one class against the rest, or animals against vehicles."""

from pathlib import Path

import numpy as np

from inctrl.data.categories import Category
from inctrl.data.sources.byclass import Classes, Labelled
from inctrl.data.sources.source import Source, locate, spot
from inctrl.data.stored import Record, Stored, contents
from inctrl.errors import MissingData

PLACES = ("", "cifar-10-batches-bin")
PICKLED = ("", "cifar-10-batches-py")
SHAPE = (32, 32, 3)
LENGTH = 1 + 32 * 32 * 3
BATCHES = tuple(f"data_batch_{i}.bin" for i in range(1, 6))
TREE = """
DIR/data_batch_1.bin ... data_batch_5.bin   of these, normal images are drawn
DIR/test_batch.bin                          the test images of all classes
DIR/batches.meta.txt                        the names of the classes, a line each
or all in DIR/cifar-10-batches-bin
"""
ONE = "\nTen categories: in each, one class is normal and all others are anomalous.\n"
MULTI = """
One category: the six classes of animals are normal, the four of vehicles anomalous.
It is read when it is named, as cifar10-multi:DIR.
"""
ANIMALS = frozenset({"bird", "cat", "deer", "dog", "frog", "horse"})
"""Multi-class normality in InCTRL's sense: among the words of its prompts is "animal"."""


def recognise(root: Path) -> bool:
    """The pickled version too, so that the error can say what to take instead."""
    binary = spot(root, PLACES, *BATCHES[:1], "batches.meta.txt")
    return (binary or spot(root, PICKLED, "data_batch_1", "batches.meta")) is not None


def read(root: Path) -> list[Category]:
    classes = _classes(root, "cifar10")
    return [classes.category(name, name, {i}) for i, name in enumerate(classes.names)]


def read_multi(root: Path) -> list[Category]:
    classes = _classes(root, "cifar10-multi")
    normal = {i for i, name in enumerate(classes.names) if name in ANIMALS}
    return [classes.category("animal", "animal", normal)]


def _classes(root: Path, dataset: str) -> Classes:
    if spot(root, PLACES, *BATCHES) is None and spot(root, PICKLED, "data_batch_1"):
        raise MissingData(
            "these are pickled batches, which are never read; take the binary version"
        )
    folder = locate(root, PLACES, *BATCHES, "test_batch.bin", "batches.meta.txt")
    names = (folder / "batches.meta.txt").read_text("ascii").split()
    parts = [_labelled(folder / name) for name in BATCHES]
    images = [image for part in parts for image in part.images]
    train = Labelled(images, np.concatenate([part.labels for part in parts]))
    return Classes(dataset, names, train, _labelled(folder / "test_batch.bin"), folder)


def _labelled(file: Path) -> Labelled:
    data = np.frombuffer(contents(file), np.uint8)
    if data.size % LENGTH:
        raise MissingData(f"{file.name} has {data.size} bytes, no multiple of {LENGTH}")
    starts = range(1, data.size, LENGTH)
    images = [Stored(file, Record(i, at, SHAPE, planar=True)) for i, at in enumerate(starts)]
    return Labelled(images, data[::LENGTH])


LICENCE = "none stated; the authors ask to cite Krizhevsky 2009"
STEPS = (
    "download the binary version, cifar-10-binary.tar.gz, from cs.toronto.edu/~kriz/cifar.html and "
    "unpack it; the Python version holds pickles, which are never read"
)
SOURCE = Source("CIFAR-10, one class against the rest", TREE + ONE, LICENCE, STEPS, recognise, read)
SOURCE_MULTI = Source(
    "CIFAR-10, animals against vehicles (multi-class)",
    TREE + MULTI,
    LICENCE,
    STEPS,
    lambda _: False,  # the same files as cifar10: only its name tells which is meant
    read_multi,
)
