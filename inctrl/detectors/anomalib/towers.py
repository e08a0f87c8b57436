"""Whose weights the library's towers hold; it offers no argument for a local file."""

import hashlib
import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from inctrl.detectors.anomalib.models import Model
from inctrl.detectors.anomalib.options import AnomalibOptions
from inctrl.errors import InvalidFile, MissingModel, UsageError
from inctrl.files.tensors import load_exactly, read_state

MAKERS = (
    "timm:create_model",
    "torchvision.models:wide_resnet50_2",
    "anomalib.models.image.csflow.torch_model:efficientnet_b5",
)
"""What the library makes towers with."""
SHA256 = "sha256:"


@dataclass(frozen=True, eq=False)
class TowerWeights:
    """The weights of a tower.

    source     "hub" (the library may fetch them), "random", or the file
    identity   what a run records: a file is known by what it holds, not by where it lies
    state      what the file holds
    """

    source: str
    identity: str
    state: Mapping[str, Tensor] | None = None

    @property
    def absent(self) -> bool:
        """Whether they are known by identity alone, which is enough for a saved context."""
        return self.source.startswith(SHA256)


HUB, RANDOM = TowerWeights("hub", "hub"), TowerWeights("random", "random")


def tower_weights(name: str, model: Model, options: AnomalibOptions) -> TowerWeights:
    """The weights that the options name; MissingModel where a tower wants some and none are."""
    given = options.weights
    if not model.tower and given not in ("", "random"):
        raise UsageError(f"{name} stands on no tower; leave weights={given!r} out")
    if not model.tower or given == "random":
        return RANDOM
    if given == "hub":
        return HUB
    if given.startswith(SHA256):
        return TowerWeights(given, given)
    if not given:
        raise MissingModel(
            f"{name} wants the weights of {options.backbone or model.tower!r}: give a local state "
            "dict with -o weights=FILE, allow fetching them with -o weights=hub, or try it with "
            "-o weights=random"
        )
    state = read_state(Path(given))
    digest = hashlib.sha256(Path(given).read_bytes()).hexdigest()
    return TowerWeights(given, SHA256 + digest, state)


@contextmanager
def towers_of(weights: TowerWeights) -> Iterator[None]:
    """Within, towers that the library makes hold these weights instead of fetched ones."""
    makers = {path: pkgutil.resolve_name(path) for path in MAKERS}
    try:
        if weights is not HUB:
            for path, maker in makers.items():
                ours = _timm_tower if path.startswith("timm") else _torchvision_tower
                _replace(path, partial(ours, maker, weights))
        yield
    finally:
        for path, maker in makers.items():
            _replace(path, maker)


def load_part(module: Any, part: str, weights: TowerWeights) -> None:
    """Into a part of the model, weights that the library would fetch when training starts."""
    if weights.state is not None:
        load_exactly(getattr(module.model, part), weights.state, weights.source)
    module.prepare_pretrained_model = lambda: None
    module.model.load_pretrained_discrete_model_weights = lambda *_: None


def _replace(path: str, value: Any) -> None:
    module, name = path.split(":")
    setattr(importlib.import_module(module), name, value)


def _timm_tower(
    make: Any, ours: TowerWeights, name: str, pretrained: bool = False, **others: Any
) -> Any:
    if not pretrained or ours.state is None:
        return make(name, pretrained=False, **others)
    overlay = {"state_dict": dict(ours.state)}
    try:
        return make(name, pretrained=True, pretrained_cfg_overlay=overlay, **others)
    except (RuntimeError, KeyError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InvalidFile(f"{ours.source!r} does not fit timm's {name!r} ({reason})") from None


def _torchvision_tower(make: Any, ours: TowerWeights, *, weights: Any = None) -> Any:
    tower = make(weights=None)
    if weights is not None and ours.state is not None:
        load_exactly(tower, ours.state, ours.source)
    return tower
