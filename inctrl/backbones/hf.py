"""Transformers' vision models: `hf:FOLDER` or `hf:HUB-NAME`, offline unless allowed.

Only safetensors weights are read, and no code that comes with a model is ever run.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import PIL.Image
import safetensors
import torch
import transformers
from torch import Tensor, nn

from inctrl.backbones.weights import (
    TEXT_BATCH,
    default_blocks,
    fingerprint,
    pick_layers,
    refuse_size,
    wanted,
)
from inctrl.errors import InvalidFile, MissingModel, UsageError
from inctrl.files.kinds import told
from inctrl.files.places import expanded
from inctrl.files.tensors import matters, refuse_faults
from inctrl.preprocessing import Preprocessing
from inctrl.registry import lookup
from inctrl.types import Features

VOLATILE = ("_name_or_path", "architectures", "dtype", "torch_dtype", "transformers_version")
"""Entries of a configuration that say nothing of the features."""
HEADS = ("classifier.",)
"""Weights that may be left over: a classifier sits on top of the features."""


@dataclass(frozen=True)
class Family:
    """How one kind of model is used.

    class_tokens  before the patches; register tokens follow them, and neither is a patch
    text          what the tokenizer's result must hold for the text tower; empty without one
    padding       how it was trained: SigLIP reads its last token, whatever the sentence's length
    interpolates  whether it must be told to accept another image size than its own
    """

    class_tokens: int
    text: tuple[str, ...] = ()
    padding: str = "longest"
    interpolates: bool = False


FAMILIES = {
    "clip": Family(1, ("input_ids", "attention_mask"), interpolates=True),
    "siglip": Family(0, ("input_ids",), padding="max_length", interpolates=True),
    "dinov2": Family(1),
    "dinov2_with_registers": Family(1),
    "dinov3_vit": Family(1),
}
"""By `model_type`; SigLIP 2 of a fixed size is stored as `siglip`."""


class HfBackbone:
    """A frozen transformer: patches after chosen blocks, and the family's own image token.

    Patches are the hidden states after a block, class and register tokens dropped. The image
    token is that of `get_image_features`, or DINO's class token after the last norm.
    """

    precision = "float32"

    def __init__(
        self,
        name: str,
        model: Any,
        preprocessing: Preprocessing,
        layers: Sequence[str] | None,
        device: torch.device,
        architecture: str,
        hub: "Hub",
    ) -> None:
        self._family = FAMILIES[model.config.model_type]
        self._vision = getattr(model.config, "vision_config", model.config)
        depth = self._vision.num_hidden_layers
        known = {f"block{block}": block for block in range(1, depth + 1)}
        self.name = name
        self.has_text = bool(self._family.text)
        self.preprocessing = preprocessing
        self.layers = pick_layers(layers, default_blocks(depth), list(known), name)
        self._blocks = [known[layer] for layer in self.layers]
        self._device = device
        self._hub = hub
        self._tokenizer: Any = None
        self._model = model.eval().requires_grad_(False).to(device)
        weights = model.state_dict()
        self.fingerprint = fingerprint(weights, preprocessing, self.layers, architecture)

    @property
    def image_size(self) -> int:
        return self.preprocessing.size

    @property
    def image_tower(self) -> nn.Module:
        """Without CLIP's projection, which stands between image and text."""
        tower: nn.Module = self._model.vision_model if self.has_text else self._model
        return tower

    @torch.inference_mode()
    def encode_images(self, pixels: Tensor) -> Features:
        return self.encode_traced(pixels)

    def encode_traced(self, pixels: Tensor) -> Features:
        # hidden_states[0] is the embedding, so the index is the block counted from 1.
        forward = self._model.get_image_features if self.has_text else self._model
        options: dict[str, bool] = {}
        if self._family.interpolates and pixels.shape[-1] != self._vision.image_size:
            options["interpolate_pos_encoding"] = True
        output = forward(pixels.to(self._device), output_hidden_states=True, **options)
        prefix = self._family.class_tokens + getattr(self._vision, "num_register_tokens", 0)
        grid = tuple(side // self._vision.patch_size for side in pixels.shape[-2:])
        patches = tuple(
            output.hidden_states[block][:, prefix:].unflatten(1, grid).contiguous()
            for block in self._blocks
        )
        return Features(patches, output.pooler_output)

    @torch.inference_mode()
    def encode_text(self, sentences: Sequence[str]) -> Tensor:
        if not self.has_text:
            raise UsageError(f"backbone {self.name!r} has no text tower; use a CLIP or SigLIP")
        tokens = self._tokenise(list(sentences))
        count = len(sentences)
        parts = [
            {name: tokens[name][start : start + TEXT_BATCH] for name in self._family.text}
            for start in range(0, count, TEXT_BATCH)
        ]
        return torch.cat([self._model.get_text_features(**part).pooler_output for part in parts])

    def _tokenise(self, sentences: list[str]) -> Any:
        # Loaded at the first use: images do without.
        if self._tokenizer is None:
            self._tokenizer = self._load_tokenizer()
        return self._tokenizer(
            sentences,
            padding=self._family.padding,
            truncation=True,
            max_length=self._model.config.text_config.max_position_embeddings,
            return_tensors="pt",
        ).to(self._device)

    def _load_tokenizer(self) -> Any:
        tokenizer = self._hub.load("the tokenizer", transformers.AutoTokenizer)
        size = self._model.config.text_config.vocab_size
        if len(tokenizer) < size / 2:
            # Without its files the library makes one that knows no word, and says nothing.
            raise MissingModel(
                f"{self.name!r}: the tokenizer has {len(tokenizer)} entries of {size}; "
                "add tokenizer.json, or vocab.json and merges.txt"
            )
        return tokenizer


@dataclass(frozen=True)
class Hub:
    """A model's files: a local folder, or a name on the hub and its copy in the local cache."""

    spec: str
    folder: Path | None
    allow_network: bool

    def load(self, what: str, kind: Any, method: str = "from_pretrained", **options: Any) -> Any:
        """`kind.from_pretrained` from these files alone; MissingModel where they lack `what`."""
        source = str(self.folder or self.spec)
        local = self.folder is not None or not self.allow_network
        with wanted(f"hf:{self.spec}", what, self.allow_network, self.folder), _quietly():
            try:
                return getattr(kind, method)(
                    source, local_files_only=local, trust_remote_code=False, **options
                )
            except safetensors.SafetensorError as error:
                raise InvalidFile(f"{source!r}: damaged weights ({error}); copy again") from None


def load(
    spec: str,
    *,
    image_size: int | None,
    layers: Sequence[str] | None,
    device: torch.device,
    allow_network: bool,
) -> HfBackbone:
    """`spec` is what follows `hf:`."""
    name = f"hf:{spec}"
    hub = Hub(spec, _folder(spec), allow_network)
    stored, _ = hub.load("config.json", transformers.PretrainedConfig, "get_config_dict")
    if not stored:  # what the library gives for a folder without one
        raise MissingModel(f"{name!r}: no 'config.json' in {str(hub.folder or spec)!r}")
    lookup(FAMILIES, str(stored.get("model_type")), f"model type of {name!r}:")
    processor = hub.load("preprocessor_config.json", transformers.AutoImageProcessor)
    preprocessing = preprocessing_of(processor, image_size, name)
    model = _load_model(hub)
    patch = getattr(model.config, "vision_config", model.config).patch_size
    refuse_size(image_size, patch, name)
    kept = {key: value for key, value in stored.items() if key not in VOLATILE}
    architecture = json.dumps(kept, sort_keys=True)
    return HfBackbone(name, model, preprocessing, layers, device, architecture, hub)


def preprocessing_of(processor: Any, image_size: int | None, name: str) -> Preprocessing:
    """The library's own preprocessing; another `image_size` drops the margin around the crop."""
    stored = processor.to_dict()
    size = stored["size"]
    crop = stored["crop_size"] if stored.get("do_center_crop") else size
    sides = {crop.get("height"), crop.get("width")}
    side = sides.pop()
    if sides or side is None:
        raise UsageError(f"{name!r} takes images of {crop}; only square ones are supported")
    normalises = stored.get("do_normalize", True)
    return Preprocessing(
        size=image_size or side,
        mean=tuple(stored["image_mean"]) if normalises else (0.0, 0.0, 0.0),
        std=tuple(stored["image_std"]) if normalises else (1.0, 1.0, 1.0),
        resample=PIL.Image.Resampling(int(stored["resample"])).name.lower(),
        short=(size.get("shortest_edge") or 0) if image_size in (None, side) else 0,
        floor=True,
    )


def _folder(spec: str) -> Path | None:
    """The folder a spec names; None where it is a name on the hub."""
    folder = expanded(spec)
    if not spec:
        raise UsageError("'hf:' names no model; write hf:FOLDER or hf:HUB-NAME")
    if folder.is_dir():
        _refuse_pointers(folder)
        return folder
    if spec.startswith((".", "/", "~")):
        raise MissingModel(f"'hf:{spec}': no folder {str(folder)!r}; check the path")
    return None


def _refuse_pointers(folder: Path) -> None:
    """InvalidFile for what a clone or a browser leaves in place of a model's files."""
    for file in sorted([*folder.glob("*.json"), *folder.glob("*.safetensors")]):
        if found := told(file, "JSON"):
            damaged = " damaged weights:" if file.suffix == ".safetensors" else ""
            raise InvalidFile(f"{str(folder)!r}:{damaged} {file.name!r} is {found}")


def _load_model(hub: Hub) -> Any:
    """The model in float32, every weight of which is in its files with the right shape."""
    model, report = hub.load(
        "the safetensors weights",
        transformers.AutoModel,
        use_safetensors=True,
        dtype=torch.float32,
        ignore_mismatched_sizes=True,  # reported below with the others
        output_loading_info=True,
    )
    left_over = sorted(key for key in report["unexpected_keys"] if not key.startswith(HEADS))
    faults = {
        "missing": sorted(filter(matters, report["missing_keys"])),
        "mis-shaped": [
            f"{key} {tuple(seen)}" for key, seen, _ in sorted(report["mismatched_keys"])
        ],
        "unknown": left_over,
    }
    refuse_faults(faults, f"hf:{hub.spec}")
    return model


@contextmanager
def _quietly() -> Iterator[None]:
    """No progress bars and no loading tables: what is amiss is raised as an error."""
    log = transformers.utils.logging
    verbosity, bars = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity_error()
    log.disable_progress_bar()
    try:
        yield
    finally:
        log.set_verbosity(verbosity)
        if bars:
            log.enable_progress_bar()
