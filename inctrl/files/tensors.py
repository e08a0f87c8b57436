"""Files of tensors: read without running what is in them (no pickle), loaded key by key."""

import hashlib
import pickle
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from inctrl.errors import InvalidFile, MissingModel
from inctrl.files.kinds import is_safetensors, told

UNUSED = ("logit_scale", "logit_bias")
"""Entries of a CLIP state dict that no feature depends on; the official InCTRL files lack the
first. Only the top-level ones: `logit_scale` inside an attention layer shapes the features."""
FEW = 8
"""Faulty keys that an error names before it only counts them."""


def read_tensors(path: Path, what: str = "weights file") -> Any:
    """What a safetensors or torch file holds; only plain tensors and containers are read.

    what    it should be, for the error that says what it is instead
    """
    if not path.exists():
        fetched = str(path).startswith(("http:/", "https:/"))
        hint = "download the file and give its path" if fetched else "check the path"
        raise MissingModel(f"no file {str(path)!r}; {hint}")
    try:
        if found := told(path):  # first: torch warns of what it cannot read
            raise ValueError(found)
        if is_safetensors(path):
            return safetensors.torch.load_file(path)
        with path.open("rb") as file:  # by its name torch would take it for what it is not
            return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # both readers raise many types on damaged or unsafe files
        raise InvalidFile(f"{str(path)!r} is not a readable {what}: {why(path, error)}") from None


def why(path: Path, error: Exception) -> str:
    """Why a file of tensors could not be read: what it is, what it holds, or that it is damaged.

    Never in the words of torch, which tell people to load it without safety.
    """
    if isinstance(error, PermissionError):
        return "it may not be read; change its rights"
    if found := told(path):
        return f"it is {found}"
    if isinstance(error, pickle.UnpicklingError):
        name = re.search(r"GLOBAL ([\w.]+)", str(error))
        objects = f" ({name[1]})" if name else ""
        return (
            f"it holds objects{objects} that could run code when they are loaded, and only plain "
            "tensors are read; give its state dict"
        )
    if isinstance(error, safetensors.SafetensorError) and not is_safetensors(path):
        return "it is a file of torch; save the tensors with safetensors"
    return "it is cut off or damaged; copy or download it again"


def read_state(path: Path) -> dict[str, Tensor]:
    """A state dict by name; wrappers (`state_dict`, `model_state`, `model`) are taken off."""
    stored = read_tensors(path)
    for wrapper in ("state_dict", "model_state", "model"):
        if isinstance(stored, dict) and isinstance(stored.get(wrapper), dict):
            stored = stored[wrapper]
    if not isinstance(stored, dict) or not all(isinstance(v, Tensor) for v in stored.values()):
        raise InvalidFile(f"{str(path)!r} does not hold a state dict of tensors")
    return {str(name).removeprefix("module."): tensor for name, tensor in stored.items()}


def read_part(path: Path, prefix: str) -> dict[str, Tensor]:
    """The tensors under a prefix of a state dict, in single precision and without the prefix."""
    return {
        name.removeprefix(prefix): tensor.float()
        for name, tensor in read_state(path).items()
        if name.startswith(prefix)
    }


def hash_tensors(
    digest: "hashlib._Hash", tensors: Mapping[str, Tensor], *, types: bool = True
) -> None:
    """Add names, types (unless they are left out), shapes and bytes to a digest, in name order."""
    for name, given in sorted(tensors.items()):
        tensor = given.detach().cpu().contiguous()
        kind = f"{tensor.dtype} " if types else ""
        digest.update(f"{name} {kind}{tuple(tensor.shape)}".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().data)


def matters(name: str) -> bool:
    """Whether features depend on this entry of a state dict."""
    return name not in UNUSED and not name.endswith("num_batches_tracked")


def load_exactly(
    model: nn.Module, state: Mapping[str, Tensor], source: str, *, assign: bool = False
) -> None:
    """Load a state dict whose keys and shapes are those of the model.

    assign   let the model have these tensors themselves; one without numbers has to
    Raises InvalidFile that lists what is missing, mis-shaped or left over; entries that no
    feature depends on (`logit_scale`) may be absent.
    """
    own = {n: tuple(tensor.shape) for n, tensor in model.state_dict().items() if matters(n)}
    given = {name: tensor for name, tensor in state.items() if matters(name)}
    refuse_faults(differences(own, given), source)
    model.load_state_dict(given, strict=False, assign=assign)


def differences(
    wanted: Mapping[str, tuple[int, ...]], given: Mapping[str, Tensor]
) -> dict[str, list[str]]:
    """The tensors that do not fit the wanted names and shapes, by kind of fault."""
    return {
        "missing": [name for name in wanted if name not in given],
        "mis-shaped": [
            f"{name} {tuple(given[name].shape)}, wanted {shape}"
            for name, shape in wanted.items()
            if name in given and tuple(given[name].shape) != shape
        ],
        "unknown": [name for name in given if name not in wanted],
    }


def refuse_faults(faults: Mapping[str, Sequence[str]], source: str) -> None:
    """InvalidFile where any kind of fault has keys: a few of each, and how many there are."""
    found = [
        f"{len(keys)} {kind} ({', '.join(keys[:FEW])}{', ...' if len(keys) > FEW else ''})"
        for kind, keys in faults.items()
        if keys
    ]
    if found:
        raise InvalidFile(
            f"{source!r} does not fit the model: {'; '.join(found)}; give the weights of this model"
        )


def pack_layers(
    layers: Sequence[Tensor], kind: str = "patches", /, **others: Tensor
) -> dict[str, Tensor]:
    """Tensors of several layers, and others beside them, under names that sort in layer order."""
    return {f"{kind}{i:02d}": layer for i, layer in enumerate(layers)} | others


def unpack_layers(stored: Mapping[str, Tensor], kind: str = "patches") -> tuple[Tensor, ...]:
    """The layers as `pack_layers` named them, in order."""
    return tuple(stored[name] for name in sorted(stored) if name.startswith(kind))
