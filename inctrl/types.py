"""The values that travel the one path, from features to results. All are frozen."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import PurePath
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from inctrl.images import Image
from inctrl.views import Orientation, Tiles

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
    """

    patches: tuple[Tensor, ...]
    image: Tensor
    windows: tuple[Tensor, ...] = ()
    versions: tuple[Tensor, ...] = ()

    def __len__(self) -> int:
        return self.image.shape[0]

    def __getitem__(self, rows: slice | list[int]) -> "Features":
        return Features(
            tuple(p[rows] for p in self.patches),
            self.image[rows],
            tuple(w[rows] for w in self.windows),
            tuple(v[rows] for v in self.versions),
        )

    def cpu(self) -> "Features":
        """The same on the CPU."""
        return Features(
            tuple(p.cpu() for p in self.patches),
            self.image.cpu(),
            tuple(w.cpu() for w in self.windows),
            tuple(v.cpu() for v in self.versions),
        )


def concatenate(parts: Sequence[Features]) -> Features:
    """Features of several calls, one after the other."""
    return Features(
        tuple(map(torch.cat, zip(*(part.patches for part in parts), strict=True))),
        torch.cat([part.image for part in parts]),
        tuple(map(torch.cat, zip(*(part.windows for part in parts), strict=True))),
        tuple(map(torch.cat, zip(*(part.versions for part in parts), strict=True))),
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


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Everything of an inspector that a context depends on.

    Two are equal where their contexts are: names and sizes only explain the fingerprint, and the
    folder of the adapter its hash.

    text_prior    the sentence bank, or why there is none
    text_sha256   of its sentences, or of the learned prompts; None: no text, or not known
    """

    backbone: str = field(compare=False)
    fingerprint: str
    image_size: int = field(compare=False)
    layers: tuple[str, ...] = field(compare=False)
    detector: str
    options: Options
    adapter: str | None = field(compare=False)
    adapter_sha256: str | None
    fit: Fit
    text_prior: str
    text_sha256: str | None = None

    @property
    def compared(self) -> dict[str, Any]:
        """The fields that make two of them differ, as JSON gives them back."""
        values = {one.name: getattr(self, one.name) for one in fields(self) if one.compare}
        plain: dict[str, Any] = json.loads(json.dumps(values))
        return plain

    def key(self, *others: object) -> str:
        """A hash of it, and of whatever else something depends on."""
        text = json.dumps([*others, self.compared], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def unlike_backbones(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """In what two backbones differ: names, else size and layers, else the weights.

    then, now   `backbone`, `image_size`, `layers` and `fingerprint` of each
    """
    if then["fingerprint"] == now["fingerprint"]:
        return []
    if then["backbone"] != now["backbone"]:
        return [f"backbone {then['backbone']!r}, not {now['backbone']!r}"]
    layers = [",".join(one["layers"]) for one in (then, now)]
    found = []
    if then["image_size"] != now["image_size"]:
        found.append(f"image size {then['image_size']}, not {now['image_size']}")
    if layers[0] != layers[1]:
        found.append(f"layers {layers[0]}, not {layers[1]}")
    return found or [f"other weights under the same name {now['backbone']!r}"]


def unlike(then: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """In what two identities differ: "by incontext, not patchcore", "with image size 288, not 224".

    What follows from a difference that is named (each detector has options of its own) is not
    named too. Empty where they are equal.
    """
    by = then["detector"] != now["detector"]
    adapters = _unlike_adapters(then, now)
    backbones = unlike_backbones(then, now)
    same_names = all(then[one] == now[one] for one in ("backbone", "image_size"))
    if (by or adapters) and same_names:
        backbones = []  # each taps and alters the tower in its own way
    found = [*adapters, *backbones]
    if not by:
        options = {**dict.fromkeys(then["options"]), **dict.fromkeys(now["options"])}
        pairs = ((name, then["options"].get(name), now["options"].get(name)) for name in options)
        found += [f"{name} {a!r}, not {b!r}" for name, a, b in pairs if a != b]
    if then["fit"] != now["fit"]:
        found.append(f"fit {then['fit']!r}, not {now['fit']!r}")
    if not (by or found) and then["text_prior"] != now["text_prior"]:
        sentences = all(one["text_prior"].startswith("bank ") for one in (then, now))
        words = "sentences of {}, not of {}" if sentences else "text prior {}, not {}"
        found.append(words.format(then["text_prior"], now["text_prior"]))
    if not (by or found) and then.get("text_sha256") != now.get("text_sha256"):
        found.append(f"other sentences than {then['text_prior']} has now")
    made = [f"by {then['detector']}, not {now['detector']}"] if by else []
    return " ".join([*made, *(["with " + " and ".join(found)] if found else [])])


def _unlike_adapters(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    if then["adapter_sha256"] == now["adapter_sha256"]:
        return []
    before, after = (one["adapter"] and PurePath(one["adapter"]).name for one in (then, now))
    if before == after:
        return [f"other weights of adapter {before!r}"]
    had = f"adapter {before!r}" if before else "no adapter"
    return [f"{had}, not {after!r}" if after else f"{had}, not without one"]


@dataclass(frozen=True, kw_only=True)
class Card(Identity):
    """The identity of all that made a result.

    text_weight   what the shots leave of the prior (protocols.WeighsText); None: not weighed
    normal_set    NAME@VERSION of the shots in a store; None: they came by themselves
    orientation   whether shots are compared with as they lie, or turned too
    tiles         in how many an image is seen along its longer side, or `auto`
    """

    inctrl: str
    item: str
    shots: tuple[str, ...]
    shot_names: tuple[str, ...]
    window: tuple[float, float] | None
    text_weight: float | None = None
    normal_set: str | None = None
    orientation: Orientation = "fixed"
    tiles: Tiles = 1


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
