"""Adapters on disk: a folder with `adapter_config.json`, `adapter_model.safetensors`, a card.

An adapter belongs to one backbone: its config names the backbone's fingerprint, and another
backbone is refused, because the numbers it would give mean nothing.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor, nn

from inctrl.adapters import build_module
from inctrl.adapters.lora import Lora, LoraShape, unpack
from inctrl.errors import ContextMismatch, InvalidFile, MissingModel, UsageError
from inctrl.files.kinds import told
from inctrl.files.places import data_folder, expanded
from inctrl.files.tensors import load_exactly, why
from inctrl.files.whole import whole_folder, writing
from inctrl.identity import unlike_backbones
from inctrl.protocols import Backbone, Tunable
from inctrl.registry import unknown
from inctrl.resources import folder as shipped
from inctrl.types import Fit

CONFIG, WEIGHTS, CARD = "adapter_config.json", "adapter_model.safetensors", "README.md"
VERSION = 1
BACKBONE = ("image_size", "layers", "precision", "fingerprint")
"""What a config and its backbone both have, besides the name."""


@dataclass(frozen=True)
class AdapterConfig:
    """What an adapter is, what it fits and where it comes from.

    kind     name in the table of kinds (adapters/__init__.py)
    shape    what its module is built with: sizes by name
    text     whether it was trained with a text prior
    shots    numbers of shots it was trained with
    images   digests of the images it has seen, 16 hex digits each; empty: not known
    recipe   how it was trained, by name
    precision   in which a transformer of the backbone multiplied
    lora     rank, alpha and targets of low-rank updates of the image tower; empty without them.
             The fingerprint is that of the backbone before them
    """

    kind: str
    backbone: str
    fingerprint: str
    image_size: int
    layers: tuple[str, ...]
    shape: Mapping[str, Any]
    text: bool
    fit: Fit = "squash"
    shots: tuple[int, ...] = ()
    data: str = ""
    images: str = ""
    seed: int | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    recipe: Mapping[str, Any] = field(default_factory=dict)
    source: str = ""
    licence: str = ""
    lora: Mapping[str, Any] = field(default_factory=dict)
    precision: str = "float32"
    version: int = VERSION


@dataclass(frozen=True, eq=False)
class Adapter:
    """An adapter that fits a backbone.

    path     where it lay, resolved
    sha256   of its weights
    module   takes the features of the tower with the updates, where there are any
    """

    path: str
    sha256: str
    config: AdapterConfig
    module: nn.Module
    lora: Lora | None = None


@dataclass(frozen=True, eq=False)
class AdapterFolder:
    """An adapter as it lies on disk, read once; no backbone has been held against it."""

    path: Path
    config: AdapterConfig
    sha256: str
    tensors: Mapping[str, Tensor]

    def fit_to(self, backbone: Backbone) -> Adapter:
        """The adapter for this backbone; ContextMismatch for another one."""
        config = self.config
        if config.fingerprint != backbone.fingerprint:
            raise ContextMismatch(
                f"adapter {str(self.path)!r} belongs to {_unlike(config, backbone)}"
            )
        lora, state = self._parts(backbone)
        module = build_module(config.kind, config.shape, str(self.path / CONFIG))
        load_exactly(module, state, str(self.path / WEIGHTS))
        return Adapter(str(self.path.resolve()), self.sha256, config, module, lora)

    def _parts(self, backbone: Backbone) -> tuple[Lora | None, Mapping[str, Tensor]]:
        """The low-rank updates, and the tensors of the module."""
        if not self.config.lora:
            return None, self.tensors
        if not isinstance(backbone, Tunable):
            raise InvalidFile(
                f"{str(self.path / CONFIG)!r} has low-rank updates, and backbone "
                f"{backbone.name!r} no image tower that takes any"
            )
        shape, source = LoraShape.read(self.config.lora), str(self.path / WEIGHTS)
        return unpack(shape, self.tensors, backbone.image_tower, source)


def _unlike(config: AdapterConfig, backbone: Backbone) -> str:
    """The backbone of an adapter, and in what another one differs from it."""
    now = {name: getattr(backbone, name) for name in BACKBONE} | {"backbone": backbone.name}
    [first, *more] = unlike_backbones(asdict(config), now)
    whole = f"backbone {config.backbone!r} with layers {','.join(config.layers)}"
    if config.backbone != backbone.name:
        return f"{whole} and {config.image_size} px, not to {backbone.name!r}; load that backbone"
    if first.startswith("other weights"):
        return f"backbone {config.backbone!r}, and these are {first}; load those it was trained on"
    said = " and ".join([first, *more])
    return f"backbone {config.backbone!r} with {said}; load it so"


def open_adapter(name: str | Path) -> AdapterFolder:
    """The folder of an adapter given by name or path, with all that lies in it."""
    path = find(str(name))
    config, file = read_config(path), path / WEIGHTS
    try:
        stored = file.read_bytes()
        tensors = dict(sorted(safetensors.torch.load(stored).items()))
    except FileNotFoundError:
        raise MissingModel(f"{str(file)!r} does not exist; give a local file") from None
    except (OSError, safetensors.SafetensorError) as error:
        raise InvalidFile(f"{str(file)!r} cannot be read: {why(file, error)}") from None
    return AdapterFolder(path, config, hashlib.sha256(stored).hexdigest(), tensors)


def user_folder() -> Path:
    """Where imported and trained adapters are kept: `INCTRL_ADAPTERS` or the user data folder.

    UsageError where the user has no home folder.
    """
    chosen = os.environ.get("INCTRL_ADAPTERS")
    return expanded(chosen) if chosen else data_folder("adapters", "adapters", "name a folder")


def installed() -> dict[str, Path]:
    """Every adapter that can be named: shipped ones, then the user's (which win)."""
    found: dict[str, Path] = {}
    places = [shipped("adapters")]
    with contextlib.suppress(UsageError):  # without a home folder there are none of the user
        places.append(user_folder())
    for place in places:
        if place.is_dir():
            found |= {p.name: p for p in sorted(place.iterdir()) if (p / CONFIG).is_file()}
    return found


