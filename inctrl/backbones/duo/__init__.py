"""`duo`: the towers of `tiny`, and the middle of a small vision transformer beside them.

vit.py        the transformer, as far as its blocks are tapped
backbone.py   both as one backbone
weights/      the transformer's weights, and the card of where they come from
"""

from collections.abc import Sequence
from pathlib import Path

import torch

from inctrl.backbones.duo.backbone import DuoBackbone
from inctrl.backbones.duo.vit import PATCH
from inctrl.backbones.precision import resolved_precision
from inctrl.backbones.tiny import SHIPPED
from inctrl.backbones.tiny.backbone import DESCRIBED
from inctrl.backbones.tiny.tower import STRIDE, load_tower
from inctrl.backbones.weights import pick_layers, refuse_size
from inctrl.errors import UsageError

WEIGHTS = Path(__file__).with_name("weights") / "vit.safetensors"
IMAGE_SIZE = 280
"""Of the transformer; the tower of `tiny` sees the same square at the next multiple of 32."""
LAYERS = ("block6", "block8", "stride16", "stride32")
"""The measured best sum: the last blocks of the transformer were tuned for something else."""
KNOWN = (
    *("stride2", "stride4", "stride8"),
    *(f"block{number}" for number in range(1, 9)),
    *("stride16", "stride32"),
)
"""Finest grid first: a block has a place for every 14 pixels."""


def load(
    spec: str,
    *,
    image_size: int | None,
    layers: Sequence[str] | None,
    device: torch.device,
    allow_network: bool,  # noqa: ARG001  one signature for all loaders; nothing is ever fetched
    precision: str | None,
) -> DuoBackbone:
    """`spec` is empty: there are no other weights to name."""
    if spec:
        raise UsageError(f"backbone 'duo' has its own weights; leave out {':' + spec!r}")
    size = image_size or IMAGE_SIZE
    refuse_size(size, PATCH, "duo", least=5 * PATCH)
    wanted = pick_layers(layers, LAYERS, KNOWN, "duo")
    strides = [layer for layer in wanted if layer.startswith("stride")]
    tower = load_tower(-(-size // STRIDE) * STRIDE, (*strides, *DESCRIBED), device)
    return DuoBackbone(tower, SHIPPED, WEIGHTS, wanted, size, resolved_precision(precision, device))
