"""KolektorSDD (Tabernik et al. 2019), each image cut in three along its height as InCTRL does."""

from collections.abc import Iterator
from pathlib import Path

from inctrl.data.categories import Category, Mask, Sample
from inctrl.data.folders import images_in
from inctrl.data.sources.source import Source, listed, with_test_quarter
from inctrl.data.stored import Stored
from inctrl.types import Box

PIECES = 3
TREE = """
DIR/kos01/Part0.jpg         an image of the part kos01; a group, as the same part is seen in others
DIR/kos01/Part0_label.bmp   its mask; above 0 = anomalous
DIR/kos02/ ...

Each image is cut in three along its height; a piece with a marked pixel is anomalous.
A quarter of the normal pieces becomes the test.
"""


def recognise(root: Path) -> bool:
    return any(root.glob("kos*/Part*_label.bmp"))


def read(root: Path) -> list[Category]:
    pieces = [piece for folder in sorted(root.glob("kos*/")) for piece in _pieces(folder)]
    normal = tuple(piece.image for piece in pieces if not piece.anomalous)
    test = tuple(piece for piece in pieces if piece.anomalous)
    return [with_test_quarter(Category("sdd", "sdd", normal, test, root, "electrical commutator"))]


def _pieces(folder: Path) -> Iterator[Sample]:
    for image in (path for path in images_in(folder) if path.suffix.lower() == ".jpg"):
        label = listed(folder / f"{image.stem}_label.bmp", image.name)
        marked = Stored(label).decode().pixels
        height, width = marked.shape[:2]
        for i in range(PIECES):
            box = Box(0, height * i // PIECES, width, height * (i + 1) // PIECES)
            piece = Stored(image, box, group=folder.name)
            if marked[box.top : box.bottom].any():
                yield Sample(piece, True, "defect", Mask(Stored(label, box), above=0))
            else:
                yield Sample(piece, anomalous=False)


SOURCE = Source(
    "KolektorSDD, surfaces of electrical commutators",
    TREE,
    "CC BY-NC-SA 4.0, not for commercial use",
    "download KolektorSDD.zip from vicos.si (Resources, KolektorSDD; the one with fine "
    "annotations) and unpack it; give the folder that holds kos01, kos02, ...",
    recognise,
    read,
)
