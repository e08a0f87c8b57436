"""A labelled set on disk, in the layout of MVTec AD.

NAME/train/good/*                          normal images, from which shots are drawn
NAME/test/good/*                           normal test images
NAME/test/DEFECT/*                         anomalous test images
NAME/ground_truth/DEFECT/STEM_mask.png     where the source has masks; 255 = anomalous
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inctrl.data.folders import images_in
from inctrl.errors import UsageError
from inctrl.images import open_image

LAYOUT = "NAME/train/good, NAME/test/good, NAME/test/DEFECT"


@dataclass(frozen=True)
class Sample:
    """One test image: its label and, for an anomalous one, where its mask lies (if it has one)."""

    path: Path
    anomalous: bool
    mask: Path | None = None


@dataclass(frozen=True)
class LabelledSet:
    """Normal training images and labelled test images, both in path order."""

    name: str
    train: tuple[Path, ...]
    test: tuple[Sample, ...]

    @property
    def has_masks(self) -> bool:
        """Whether every anomalous image has a mask, so that pixels can be evaluated."""
        return all(sample.mask for sample in self.test if sample.anomalous)

    def draw(self, k: int, seed: int) -> list[int]:
        """The k shots of a seed, as indices of `train`; draws of one seed are nested in k."""
        if k > len(self.train):
            raise UsageError(f"set {self.name!r} has {len(self.train)} normals, not {k}")
        order = np.random.default_rng(seed).permutation(len(self.train))
        return [int(i) for i in order[:k]]


def read_sets(root: Path) -> list[LabelledSet]:
    """Every set in a folder, or the folder itself as one; UsageError shows the layout."""
    folders = [root] if (root / "train").is_dir() else sorted(root.glob("*/train"))
    sets = [read_set(f if f == root else f.parent) for f in folders]
    if not sets:
        raise UsageError(f"no labelled sets in {str(root)!r}; expected {LAYOUT}")
    return sets


def read_set(folder: Path) -> LabelledSet:
    """One set; UsageError names the part that is missing."""
    for part in ("train/good", "test/good"):
        if not (folder / part).is_dir():
            raise UsageError(f"{str(folder / part)!r} is missing; expected {LAYOUT}")
    test = [
        Sample(path, defect.name != "good", _mask(folder, defect.name, path))
        for defect in sorted(folder.glob("test/*/"))
        for path in images_in(defect)
    ]
    return LabelledSet(folder.name, tuple(images_in(folder / "train/good")), tuple(test))


def read_mask(sample: Sample, size: tuple[int, int]) -> NDArray[np.bool_]:
    """The anomalous pixels of a sample, H W; a normal image has none."""
    if sample.mask is None:
        return np.zeros(size, dtype=bool)
    mask = open_image(sample.mask).rgb[..., 0] > 127
    if mask.shape != size:
        raise UsageError(f"mask {str(sample.mask)!r} is {mask.shape}, its image {size}")
    return mask


def _mask(folder: Path, defect: str, path: Path) -> Path | None:
    file = folder / "ground_truth" / defect / f"{path.stem}_mask.png"
    return file if file.is_file() else None
