"""`tiny`, the embedded vision-language model: small, complete, and at work without a network.

tower.py      images: EfficientNet-Lite0 with real ImageNet weights
text.py       sentences: a transformer distilled from a sentence encoder
joint.py      the space where they meet
backbone.py   the three as a backbone
weights/      text tower and joint space, and the card of how they were trained
"""

from collections.abc import Sequence
from pathlib import Path

import torch

from inctrl.backbones.tiny.backbone import DESCRIBED, TinyBackbone
from inctrl.backbones.tiny.tower import load_tower

SHIPPED = Path(__file__).with_name("weights")
LAYERS = ("stride16", "stride32")
"""The measured best sum; `stride8` adds fine detail at a cost (docs/accuracy.md)."""


def load(
    spec: str,
    *,
    image_size: int | None,
    layers: Sequence[str] | None,
    device: torch.device,
    allow_network: bool,  # noqa: ARG001  one signature for all loaders; nothing is ever fetched
) -> TinyBackbone:
    """`spec` is empty, or a folder that the training program wrote (`tiny:FOLDER`)."""
    wanted = tuple(layers or LAYERS)
    tower = load_tower(image_size, (*wanted, *DESCRIBED), device)
    folder, name = (Path(spec), f"tiny:{spec}") if spec else (SHIPPED, "tiny")
    return TinyBackbone(name, tower, folder, wanted)
