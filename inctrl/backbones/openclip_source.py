"""Where an open_clip model comes from: its configuration, weights file and preprocessing."""

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import open_clip
from open_clip.convert import convert_state_dict
from open_clip.model import convert_to_custom_text_state_dict, resize_pos_embed
from open_clip.transform import PreprocessCfg, merge_preprocess_dict
from torch import Tensor

from inctrl.backbones.weights import wanted
from inctrl.errors import InvalidFile, MissingModel, UsageError
from inctrl.files.places import expanded
from inctrl.files.tensors import read_state
from inctrl.registry import unknown

CONFIG = "open_clip_config.json"
WEIGHTS = (
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "model.safetensors",
    "open_clip_pytorch_model.bin",
    "pytorch_model.bin",
)
"""Names a weights file may have in a folder, the first found is read."""
SUFFIXES = (".safetensors", ".pt", ".pth", ".pyth", ".bin")
IGNORED = (
    "adapter.",
    "diff_head.",
    "diff_head_ref.",  # the heads of official InCTRL checkpoints, which hold their CLIP too
    "text.transformer.embeddings.position_ids",  # a table of indices, in old files only
)


@dataclass(frozen=True, eq=False)
class Source:
    """All that makes a model, before it is made.

    identifier   what open_clip calls it: MODEL, or `local-dir:FOLDER`
    folder       where further files (a tokenizer) are; None is the Hugging Face cache
    """

    name: str
    identifier: str
    config: Mapping[str, Any]
    preprocess: Mapping[str, Any]
    weights: Path
    folder: Path | None = None

    @property
    def architecture(self) -> str:
        """What the weights do not show (activation, heads); for the fingerprint."""
        return json.dumps(self.config, sort_keys=True)

    def read(self) -> dict[str, Tensor]:
        """The state dict, less the entries that belong to other models in the same file."""
        stored = read_state(self.weights)
        return {name: tensor for name, tensor in stored.items() if not name.startswith(IGNORED)}


def locate(spec: str, image_size: int | None, allow_network: bool) -> Source:
    """Find configuration and weights of `MODEL/TAG`, `MODEL/FILE` or `FOLDER`.

    Raises UsageError for a name that open_clip does not know, MissingModel for absent files.
    """
    if spec.startswith((".", "/", "~")):
        source = _in_folder(spec, expanded(spec))
    else:
        source = _by_name(spec, allow_network)
    vision = source.config["vision_cfg"]
    if image_size and "timm_model_name" not in vision:  # timm towers are resized once loaded
        config = {**source.config, "vision_cfg": {**vision, "image_size": image_size}}
        return replace(source, config=config)
    return source


def build(source: Source) -> Any:
    """The model with random weights; InvalidFile where the configuration describes none.

    `open_clip.create_model` does the same, but warns that the weights are random.
    """
    config: dict[str, Any] = deepcopy(dict(source.config))
    text = config["text_cfg"]
    if "timm_model_name" in config["vision_cfg"]:
        config["vision_cfg"]["timm_model_pretrained"] = False
    if "hf_model_name" in text:
        text["hf_model_pretrained"] = False
    custom = config.pop("custom_text", False) or "hf_model_name" in text
    kind: Callable[..., Any] = open_clip.CustomTextCLIP if custom else open_clip.CLIP
    if custom and "multimodal_cfg" in config:
        kind = open_clip.CoCa
    try:
        return kind(**config)
    except (TypeError, KeyError, AttributeError, AssertionError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:120]
        raise InvalidFile(
            f"{source.name!r}: the configuration describes no open_clip model ({reason})"
        ) from None


def adapted(state: Mapping[str, Tensor], model: Any, resize: bool) -> dict[str, Tensor]:
    """The state dict in open_clip's present format, as its own loader converts it.

    resize    fit the position embedding to the grid of the model, where a size was asked for
    """
    converted: dict[str, Tensor] = convert_state_dict(model, dict(state))
    if "positional_embedding" in converted and not hasattr(model, "positional_embedding"):
        converted = convert_to_custom_text_state_dict(converted)
    if resize:
        with suppress(RuntimeError):  # of no square grid: the exact loading will say so
            resize_pos_embed(converted, model)
    return converted


def _by_name(spec: str, allow_network: bool) -> Source:
    name = f"openclip:{spec}"
    model, _, weights = spec.partition("/")
    if model not in open_clip.list_models():
        raise unknown(model, open_clip.list_models(), "open_clip model")
    tags = open_clip.list_pretrained_tags_by_model(model)
    if not weights:
        known = ", ".join(tags) or "none"
        raise UsageError(f"{name!r} does not say which weights; add /TAG or /FILE (tags: {known})")
    config = open_clip.get_model_config(model)
    published = open_clip.get_pretrained_cfg(model, weights)
    if not published:
        file = expanded(weights)
        if file.suffix not in SUFFIXES and "/" not in weights and not file.is_file():
            raise unknown(weights, tags, f"weight tag of {model}")
        return Source(name, model, config, _agreed_preprocessing(model), file)
    if published.get("quick_gelu"):  # the weights know better than the architecture's plain name
        config["quick_gelu"] = True
    what = f"the weights {weights!r} of {model} ({published.get('hf_hub')})"
    with wanted(name, what, allow_network, on_hub=bool(published.get("hf_hub"))):
        file = Path(open_clip.download_pretrained(published))
    return Source(name, model, config, merge_preprocess_dict(PreprocessCfg(), published), file)


def _agreed_preprocessing(model: str) -> Mapping[str, Any]:
    """What all published weights of an architecture agree on (SigLIP: mean 0.5), else CLIP's."""
    tags = open_clip.list_pretrained_tags_by_model(model)
    published = [open_clip.get_pretrained_cfg(model, tag) for tag in tags]
    configs: list[Mapping[str, Any]] = [
        merge_preprocess_dict(PreprocessCfg(), config) for config in published
    ]
    agreed = configs and all(config == configs[0] for config in configs)
    return configs[0] if agreed else asdict(PreprocessCfg())


def _in_folder(spec: str, folder: Path) -> Source:
    name = f"openclip:{spec}"
    file = folder / CONFIG
    if not file.is_file():
        raise MissingModel(f"{name!r}: no {CONFIG!r} in {str(folder)!r}; check the folder")
    try:
        stored = json.loads(file.read_text(encoding="utf-8"))
        config, preprocess = stored["model_cfg"], stored.get("preprocess_cfg", {})
        if not isinstance(config["vision_cfg"], dict) or not isinstance(config["text_cfg"], dict):
            raise TypeError("vision_cfg and text_cfg must be tables")
        preprocess = merge_preprocess_dict(PreprocessCfg(), preprocess)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidFile(
            f"{str(file)!r} is not a configuration of open_clip ({type(error).__name__}: {error})"
        ) from None
    present = [folder / name for name in WEIGHTS if (folder / name).is_file()]
    if not present:
        raise MissingModel(f"{name!r}: no weights in {str(folder)!r}; name them {WEIGHTS[0]!r}")
    return Source(name, f"local-dir:{folder}", config, preprocess, present[0], folder)
