"""Convolutional image towers through timm: `cnn:NAME[/WEIGHTS]`.

WEIGHTS is a local file (`.safetensors` or a plain state dict) or a weight tag of timm, such as
`cnn:wide_resnet50_2/tv_in1k`. A tag is looked for in the local Hugging Face cache, and fetched
only where the network is allowed.
"""

from collections.abc import Sequence
from pathlib import Path

import timm
import torch
from torch import Tensor, nn

from inctrl.backbones.fingerprint import fingerprint
from inctrl.backbones.preprocess import Preprocessing
from inctrl.backbones.weights import pick_layers, read_state, resolved_device, wanted
from inctrl.errors import InvalidFile, UsageError
from inctrl.images import Image
from inctrl.types import Features, Fit

DEFAULT_STRIDES = ("stride8", "stride16")
"""PatchCore's two stages (Roth et al., CVPR 2022): layer2 and layer3 of a ResNet."""


class ConvBackbone:
    """A frozen timm model whose stages are tapped by their stride; it has no text."""

    has_text = False

    def __init__(
        self,
        name: str,
        model: nn.Module,
        preprocessing: Preprocessing,
        layers: Sequence[str] | None,
        device: torch.device,
        default_layers: Sequence[str] = DEFAULT_STRIDES,
    ) -> None:
        known = {f"stride{info['reduction']}": i for i, info in enumerate(model.feature_info)}
        self.name = name
        self.preprocessing = preprocessing
        self.layers = pick_layers(layers, default_layers, list(known), name)
        self._indices = [known[layer] for layer in self.layers]
        self._device = device
        # Channels-last convolutions are about a third faster on CPUs.
        self._model = model.eval().requires_grad_(False).to(device, memory_format=torch.channels_last)
        self.fingerprint = fingerprint(model.state_dict(), preprocessing, self.layers)

    @property
    def image_size(self) -> int:
        return self.preprocessing.size

    def preprocess(self, images: Sequence[Image], fit: Fit) -> Tensor:
        return self.preprocessing(images, fit)

    @torch.inference_mode()
    def encode_images(self, pixels: Tensor) -> Features:
        pixels = pixels.to(self._device, memory_format=torch.channels_last)
        last, maps = self._model.forward_intermediates(pixels, indices=self._indices)
        pooled = self._model.forward_head(last, pre_logits=True)
        return Features(tuple(m.permute(0, 2, 3, 1).contiguous() for m in maps), pooled)

    def encode_text(self, sentences: Sequence[str]) -> Tensor:
        raise UsageError(f"backbone {self.name!r} has no text tower; use openclip: or hf: with one")


def load(
    spec: str,
    *,
    image_size: int | None,
    layers: Sequence[str] | None,
    device: str,
    allow_network: bool,
) -> ConvBackbone:
    """`spec` is what follows `cnn:`."""
    architecture, _, weights = spec.partition("/")
    if not timm.is_model(architecture):
        raise UsageError(
            f"timm has no model {architecture!r}; list them with "
            "`python -c \"import timm; print(timm.list_models('*resnet*'))\"`"
        )
    if not weights:
        tags = ", ".join(timm.list_pretrained(f"{architecture}.*")) or "none"
        raise UsageError(
            f"'cnn:{architecture}' does not say which weights; add /TAG or /FILE (timm's: {tags})"
        )
    if Path(weights).suffix in (".safetensors", ".pth", ".pt", ".bin"):
        model = timm.create_model(architecture, pretrained=False)
        _load_exactly(model, read_state(Path(weights)), weights)
    else:
        tagged = f"{architecture}.{weights}"
        with wanted(f"cnn:{spec}", f"the weights {tagged!r} of timm", allow_network):
            model = timm.create_model(tagged, pretrained=True)
    if not hasattr(model, "forward_intermediates"):
        raise UsageError(f"timm's {architecture!r} does not give intermediate features")
    config = timm.data.resolve_model_data_config(model)
    preprocessing = Preprocessing(
        size=image_size or config["input_size"][-1],
        mean=config["mean"],
        std=config["std"],
        resample=config["interpolation"],
        short=0 if image_size else int(config["input_size"][-1] / config["crop_pct"]),
    )
    return ConvBackbone(f"cnn:{spec}", model, preprocessing, layers, resolved_device(device))


def _load_exactly(model: nn.Module, state: dict[str, Tensor], file: str) -> None:
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise InvalidFile(f"{file!r} does not fit the model: {reason}") from None
