"""The identity of a backbone: equal fingerprints mean equal features."""

import hashlib
from collections.abc import Mapping, Sequence

from torch import Tensor

from inctrl.files.tensors import hash_tensors, matters
from inctrl.preprocessing import Preprocessing


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
    hash_tensors(digest, {name: weights[name] for name in filter(matters, weights)})
    return digest.hexdigest()
