"""The towers of `tiny` and blocks of a transformer, as one backbone."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from inctrl.backbones.cnn import ConvBackbone
from inctrl.backbones.duo.vit import PATCH, VisionTransformer, load_vit
from inctrl.backbones.tiny.backbone import TinyBackbone
from inctrl.errors import UsageError
from inctrl.types import Features, concatenate

GAIN = 16.0
"""Makes patches of the transformer, 1 to 3 long, about as long as the 40 to 55 of the strides.

Detectors that compare layers side by side by their distance would else not see the blocks.
"""


class DuoBackbone(TinyBackbone):
    """`tiny` in all but the layers: image token, windows and sentences are its own.

    folder      of the text side of `tiny`
    weights     file of the transformer
    layers      in the order in which they are given out
    size        side in pixels at which the transformer sees what the tower is given
    precision   in which the transformer multiplies; all else is in single precision
    """

    def __init__(
        self,
        tower: ConvBackbone,
        folder: Path,
        weights: Path,
        layers: Sequence[str],
        size: int,
        precision: torch.dtype,
    ) -> None:
        super().__init__("duo", tower, folder, layers)
        self._strides, self.layers = self.layers, tuple(layers)
        self._size = size
        blocks = [layer for layer in layers if layer not in self._strides]
        self._taps = {layer: int(layer.removeprefix("block")) for layer in blocks}
        self._vit: VisionTransformer | None = None
        digest = hashlib.sha256(f"{self.fingerprint} {' '.join(layers)}".encode())
        if blocks:
            depth, grid = max(self._taps.values()), size // PATCH
            self._vit = load_vit(weights, depth, grid, precision).to(tower.device)
            digest.update(b"%d" % size)
            digest.update(weights.read_bytes())
            if precision != torch.float32:
                digest.update(str(precision).encode())
        self.fingerprint = digest.hexdigest()
        self.precision = str(precision).removeprefix("torch.") if blocks else "float32"

    @property
    def image_size(self) -> int:
        return self._size

    @property
    def image_tower(self) -> nn.Module:
        """Both towers."""
        tower = self._tower.image_tower
        return nn.ModuleDict({"cnn": tower, "vit": self._vit}) if self._vit else tower

    def encode_traced(self, pixels: Tensor) -> Features:
        # One by one on a CPU, where a batch saves no time, and in half the bits: kernels round by
        # the size of a batch, and a score must not know of the others.
        alone = self.device.type == "cpu" or self.precision != "float32"
        parts = pixels.split(1) if alone else [pixels]
        return concatenate([self._together(part) for part in parts])

    def _together(self, pixels: Tensor) -> Features:
        features = super().encode_traced(pixels)
        found = dict(zip(self._strides, features.patches, strict=True))
        if self._vit is not None:
            seen = _at(pixels.to(self.device), self._size)
            blocks = self._vit(seen, list(self._taps.values()))
            found |= zip(self._taps, (GAIN * maps for maps in blocks), strict=True)
        return Features(tuple(found[layer] for layer in self.layers), features.image)

    def segments(self) -> tuple[nn.Module, ...]:
        if self._taps:
            raise UsageError(
                "blocks of 'duo' cannot be run stage by stage, which registration needs; "
                "use its layers stride8, stride16 and stride32, or 'tiny'"
            )
        return super().segments()


def _at(pixels: Tensor, size: int) -> Tensor:
    """b 3 S S -> b 3 size size: a step of a few per cent, which shows in no score."""
    if pixels.shape[-1] == size:
        return pixels
    return F.interpolate(pixels, size=(size, size), mode="bilinear", align_corners=False)
