"""The layout of MVTec AD, in which many other sets are given too."""

from pathlib import Path

from inctrl.data.categories import Category, Mask, Sample
from inctrl.data.folders import images_in
from inctrl.data.sources.source import Source
from inctrl.data.stored import Stored

TREE = """
DIR/CATEGORY/train/good/*                        normal images, from which shots are drawn
DIR/CATEGORY/test/good/*                         normal test images
DIR/CATEGORY/test/DEFECT/*                       anomalous test images
DIR/CATEGORY/ground_truth/DEFECT/STEM_mask.png   where there are masks; bright = anomalous
"""


def recognise(root: Path) -> bool:
    """A folder of categories, or a category itself."""
    return (root / "train/good").is_dir() or any(root.glob("*/train/good/"))


def read(root: Path) -> list[Category]:
    folders = [root] if (root / "train/good").is_dir() else sorted(root.glob("*/train/good/"))
    categories = [f if f == root else f.parent.parent for f in folders]
    return [_category(folder, root) for folder in categories]


def _category(folder: Path, root: Path) -> Category:
    test = tuple(
        Sample(Stored(path), defect.name != "good", defect.name, _mask(folder, defect.name, path))
        for defect in sorted(folder.glob("test/*/"))
        for path in images_in(defect)
    )
    train = tuple(Stored(path) for path in images_in(folder / "train/good"))
    name = folder.absolute().name
    return Category(root.absolute().name, name, train, test, root, name.replace("_", " "))


def _mask(folder: Path, defect: str, path: Path) -> Mask | None:
    # The official set calls them STEM_mask.png; some sets in its layout use the image's own name.
    names = (f"{path.stem}_mask.png", f"{path.stem}.png", path.name)
    found = (folder / "ground_truth" / defect / name for name in names)
    file = next((f for f in found if defect != "good" and f.is_file()), None)
    return None if file is None else Mask(Stored(file))


SOURCE = Source(
    "MVTec AD, or any set in its layout",
    TREE,
    "MVTec AD: CC BY-NC-SA 4.0, not for commercial use",
    "download mvtec_anomaly_detection.tar.xz from mvtec.com (Research, Datasets, MVTec AD) "
    "and unpack it; give the folder that holds bottle, cable, ...",
    recognise,
    read,
)
