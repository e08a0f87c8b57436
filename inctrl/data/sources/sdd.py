"""KolektorSDD (Tabernik et al. 2019), each image cut in three along its height as InCTRL does."""

from collections.abc import Iterator
from pathlib import Path

from inctrl.data.categories import Category, Mask, Sample
from inctrl.data.folders import subfolders
from inctrl.data.sources.names import images_of
from inctrl.data.sources.source import Source, listed, with_test_quarter
from inctrl.data.sources.unused import unused
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
    parts = (folder for folder in subfolders(root) if folder.name.startswith("kos"))
    pieces = [piece for folder in parts for piece in _pieces(folder)]
    normal = tuple(piece.image for piece in pieces if not piece.anomalous)
    test = tuple(piece for piece in pieces if piece.anomalous)
    return [with_test_quarter(Category("sdd", "sdd", normal, test, root, "electrical commutator"))]


def left_out(root: Path, found: list[Category]) -> list[str]:
    """What is not used; the mask of an image without defects is."""
    pieces = [piece for category in found for piece in category.train]
    pieces += [sample.image for category in found for sample in category.test]
    return unused(root, found, also=(_label(piece.file) for piece in pieces))


def _label(image: Path) -> Path:
    return image.with_name(f"{image.stem}_label.bmp")


def _pieces(folder: Path) -> Iterator[Sample]:
    for image in (path for path in images_of(folder) if path.suffix.lower() == ".jpg"):
        label = listed(_label(image), image.name)
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
    left_out,
)
