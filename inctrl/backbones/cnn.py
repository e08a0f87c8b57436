"""Convolutional image towers through timm: `cnn:NAME[/WEIGHTS]`.

WEIGHTS is a local file (`.safetensors` or a plain state dict) or a weight tag of timm, such as
`cnn:wide_resnet50_2/tv_in1k`. A tag is looked for in the local Hugging Face cache, and fetched
only where the network is allowed.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor, nn

from inctrl.backbones.weights import fingerprint, pick_layers, wanted
from inctrl.errors import UsageError
from inctrl.files.tensors import load_exactly, read_state
from inctrl.preprocessing import Preprocessing
from inctrl.registry import meant, unknown
from inctrl.types import Features

DEFAULT_STRIDES = ("stride8", "stride16")
"""PatchCore's two stages (Roth et al., CVPR 2022): layer2 and layer3 of a ResNet."""
CLOSE = 1e-4
"""Maps of a tower and of its parts in turn differ by no more, where it is a chain of them."""


class ConvBackbone:
    """A frozen timm model whose stages are tapped by their stride; it has no text."""

    has_text = False
    precision = "float32"

    def __init__(
        self,
        name: str,
        model: Any,
        preprocessing: Preprocessing,
        layers: Sequence[str] | None,
        device: torch.device,
    ) -> None:
        known = {f"stride{info['reduction']}": i for i, info in enumerate(model.feature_info)}
        if len(known) == 1 < len(model.feature_info):
            raise UsageError(f"{name!r} has one stride throughout; use openclip: or hf: for it")
        self.name = name
        self.preprocessing = preprocessing
        self.layers = pick_layers(layers, DEFAULT_STRIDES, list(known), name)
        self._indices = [known[layer] for layer in self.layers]
        self.device = device
        # Channels-last convolutions are about a third faster on CPUs.
        self._model = (
            model.eval().requires_grad_(False).to(device, memory_format=torch.channels_last)
        )
        architecture = model.default_cfg["architecture"]  # `tf_` variants pad otherwise
        self.fingerprint = fingerprint(model.state_dict(), preprocessing, self.layers, architecture)

    @property
    def image_size(self) -> int:
        return self.preprocessing.size

    @property
    def image_tower(self) -> nn.Module:
        tower: nn.Module = self._model
        return tower

    @torch.inference_mode()
    def encode_images(self, pixels: Tensor) -> Features:
        return self.encode_traced(pixels)

    def encode_traced(self, pixels: Tensor) -> Features:
        maps, last = self.encode_maps(pixels)
        return Features(maps, self.pooled(last))

    def encode_maps(self, pixels: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
        """The layers' maps b h w d, and the one that the head pools, b h w p; gradients pass."""
        pixels = pixels.to(self.device, memory_format=torch.channels_last)
        last, maps = self._model.forward_intermediates(pixels, indices=self._indices)
        return tuple(m.permute(0, 2, 3, 1).contiguous() for m in maps), last.permute(0, 2, 3, 1)

    def pooled(self, last: Tensor) -> Tensor:
        """The last map or parts of it, n h w p -> n p, by the model's own head; gradients pass."""
        found: Tensor = self._model.forward_head(last.permute(0, 3, 1, 2), pre_logits=True)
        return found

    def segments(self, layers: Sequence[str] | None = None) -> tuple[nn.Module, ...]:
        """The parts that in turn give the maps b d h w of some layers (default: those tapped).

        The first takes pixels b 3 S S; gradients pass. UsageError for a tower that is no chain.
        """
        indices = [self._indices[self.layers.index(layer)] for layer in layers or self.layers]
        found = segments(self._model, indices, self.image_size)
        if found is None:
            raise UsageError(
                f"the tower of {self.name!r} cannot be run stage by stage, which registration "
                "needs; use 'tiny', or a ResNet or EfficientNet of cnn:"
            )
        return found

    @property
    def classifier(self) -> nn.Linear:
        """Pooled features n p -> logits n c of the classes that the weights were trained on."""
        head: nn.Linear = self._model.get_classifier()
        return head

    def encode_text(self, sentences: Sequence[str]) -> Tensor:  # noqa: ARG002
        raise UsageError(f"backbone {self.name!r} has no text tower; use openclip: or hf: with one")


def load(
    spec: str,
    *,
    image_size: int | None,
    layers: Sequence[str] | None,
    device: torch.device,
    allow_network: bool,
) -> ConvBackbone:
    """`spec` is what follows `cnn:`."""
    architecture, _, weights = spec.partition("/")
    if not timm.is_model(architecture):
        raise UsageError(
            f"timm has no model {architecture!r}{meant(architecture, timm.list_models())}; list "
            "them with `python -c \"import timm; print(timm.list_models('*resnet*'))\"`"
        )
    tags = [name.split(".", 1)[1] for name in timm.list_pretrained(f"{architecture}.*")]
    if not weights:
        raise UsageError(
            f"'cnn:{architecture}' does not say which weights; add /TAG or /FILE "
            f"(timm's: {', '.join(tags) or 'none'})"
        )
    if Path(weights).suffix in (".safetensors", ".pth", ".pt", ".bin"):
        model = timm.create_model(architecture, pretrained=False)
        load_exactly(model, read_state(Path(weights)), weights)
    else:
        tagged = f"{architecture}.{weights}"
        if weights not in tags:
            raise unknown(weights, tags, f"weight tag of {architecture}")
        on_hub = bool(timm.get_pretrained_cfg(tagged).hf_hub_id)
        what = f"the weights {tagged!r} of timm"
        with wanted(f"cnn:{spec}", what, allow_network, on_hub=on_hub):
            model = timm.create_model(tagged, pretrained=True)
    if not hasattr(model, "forward_intermediates"):
        raise UsageError(f"timm's {architecture!r} does not give intermediate features")
    preprocessing = preprocessing_of(model, image_size)
    return ConvBackbone(f"cnn:{spec}", model, preprocessing, layers, device)


def preprocessing_of(model: Any, image_size: int | None) -> Preprocessing:
    """timm's own for these weights; another `image_size` drops the margin around the crop."""
    config = timm.data.resolve_model_data_config(model)
    trained = config["input_size"][-1]
    return Preprocessing(
        size=image_size or trained,
        mean=config["mean"],
        std=config["std"],
        resample=config["interpolation"],
        short=int(trained / config["crop_pct"]) if image_size in (None, trained) else 0,
    )


def segments(model: Any, indices: Sequence[int], size: int) -> tuple[nn.Module, ...] | None:
    """The parts that in turn bring pixels b 3 S S to the maps b d h w of some stages.

    None where the model is no chain of its modules. Whether it is one cannot be read off it, so
    the parts are run on a pattern of side `size` and compared with the model.

    indices   of `feature_info`, rising
    """
    parts = _cut(model, [model.feature_info[i]["module"] for i in indices])
    return parts if parts and _agree(parts, model, indices, size) else None


def _cut(model: nn.Module, ends: Sequence[str]) -> tuple[nn.Module, ...] | None:
    """The modules in their order, cut behind those at the paths `ends`; None if one is missing."""
    parts, wanted = [nn.Sequential()], list(ends)
    for path, module in _chain(model, "", ends):
        if not wanted:
            break
        parts[-1].append(module)
        if path == wanted[0]:
            wanted.pop(0)
            parts.append(nn.Sequential())
    return None if wanted else tuple(parts[: len(ends)])


def _chain(model: nn.Module, prefix: str, ends: Sequence[str]) -> Iterator[tuple[str, nn.Module]]:
    """Children with their paths, taken apart only where an end lies inside of them."""
    for name, child in model.named_children():
        path = f"{prefix}{name}"
        if any(end.startswith(f"{path}.") for end in ends):
            yield from _chain(child, f"{path}.", ends)
        else:
            yield path, child


@torch.inference_mode()
def _agree(parts: Sequence[nn.Module], model: Any, indices: Sequence[int], size: int) -> bool:
    maps = _pattern(size).to(next(model.parameters()))
    _, expected = model.forward_intermediates(maps, indices=list(indices))
    for part, target in zip(parts, expected, strict=True):
        try:
            maps = part(maps)
        except (TypeError, ValueError, RuntimeError, NotImplementedError):
            return False  # a module that takes something else than the map before it
        if maps.shape != target.shape or not torch.allclose(maps, target, CLOSE, CLOSE):
            return False
    return True


def _pattern(size: int) -> Tensor:
    """1 3 S S: smooth, and different in every channel."""
    ramp = torch.linspace(-1, 1, size).expand(size, size)
    return torch.stack([ramp, ramp.T, (9 * ramp * ramp.T).sin()])[None]
