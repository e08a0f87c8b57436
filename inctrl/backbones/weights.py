"""What every loader of weights needs: layers by name, devices, offline errors, fingerprints."""

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import huggingface_hub.constants as hub
import torch
from torch import Tensor

from inctrl.errors import InctrlError, MissingModel, UsageError
from inctrl.files.tensors import hash_tensors, matters
from inctrl.preprocessing import Preprocessing
from inctrl.registry import unknown

OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
TEXT_BATCH = 64
"""Sentences encoded at once; bounds the memory of a long prompt bank."""
DEFAULT_TWELFTHS = (7, 9, 11)
"""InCTRL's taps (Zhu and Pang, CVPR 2024) in twelfths of the depth: blocks 7, 9 and 11 of 12."""


def resolved_device(device: str) -> torch.device:
    """`auto` is the first GPU where there is one, else the CPU."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(f"device {device!r} cannot be used ({reason}); try 'cpu'") from None
    return chosen


def refuse_size(size: int | None, patch: int, backbone: str, *, least: int = 0) -> None:
    """UsageError where a chosen image size would cut patches, or is too small."""
    if size and (size % patch or size < least):
        smallest = f" from {least} on" if least else ""
        raise UsageError(
            f"image size {size} does not fit {backbone!r}; give a multiple of {patch}{smallest}"
        )


def pick_layers(
    wanted: Sequence[str] | None, default: Sequence[str], known: Sequence[str], backbone: str
) -> tuple[str, ...]:
    """The wanted layers in the tower's order, each checked against the known ones."""
    chosen = list(wanted) if wanted else list(default)
    for layer in chosen:
        if layer not in known:
            raise unknown(layer, known, f"layer of {backbone}")
    return tuple(layer for layer in known if layer in chosen)


def default_blocks(depth: int) -> tuple[str, ...]:
    """Names of the blocks tapped by default in a transformer, counted from 1.

    `block7 block9 block11` of 12 blocks, and the nearest to the same shares of other depths
    (14, 18, 22 of 24); shallow towers yield fewer.
    """
    # In integers, halves rounded up: 4, 5, 6 of 6.
    blocks = dict.fromkeys(max(1, (2 * depth * n + 12) // 24) for n in DEFAULT_TWELFTHS)
    return tuple(f"block{block}" for block in blocks)


@contextmanager
def wanted(
    spec: str, what: str, allow_network: bool, where: Path | None = None, *, on_hub: bool = True
) -> Iterator[None]:
    """Load through a hub client, offline unless allowed; a miss becomes one clear line.

    where    the folder that is looked into; default: the local Hugging Face cache
    on_hub   false for weights published elsewhere, which a client would fetch whatever its switch
    """
    before = {name: os.environ.get(name) for name in OFFLINE}
    was_offline = hub.HF_HUB_OFFLINE
    if not allow_network:
        # The hub client reads its switch once, at import; this reaches it afterwards too.
        hub.HF_HUB_OFFLINE = True
        os.environ.update(OFFLINE)
    try:
        if not on_hub and not allow_network:
            raise FileNotFoundError("published outside the hub")
        yield
    except InctrlError:
        raise
    except Exception as error:  # hub clients and loaders raise many types for a missing file
        reason = " ".join(str(error).split())[:200]
        folder = str(where or hub.HF_HUB_CACHE)
        raise MissingModel(
            f"{spec!r}: {what} not found in {folder!r} ({reason}); give a local file or folder; "
            "the embedded backbone 'tiny' works without",
            fix=None if allow_network or where else "allow the network",
        ) from error
    finally:
        if not allow_network:
            hub.HF_HUB_OFFLINE = was_offline
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value


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
