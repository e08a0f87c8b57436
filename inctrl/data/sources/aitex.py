"""AITEX (Silvestre-Blanes et al. 2019): strips of fabric, cut into tiles as InCTRL does."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from inctrl.data.categories import Category, Mask, Sample
from inctrl.data.sources.names import images_of
from inctrl.data.sources.source import Source, locate, spot, with_test_quarter
from inctrl.data.sources.unused import unused
from inctrl.data.stored import Stored
from inctrl.types import Box

WIDTH = 256
PARTS = ("NODefect_images", "Defect_images", "Mask_images")
DEFECTS = {
    "002": "broken end",
    "006": "broken yarn",
    "010": "broken pick",
    "016": "weft curling",
    "019": "fuzzyball",
    "022": "cut selvage",
    "023": "crease",
    "025": "warp ball",
    "027": "knots",
    "029": "contamination",
    "030": "nep",
    "036": "weft crack",
}
TREE = """
DIR/NODefect_images/FABRIC/*.png         strips without defect
DIR/Defect_images/NUMBER_DEFECT_FABRIC.png
DIR/Mask_images/NAME_mask.png            its mask (or NAME_mask1, NAME_mask2); above 0 = marked
or Defect_images/Defect_images/ and Mask_images/Mask_images/, as archives of others have them

Strips are cut into tiles 256 pixels wide, which share a group. A tile of a defective strip is
anomalous where it is marked, and left out where not.
A quarter of the normal tiles becomes the test.
"""


def recognise(root: Path) -> bool:
    return spot(root, ("",), *PARTS) is not None


def read(root: Path) -> list[Category]:
    normal, defective, masks = (_inner(locate(root, ("",), *PARTS) / part) for part in PARTS)
    train = tuple(tile for strip in images_of(normal, recursive=True) for tile in _tiles(strip))
    marked = images_of(masks)
    test = tuple(tile for strip in images_of(defective) for tile in _anomalous(strip, marked))
    return [with_test_quarter(Category("aitex", "aitex", train, test, root, "fabric"))]


def _inner(folder: Path) -> Path:
    return spot(folder, (folder.name, "")) or folder


def _tiles(strip: Path) -> Iterator[Stored]:
    height, width = Stored(strip).decode().pixels.shape[:2]
    for left in range(0, width, WIDTH):
        box = Box(left, 0, min(left + WIDTH, width), height)
        yield Stored(strip, box, group=f"{strip.parent.name}/{strip.stem}")


def _anomalous(strip: Path, masks: list[Path]) -> Iterator[Sample]:
    files = [path for path in masks if path.stem.startswith(f"{strip.stem}_mask")]
    kind = DEFECTS.get("".join(strip.stem.split("_")[1:2]), "defect")
    for tile in _tiles(strip):
        marks = [Stored(file, tile.part) for file in files]
        marked = [mark for mark in marks if np.any(mark.decode().pixels)]
        if marked:
            yield Sample(tile, True, kind, Mask(marked[0], above=0, others=tuple(marked[1:])))


SOURCE = Source(
    "AITEX fabric image database",
    TREE,
    "not known here; ask AITEX",
    "download Defect_images.7z, NODefect_images.7z and Mask_images.7z from aitex.es/afid and "
    "unpack all three into one folder; give that folder",
    recognise,
    read,
    unused,
)
