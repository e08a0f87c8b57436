"""A convolutional timm model cut into the parts between its tapped stages."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

CLOSE = 1e-4


def segments(model: Any, indices: Sequence[int], size: int) -> tuple[nn.Module, ...] | None:
    """The parts that in turn bring pixels b 3 S S to the maps b d h w of some stages.

    None where the model is no chain of its modules. Whether it is one cannot be read off it, so
    the parts are run on a pattern of side `size` and compared with the model.

    indices   of `feature_info`, rising
    """
    parts = _cut(model, [model.feature_info[i]["module"] for i in indices])
    return parts if parts and _agree(parts, model, indices, size) else None


def _cut(model: nn.Module, ends: Sequence[str]) -> tuple[nn.Module, ...] | None:
    """The modules in their order, cut behind those at the paths `ends`; None if one is missing."""
    parts, wanted = [nn.Sequential()], list(ends)
    for path, module in _chain(model, "", ends):
        if not wanted:
            break
        parts[-1].append(module)
        if path == wanted[0]:
            wanted.pop(0)
            parts.append(nn.Sequential())
    return None if wanted else tuple(parts[: len(ends)])


def _chain(model: nn.Module, prefix: str, ends: Sequence[str]) -> Iterator[tuple[str, nn.Module]]:
    """Children with their paths, taken apart only where an end lies inside of them."""
    for name, child in model.named_children():
        path = f"{prefix}{name}"
        if any(end.startswith(f"{path}.") for end in ends):
            yield from _chain(child, f"{path}.", ends)
        else:
            yield path, child


@torch.inference_mode()
def _agree(parts: Sequence[nn.Module], model: Any, indices: Sequence[int], size: int) -> bool:
    maps = _pattern(size).to(next(model.parameters()))
    _, expected = model.forward_intermediates(maps, indices=list(indices))
    for part, target in zip(parts, expected, strict=True):
        try:
            maps = part(maps)
        except (TypeError, ValueError, RuntimeError, NotImplementedError):
            return False  # a module that takes something else than the map before it
        if maps.shape != target.shape or not torch.allclose(maps, target, CLOSE, CLOSE):
            return False
    return True


def _pattern(size: int) -> Tensor:
    """1 3 S S: smooth, and different in every channel."""
    ramp = torch.linspace(-1, 1, size).expand(size, size)
    return torch.stack([ramp, ramp.T, (9 * ramp * ramp.T).sin()])[None]
