"""What every loader of weights needs: reading files safely, layers by name, offline errors."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from inctrl.errors import InvalidFile, MissingModel, UsageError
from inctrl.registry import unknown

OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}


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


def pick_layers(
    wanted: Sequence[str] | None, default: Sequence[str], known: Sequence[str], backbone: str
) -> tuple[str, ...]:
    """The wanted layers in the tower's order, each checked against the known ones."""
    chosen = list(wanted) if wanted else list(default)
    for layer in chosen:
        if layer not in known:
            raise unknown(layer, known, f"layer of {backbone}")
    return tuple(layer for layer in known if layer in chosen)


def read_state(path: Path) -> dict[str, Tensor]:
    """A state dict from a `.safetensors` or torch file, never unpickling objects.

    Wrappers (`state_dict`, `model_state`, `model`) and a `module.` prefix are taken off.
    """
    if not path.is_file():
        raise MissingModel(f"no weights file {str(path)!r}; check the path")
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        stored = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # both readers raise many types on damaged or unsafe files
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InvalidFile(
            f"{str(path)!r} is not a readable weights file ({reason}); only plain tensors are read"
        ) from None
    for wrapper in ("state_dict", "model_state", "model"):
        if isinstance(stored, dict) and isinstance(stored.get(wrapper), dict):
            stored = stored[wrapper]
    if not isinstance(stored, dict) or not all(isinstance(v, Tensor) for v in stored.values()):
        raise InvalidFile(f"{str(path)!r} does not hold a state dict of tensors")
    return {str(name).removeprefix("module."): tensor for name, tensor in stored.items()}


@contextmanager
def wanted(spec: str, what: str, allow_network: bool) -> Iterator[None]:
    """Load through a hub client, offline unless allowed; a miss becomes one clear line."""
    before = {name: os.environ.get(name) for name in OFFLINE}
    if not allow_network:
        _set_offline(True)
        os.environ.update(OFFLINE)
    try:
        yield
    except InvalidFile:
        raise
    except Exception as error:  # hub clients and loaders raise many types for a missing file
        reason = " ".join(str(error).split())[:200]
        where = os.environ.get("HF_HUB_CACHE") or "the local Hugging Face cache"
        switch = "" if allow_network else " or add --allow-network"
        raise MissingModel(
            f"{spec!r}: {what} not found in {where} ({reason}); give a local file or folder"
            f"{switch}; the embedded backbone 'tiny' works without"
        ) from error
    finally:
        if not allow_network:
            _set_offline(False)
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value


def _set_offline(offline: bool) -> None:
    """The hub client reads its switch once, at import; this reaches it afterwards too."""
    import huggingface_hub.constants as constants

    constants.HF_HUB_OFFLINE = offline
