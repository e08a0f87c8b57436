"""A category of a data set: normal images to draw shots from, and labelled test images."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from inctrl.data.stored import Stored
from inctrl.errors import UsageError


@dataclass(frozen=True)
class Mask:
    """Where the anomalous pixels of an image are (read by inctrl/data/masks.py).

    above    they are brighter than this, by the set's own rule: VisA marks with the number of the
             defect; None: they are told from how the mask is drawn
    others   further masks of the same image, as AITEX has for each of two defects
    """

    image: Stored
    above: int | None = None
    others: tuple[Stored, ...] = ()


@dataclass(frozen=True)
class Sample:
    """A test image: its label, the kind of its defect, and its mask where the source has one."""

    image: Stored
    anomalous: bool
    kind: str = ""
    mask: Mask | None = None


@dataclass(frozen=True)
class Category:
    """Normal training images and labelled test images, each in an order that files alone decide.

    dataset   the data set that it is of
    item      what the images show, in words for sentences about it; default: the name
    root      the folder that names of images are told from
    """

    dataset: str
    name: str
    train: tuple[Stored, ...]
    test: tuple[Sample, ...]
    root: Path
    item: str = ""

    @property
    def words(self) -> str:
        return self.item or self.name

    @property
    def has_masks(self) -> bool:
        """Whether every anomalous image has a mask, so that pixels can be evaluated."""
        anomalous = [sample for sample in self.test if sample.anomalous]
        return bool(anomalous) and all(sample.mask for sample in anomalous)

    def short(self, image: Stored) -> str:
        """The name of an image, told from `root` where it lies there, with forward slashes."""
        file, part = image.file, image.name.removeprefix(str(image.file))
        inside = file.relative_to(self.root) if file.is_relative_to(self.root) else file
        return f"{inside.as_posix()}{part}"

    def draw(self, k: int, seed: int) -> list[int]:
        """The k shots of a seed, as indices of `train`; draws of one seed are nested in k."""
        if k > len(self.train):
            raise UsageError(
                f"category {self.name!r} has {len(self.train)} normal training images, not {k}; "
                "ask for fewer shots"
            )
        order = np.random.default_rng(seed).permutation(len(self.train))
        return [int(i) for i in order[:k]]