def find(name: str) -> Path:
    """The folder of an adapter given by name or path."""
    path = Path(name)
    if (path / CONFIG).is_file():
        return path
    known = installed()
    if name in known:
        return known[name]
    if path.is_dir():
        raise InvalidFile(f"folder {name!r} holds no {CONFIG}; it is not an adapter")
    if path.is_file():
        raise InvalidFile(
            f"{name!r} is {told(path) or 'a file of weights'}; an adapter is a folder, and "
            "`inctrl adapters import` makes one of an official checkpoint"
        )
    raise unknown(name, known, "adapter")


def read_config(path: Path) -> AdapterConfig:
    """The config of an adapter folder, every field checked."""
    file = path / CONFIG
    try:
        stored: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        known = {f.name for f in fields(AdapterConfig)}
        if stored.get("version") != VERSION or not set(stored) <= known:
            raise InvalidFile(
                f"{str(file)!r} has version {stored.get('version')} or unknown fields; "
                f"this release reads version {VERSION}"
            )
        for name in ("layers", "shots"):
            stored[name] = tuple(stored.get(name, ()))
        config = AdapterConfig(**stored)
        if not isinstance(config.images, str):
            raise ValueError("images is no text")
        for name, value in {**config.shape, "image_size": config.image_size}.items():
            if isinstance(value, int) and value < 1:
                raise ValueError(f"{name} is {value!r}, not a positive number")
        if config.lora:
            LoraShape.read(config.lora)
        return config
    except (OSError, ValueError, TypeError, AttributeError) as error:
        reason = told(file, "JSON") if file.is_file() else None
        raise InvalidFile(
            f"{str(file)!r} is not a readable adapter config ({reason or error})"
        ) from None


def save(
    path: Path, config: AdapterConfig, module: nn.Module, card: str, lora: Lora | None = None
) -> None:
    """Write an adapter folder as a whole; OutputError where one with something in it exists.

    lora   the updates that its config describes
    UsageError where a trained number is not finite: such weights still give scores.
    """
    state = module.state_dict() | (lora.packed if lora else {})
    broken = [name for name, tensor in state.items() if not tensor.isfinite().all()]
    if broken:
        raise UsageError(
            f"the training left numbers that are not finite in {broken[0]!r} ({len(broken)} "
            f"tensors); {str(path)!r} was not written: train with a lower rate"
        )
    with whole_folder(path, (CONFIG, WEIGHTS, CARD)) as folder, writing(path):
        safetensors.torch.save_file(state, folder / WEIGHTS)
        (folder / CONFIG).write_text(json.dumps(asdict(config), indent=2) + "\n", encoding="utf-8")
        (folder / CARD).write_text(card, encoding="utf-8")
