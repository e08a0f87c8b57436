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

from inctrl.backbones.rewired import RewiredBackbone
from inctrl.errors import UsageError
from inctrl.files.tensors import hash_tensors
from inctrl.maths.warps import restore
from inctrl.protocols import Backbone
from inctrl.types import Features


@runtime_checkable
class RunsInStages(Protocol):
    """A backbone that can be run from one tapped layer to the next."""

    @property
    def device(self) -> torch.device: ...

    def segments(self) -> tuple[nn.Module, ...]:
        """One a layer: in turn they bring pixels to each layer's map b d h w."""
        ...


def aligned(backbone: Backbone, transformers: nn.ModuleList) -> RewiredBackbone:
    """The backbone, run through spatial transformers, one a layer; its image token is kept.

    transformers   each takes a map b d h w and gives the warped map and its theta b 2 3
    """
    stages = staged(backbone)
    segments = stages.segments()
    transformers = transformers.eval().requires_grad_(False).to(stages.device)

    @torch.inference_mode()
    def encode(pixels: Tensor) -> Features:
        pixels = pixels.to(stages.device, memory_format=torch.channels_last)
        thetas: list[Tensor] = []
        patches = []
        for warped, theta in registered(segments[0](pixels), segments, transformers):
            thetas.append(theta)
            patches.append(restore(warped, thetas).permute(0, 2, 3, 1).contiguous())
        return replace(backbone.encode_images(pixels), patches=tuple(patches))

    return RewiredBackbone(backbone, encode, f"aligned {_fingerprint(transformers)}")


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


def _fingerprint(transformers: nn.ModuleList) -> str:
    digest = hashlib.sha256()
    for transformer in transformers:
        digest.update(f" {transformer.mode}".encode())
    hash_tensors(digest, transformers.state_dict(), types=False)
    return digest.hexdigest()
