"""The values that travel the one path, from features to results. All are frozen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from inctrl.images import Image

Fit = Literal["squash", "crop", "pad"]
Verdict = Literal["normal", "anomalous", "undecided"]
Options: TypeAlias = Mapping[str, float | int | str | bool]


@dataclass(frozen=True, eq=False)
class Features:
    """What a backbone says of b images.

    patches   one tensor b h w d for each layer, finest grid first, not normalised
    image     b e, the image token (class token or pooled vector), not normalised
    windows   one tensor b y x e for each window size, not normalised: what the image token would
              be if only the window were seen; only from backbones that were asked for them
    versions  one tensor b v h w d for each layer: the patches of v altered versions of each image;
              only in shots of a detector that asks for them
    unit      whether patches have unit length already
    closer    how many times nearer than as a whole the images are seen: the square root of the
              tiles that each of them is one of
    """

    patches: tuple[Tensor, ...]
    image: Tensor
    windows: tuple[Tensor, ...] = ()
    versions: tuple[Tensor, ...] = ()
    unit: bool = False
    closer: float = 1.0

    def __len__(self) -> int:
        return self.image.shape[0]

    def __getitem__(self, rows: slice | list[int]) -> "Features":
        return Features(
            tuple(p[rows] for p in self.patches),
            self.image[rows],
            tuple(w[rows] for w in self.windows),
            tuple(v[rows] for v in self.versions),
            self.unit,
            self.closer,
        )

    def cpu(self) -> "Features":
        """The same on the CPU."""
        return Features(
            tuple(p.cpu() for p in self.patches),
            self.image.cpu(),
            tuple(w.cpu() for w in self.windows),
            tuple(v.cpu() for v in self.versions),
            self.unit,
            self.closer,
        )


def concatenate(parts: Sequence[Features]) -> Features:
    """Features of several calls, one after the other."""
    return Features(
        tuple(map(torch.cat, zip(*(part.patches for part in parts), strict=True))),
        torch.cat([part.image for part in parts]),
        tuple(map(torch.cat, zip(*(part.windows for part in parts), strict=True))),
        tuple(map(torch.cat, zip(*(part.versions for part in parts), strict=True))),
        parts[0].unit,
    )


@dataclass(frozen=True, eq=False)
class Item:
    """What is being inspected: its name in words and, where text is used, its two prototypes.

    prototypes       2 e, unit length, normal first; None where the backbone has no text
    raw_prototypes   2 e, the means of the sentences as the tower gives them, of any length
    """

    name: str
    prototypes: Tensor | None = None
    raw_prototypes: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Prediction:
    """score b, higher is more anomalous; anomaly_map b h w on the detector's own grid."""

    score: Tensor
    anomaly_map: Tensor


@dataclass(frozen=True)
class Match:
    """The nearest normal patch of one query patch: its shot, and its cell there.

    query   row and column of the query's patch; both cells are those of `grid` (rows, columns)
    """

    shot: int
    row: int
    column: int
    query: tuple[int, int]
    grid: tuple[int, int]


@dataclass(frozen=True)
class Box:
    """Pixels of the original image, right and bottom excluded."""

    left: int
    top: int
    right: int
    bottom: int


@dataclass(frozen=True)
class Region:
    """A connected part of the map above the pixel limit; area as a share of the image."""

    box: Box
    peak: float
    area: float


@dataclass(frozen=True)
class Evidence:
    """Why the worst place is called so: the nearest normal patch among the shots.

    distance         value of the map at the worst place
    normal_distance  the same for the worst places of normal images (their median)
    """

    query_box: Box
    shot: int
    shot_name: str
    shot_box: Box
    distance: float
    normal_distance: float


@dataclass(frozen=True, eq=False)
class Result:
    """The answer for one query.

    score        how anomalous, higher is more
    threshold    the calibrated limit; a score above it is not called normal; infinite where
                 there is none (no shot, or a single one)
    p_value      share of normal images expected to score as high, never below `p_floor`
    anomaly_map  float32 H W in the original image's pixels
    pixel_limit  the map value from which a place counts as anomalous; fixed at calibration
    compared     those notes that say how it differs from the shots, or that it is one of them
    timing       seconds by stage
    """

    image: Image
    score: float
    threshold: float
    p_value: float
    p_floor: float
    verdict: Verdict
    anomaly_map: NDArray[np.float32]
    pixel_limit: float
    regions: tuple[Region, ...]
    evidence: Evidence | None
    notes: tuple[str, ...]
    compared: tuple[str, ...] = ()
    timing: Mapping[str, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.image.name


@dataclass(frozen=True)
class Failure:
    """An image that could not be read or scored, and why in one line."""

    name: str
    error: str
