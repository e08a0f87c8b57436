"""The table of examples: frozen features of every image of the auxiliary sets, computed once.

Sets that have no anomalous images get drawn ones: each normal image with defects of several kinds
(inctrl/data/defects), the same for the same image, seed and version. The table lies in memory, or
in a mapped file where it would be too large for that.
"""

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from inctrl.data.categories import Category, Sample
from inctrl.data.defects import damage_any
from inctrl.data.masks import read_mask, says_nothing
from inctrl.data.stored import Stored
from inctrl.decoding import open_image
from inctrl.errors import MissingData, UnreadableImage, UsageError
from inctrl.images import Image, Window
from inctrl.inspection.inspector import Inspector
from inctrl.maths.geometry import View
from inctrl.maths.neighbours import unit
from inctrl.types import Features

READ = 16
"""Images encoded at a time."""
IN_MEMORY = 4 * 1024**3
"""Bytes of features from which on they are kept in mapped files."""


@dataclass(frozen=True)
class Example:
    """An image to learn from: as stored, or with a drawn defect (`version` counts them).

    window   how it is shown if it has more than 8 bits
    """

    image: Stored
    anomalous: bool
    sample: Sample | None = None
    version: int | None = None
    window: Window | None = None


@dataclass(frozen=True, eq=False)
class Table:
    """n examples as the frozen tower sees them.

    patches      one n h w d a layer, unit length along d
    tokens       n e, not normalised
    shares       n h w of the first layer's grid: the anomalous share of each cell; NaN where an
                 anomalous image has no mask
    """

    patches: tuple[Tensor, ...]
    tokens: Tensor
    shares: Tensor


def list_examples(category: Category, versions: int) -> list[Example]:
    """Normal images of both splits, anomalous ones, and `versions` damaged ones of each normal."""
    normal = [Example(image, False) for image in category.train]
    normal += [Example(s.image, False) for s in category.test if not s.anomalous]
    anomalous = [Example(s.image, True, s) for s in category.test if s.anomalous]
    drawn = [Example(e.image, True, version=v) for e in normal for v in range(versions)]
    return [*normal, *anomalous, *drawn]


def open_example(example: Example, seed: int) -> tuple[Image, NDArray[np.bool_] | None]:
    """The image and its anomalous pixels; None where they are unknown.

    A drawn defect follows from the image's pixels, the seed and the version alone.
    """
    image = example.image.open(example.window)
    if example.version is not None:
        key = hashlib.sha256(f"{image.sha256} {seed} {example.version}".encode()).digest()
        drawn = damage_any(image.rgb, np.random.default_rng(int.from_bytes(key[:8])))
        return open_image(drawn.rgb, f"{image.name} ({drawn.kind})"), drawn.mask
    if not example.anomalous:
        return image, np.zeros(image.size, dtype=bool)
    if example.sample is None or example.sample.mask is None:
        return image, None
    mask = read_mask(example.sample, image.size)
    return image, None if says_nothing(mask, example.sample.mask) else mask


@contextlib.contextmanager
def usable() -> Iterator[None]:
    """MissingData for an image that cannot be used: part of a set is not the set."""
    try:
        yield
    except (UnreadableImage, UsageError) as error:
        raise MissingData(f"the sets cannot be learned from: {error}") from None


def encode_examples(
    inspector: Inspector, examples: Sequence[Example], seed: int
) -> Iterator[tuple[Features, Tensor]]:
    """Features and shares n h w of the examples, READ at a time."""
    for start in range(0, len(examples), READ):
        pictures = []
        for example in examples[start : start + READ]:
            with usable():
                pictures.append(open_example(example, seed))
        features = inspector.encode([image for image, _ in pictures])
        grid = (features.patches[0].shape[1], features.patches[0].shape[2])
        shares = [
            torch.full(grid, torch.nan)
            if mask is None
            else cell_shares(mask, grid, inspector.view(image))
            for image, mask in pictures
        ]
        yield features, torch.stack(shares)


def cell_shares(mask: NDArray[np.bool_], grid: tuple[int, int], view: View) -> Tensor:
    """h w: the share of each cell's pixels that the mask H W marks."""
    shares = torch.zeros(grid)
    if not mask.any():
        return shares
    for row in range(grid[0]):
        for column in range(grid[1]):
            left, top, right, bottom = view.cell_box(row, column, grid)
            shares[row, column] = float(mask[top:bottom, left:right].mean())
    return shares


class TableWriter:
    """Fills a table of `count` rows, in memory or, if it is large, in mapped files of `folder`."""

    def __init__(self, count: int, folder: Path) -> None:
        self._count = count
        self._folder = folder
        self._filled = 0
        self._columns: list[Tensor] = []

    def add(self, features: Features, shares: Tensor) -> None:
        columns = [*map(unit, features.patches), features.image, shares]
        if not self._columns:
            bytes_each = sum(column[0].nbytes for column in columns)
            large = bytes_each * self._count > IN_MEMORY
            self._columns = [self._column(i, c, large) for i, c in enumerate(columns)]
        stop = self._filled + len(shares)
        for column, part in zip(self._columns, columns, strict=True):
            column[self._filled : stop] = part
        self._filled = stop

    @property
    def table(self) -> Table:
        *patches, tokens, shares = self._columns
        return Table(tuple(patches), tokens, shares)

    def _column(self, number: int, like: Tensor, large: bool) -> Tensor:
        shape = (self._count, *like.shape[1:])
        if not large:
            return torch.empty(shape)
        self._folder.mkdir(parents=True, exist_ok=True)
        file = str(self._folder / f"column{number}.bin")
        return torch.from_file(file, shared=True, size=int(np.prod(shape))).reshape(shape)
