"""The layout of MVTec AD, in which many other sets are given too."""

from pathlib import Path

from inctrl.data.categories import Category, Sample
from inctrl.data.folders import subfolders
from inctrl.data.sources.maskfiles import apart, fitting
from inctrl.data.sources.names import LABELS, MASKS, NORMAL, TEST, TRAIN, images_of, key, named
from inctrl.data.sources.source import Source
from inctrl.data.sources.unused import below_only, lacking, unused
from inctrl.data.stored import Stored

TREE = """
DIR/CATEGORY/train/good/*                        normal images, from which shots are drawn
DIR/CATEGORY/test/good/*                         normal test images
DIR/CATEGORY/test/DEFECT/*                       anomalous test images
DIR/CATEGORY/ground_truth/DEFECT/STEM_mask.png   where there are masks; or STEM.png, or STEM/*.png
DIR may be a category itself

good may be called normal, OK or pass, and ground_truth masks or gt, in any letter case.
"""


def recognise(root: Path) -> bool:
    """A folder of categories, or a category itself."""
    return bool(categories(root))


def categories(root: Path) -> list[Path]:
    """The folders of the categories: `root` alone where it is one."""
    return [root] if _normal(root) else [folder for folder in subfolders(root) if _normal(folder)]


def read(root: Path) -> list[Category]:
    return [_category(folder, root) for folder in categories(root)]


def left_out(root: Path, found: list[Category]) -> list[str]:
    """What is not used, and what is read from several folders at once."""
    folders = categories(root)
    both = [
        f"{folder.name}: {' and '.join(str(p.relative_to(folder)) for p in normal)} are both read "
        "as normal images to draw shots from"
        for folder in folders
        if len(normal := _normal(folder)) > 1
    ]
    deeper = below_only({folder.absolute().name: _normal(folder) for folder in folders}, found)
    return [*deeper, *both, *unused(root, found, lacking("train/good", folders))]


def _normal(folder: Path) -> list[Path]:
    return [good for train in named(folder, TRAIN) for good in named(train, NORMAL)]


def _category(folder: Path, root: Path) -> Category:
    train = (image for good in _normal(folder) for image in apart(images_of(good))[0])
    inside = [kind for test in named(folder, TEST) for kind in subfolders(test)]
    truths = [*named(folder, LABELS), *(kind for kind in inside if key(kind.name) in MASKS)]
    kinds = [kind for kind in inside if kind not in truths]
    listed = [(kind, *apart(images_of(kind))) for kind in kinds]
    anomalous = [
        (image, [(kind.name,), (kind.parent.name, kind.name)])
        for kind, images, _ in listed
        for image in images
        if key(kind.name) not in NORMAL
    ]
    masks = fitting(truths, anomalous)
    test = []
    for kind, images, beside in listed:
        normal = key(kind.name) in NORMAL
        for image in images:
            mask = None if normal else masks.get(image) or beside.get(image)
            test.append(Sample(Stored(image), not normal, kind.name, mask))
    name = folder.absolute().name
    return Category(
        root.absolute().name,
        name,
        tuple(map(Stored, train)),
        tuple(test),
        root,
        name.replace("_", " "),
    )


SOURCE = Source(
    "MVTec AD, or any set in its layout",
    TREE,
    "MVTec AD: CC BY-NC-SA 4.0, not for commercial use",
    "download mvtec_anomaly_detection.tar.xz from mvtec.com (Research, Datasets, MVTec AD) "
    "and unpack it; give the folder that holds bottle, cable, ...",
    recognise,
    read,
    left_out,
    categories,
)
