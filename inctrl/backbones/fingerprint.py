"""The identity of a backbone: equal fingerprints mean equal features."""

import hashlib
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from inctrl.backbones.preprocess import Preprocessing
from inctrl.files.tensors import matters


def fingerprint(
    weights: Mapping[str, Tensor],
    preprocessing: Preprocessing,
    layers: Sequence[str],
    architecture: str,
) -> str:
    """sha256 over weights (names, types, shapes, bytes), preprocessing, layers and architecture.

    architecture   what the weights do not show: activation, number of heads, padding
    """
    digest = hashlib.sha256(repr((preprocessing, tuple(layers), architecture)).encode())
    for name in sorted(filter(matters, weights)):
        tensor = weights[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
