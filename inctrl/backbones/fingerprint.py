"""The identity of a backbone: equal fingerprints mean equal features."""

import hashlib
from collections.abc import Mapping, Sequence

from torch import Tensor

from inctrl.backbones.preprocess import Preprocessing

UNUSED = ("logit_scale", "logit_bias", "num_batches_tracked")
"""Entries of a state dict that no feature depends on; the official InCTRL files lack the first."""


def fingerprint(
    weights: Mapping[str, Tensor], preprocessing: Preprocessing, layers: Sequence[str]
) -> str:
    """sha256 over weights (names, types, shapes, bytes), preprocessing and layers."""
    digest = hashlib.sha256(repr((preprocessing, tuple(layers))).encode())
    for name in sorted(weights):
        if name.endswith(UNUSED):
            continue
        tensor = weights[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.flatten().view(-1).numpy().tobytes())
    return digest.hexdigest()
