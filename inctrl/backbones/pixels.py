"""`pixels`: no tower at all, for detectors that bring their own (`anomalib:NAME`).

The one layer is the picture itself in [0, 1]; who wants it normalised does that for itself.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from inctrl.backbones.weights import fingerprint, pick_layers
from inctrl.errors import UsageError
from inctrl.preprocessing import Preprocessing
from inctrl.types import Features

IMAGE_SIZE = 256
LAYERS = ("pixels",)


class PixelBackbone:
    """Images as squares of colours; it has no text."""

    name = "pixels"
    has_text = False
    precision = "float32"
    layers = LAYERS

    def __init__(self, size: int, device: torch.device) -> None:
        self.preprocessing = Preprocessing(size=size, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
        self.device = device
        self.fingerprint = fingerprint({}, self.preprocessing, self.layers, self.name)

    @property
    def image_size(self) -> int:
        return self.preprocessing.size

    @torch.inference_mode()
    def encode_images(self, pixels: Tensor) -> Features:
        """pixels b 3 S S -> patches b S S 3 in [0, 1], image b 3: the mean colour."""
        pixels = pixels.to(self.device)
        return Features((pixels.permute(0, 2, 3, 1).contiguous(),), pixels.mean(dim=(2, 3)))

    def encode_text(self, sentences: Sequence[str]) -> Tensor:  # noqa: ARG002
        raise UsageError(f"backbone {self.name!r} has no text tower; use openclip: or hf: with one")


def load(
    spec: str,
    *,
    image_size: int | None,
    layers: Sequence[str] | None,
    device: torch.device,
    allow_network: bool,  # noqa: ARG001  one signature for all loaders; nothing is ever fetched
) -> PixelBackbone:
    """`spec` is empty: there are no weights to name."""
    if spec:
        raise UsageError(f"backbone 'pixels' has no weights; leave out {':' + spec!r}")
    pick_layers(layers, LAYERS, LAYERS, "pixels")
    return PixelBackbone(image_size or IMAGE_SIZE, device)
