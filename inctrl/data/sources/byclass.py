"""Data sets of classes as data sets of anomalies: some classes are normal, all others anomalous."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inctrl.data.categories import Category, Sample
from inctrl.data.stored import Stored


@dataclass(frozen=True, eq=False)
class Labelled:
    """Images, and the number of the class of each."""

    images: Sequence[Stored]
    labels: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Classes:
    """A data set of classes: their names by number, and its own split."""

    dataset: str
    names: Sequence[str]
    train: Labelled
    test: Labelled
    root: Path

    def category(self, name: str, item: str, normal: set[int]) -> Category:
        """The category in which the classes `normal` are normal; kinds are names of classes."""
        drawn = np.flatnonzero(np.isin(self.train.labels, list(normal))).tolist()
        train = tuple(self.train.images[i] for i in drawn)
        test = tuple(
            Sample(image, label not in normal, "" if label in normal else self.names[label])
            for image, label in zip(self.test.images, self.test.labels.tolist(), strict=True)
        )
        return Category(self.dataset, name, train, test, self.root, item)
