"""Files of tensors, read without ever running what is in them (no pickle)."""

from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from inctrl.errors import InvalidFile, MissingModel


def read_tensors(path: Path) -> Any:
    """What a `.safetensors` or torch file holds; only plain tensors and containers are read."""
    if not path.is_file():
        raise MissingModel(f"no file {str(path)!r}; check the path")
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # both readers raise many types on damaged or unsafe files
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InvalidFile(
            f"{str(path)!r} is not a readable weights file ({reason}); only plain tensors are read"
        ) from None


def read_state(path: Path) -> dict[str, Tensor]:
    """A state dict by name; wrappers (`state_dict`, `model_state`, `model`) are taken off."""
    stored = read_tensors(path)
    for wrapper in ("state_dict", "model_state", "model"):
        if isinstance(stored, dict) and isinstance(stored.get(wrapper), dict):
            stored = stored[wrapper]
    if not isinstance(stored, dict) or not all(isinstance(v, Tensor) for v in stored.values()):
        raise InvalidFile(f"{str(path)!r} does not hold a state dict of tensors")
    return {str(name).removeprefix("module."): tensor for name, tensor in stored.items()}
