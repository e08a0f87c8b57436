"""A backbone whose maps pass spatial transformers on the way and are warped back afterwards.

RegAD (Huang et al., ECCV 2022): behind each tapped stage a transformer warps the map, and the next
stage sees the warped one; the maps given out are brought back by the inverse warps, the last first.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from inctrl.errors import UsageError
from inctrl.images import Image
from inctrl.maths.geometry import View
from inctrl.maths.warps import restore
from inctrl.protocols import Backbone
from inctrl.types import Features, Fit


@runtime_checkable
class RunsInStages(Protocol):
    """A backbone that can be run from one tapped layer to the next."""

    @property
    def device(self) -> torch.device: ...

    def segments(self) -> tuple[nn.Module, ...]:
        """One a layer: in turn they bring pixels to each layer's map b d h w."""
        ...


class AlignedBackbone:
    """Another backbone, run through spatial transformers, one a layer; its image token is kept.

    transformers   each takes a map b d h w and gives the warped map and its theta b 2 3
    """

    def __init__(self, backbone: Backbone, transformers: nn.ModuleList) -> None:
        self._backbone, self._stages = backbone, staged(backbone)
        self._segments = self._stages.segments()
        self._transformers = transformers.eval().requires_grad_(False).to(self._stages.device)
        self.fingerprint = _fingerprint(backbone, transformers)

    @property
    def name(self) -> str:
        return self._backbone.name

    @property
    def image_size(self) -> int:
        return self._backbone.image_size

    @property
    def layers(self) -> tuple[str, ...]:
        return self._backbone.layers

    @property
    def has_text(self) -> bool:
        return self._backbone.has_text

    def view(self, image: Image, fit: Fit) -> View:
        return self._backbone.view(image, fit)

    def preprocess(self, images: Sequence[Image], fit: Fit) -> Tensor:
        return self._backbone.preprocess(images, fit)

    @torch.inference_mode()
    def encode_images(self, pixels: Tensor) -> Features:
        pixels = pixels.to(self._stages.device, memory_format=torch.channels_last)
        first = self._segments[0](pixels)
        thetas: list[Tensor] = []
        patches = []
        for warped, theta in registered(first, self._segments, self._transformers):
            thetas.append(theta)
            patches.append(restore(warped, thetas).permute(0, 2, 3, 1).contiguous())
        return replace(self._backbone.encode_images(pixels), patches=tuple(patches))

    def encode_text(self, sentences: Sequence[str]) -> Tensor:
        return self._backbone.encode_text(sentences)


def staged(backbone: Backbone) -> RunsInStages:
    """The backbone as one that runs in stages; UsageError where it cannot."""
    if not isinstance(backbone, RunsInStages):
        raise UsageError(
            f"backbone {backbone.name!r} cannot be run stage by stage, which registration needs; "
            "use 'tiny' or cnn:"
        )
    return backbone


def registered(
    first: Tensor, segments: Sequence[nn.Module], transformers: Iterable[nn.Module]
) -> list[tuple[Tensor, Tensor]]:
    """Each stage's warped map b d h w and theta b 2 3.

    first   b d h w: the first stage's map, before its transformer
    """
    maps, found = first, []
    for i, transformer in enumerate(transformers):
        if i:
            maps = segments[i](maps)
        maps, theta = transformer(maps)
        found.append((maps, theta))
    return found


def _fingerprint(backbone: Backbone, transformers: nn.ModuleList) -> str:
    digest = hashlib.sha256(f"{backbone.fingerprint} aligned".encode())
    for transformer in transformers:
        digest.update(f" {transformer.mode}".encode())
    for name, tensor in sorted(transformers.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
