"""Low-rank updates of an image tower (LoRA: Hu et al., ICLR 2022) as a part of an adapter.

"lora": {"rank": 4, "alpha": 4.0, "targets": ["blocks.0.conv_pw", ...]}     in its config
lora.blocks.0.conv_pw.lora_A.weight                                         in its weights
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from inctrl.files.tensors import differences, refuse_faults

PREFIX = "lora."
"""Of the tensors' names in the weights file, which holds the adapter's module too."""


@dataclass(frozen=True)
class LoraShape:
    """W of each target becomes W + alpha / rank * B A.

    targets   names of modules of the image tower
    """

    rank: int
    alpha: float
    targets: tuple[str, ...]

    @classmethod
    def read(cls, stored: Mapping[str, Any]) -> "LoraShape":
        """As `described` gives it; ValueError or TypeError for anything else."""
        found = cls(**stored)
        if type(found.rank) is not int or found.rank < 1:
            raise ValueError(f"lora rank is {found.rank!r}, not a positive number")
        if not (math.isfinite(found.alpha) and found.alpha > 0):
            raise ValueError(f"lora alpha is {found.alpha!r}, not a positive number")
        named = isinstance(found.targets, list) and all(isinstance(t, str) for t in found.targets)
        if not (named and found.targets):
            raise ValueError("lora targets are not a list of names")
        return cls(found.rank, float(found.alpha), tuple(found.targets))

    @property
    def described(self) -> dict[str, Any]:
        return {"rank": self.rank, "alpha": self.alpha, "targets": list(self.targets)}

    def tensors_for(self, tower: nn.Module) -> dict[str, tuple[int, ...]]:
        """Names and shapes of the tensors that a tower takes; it may lack some of the targets."""
        shapes: dict[str, tuple[int, ...]] = {}
        modules = dict(tower.named_modules())
        for target in self.targets:
            weight = getattr(modules.get(target), "weight", None)
            if isinstance(weight, Tensor) and weight.ndim > 1:
                out, *others = weight.shape
                shapes[f"{target}.lora_A.weight"] = (self.rank, *others)
                shapes[f"{target}.lora_B.weight"] = (out, self.rank, *(1 for _ in others[1:]))
        return shapes


@dataclass(frozen=True, eq=False)
class Lora:
    """Trained updates: A and B of every target, by name as peft stores them."""

    shape: LoraShape
    tensors: Mapping[str, Tensor]

    @property
    def packed(self) -> dict[str, Tensor]:
        """As they lie in the weights file."""
        return {f"{PREFIX}{name}": tensor for name, tensor in self.tensors.items()}


def unpack(
    shape: LoraShape, stored: Mapping[str, Tensor], tower: nn.Module, source: str
) -> tuple[Lora, dict[str, Tensor]]:
    """The updates in a weights file, and the tensors that are no part of them.

    InvalidFile that lists what is missing, mis-shaped or left over for this tower.
    """
    shapes = shape.tensors_for(tower)
    given = {name: tensor for name, tensor in stored.items() if name.startswith(PREFIX)}
    absent = [t for t in shape.targets if f"{t}.lora_A.weight" not in shapes]
    wanted = {f"{PREFIX}{name}": size for name, size in shapes.items()}
    faults = {"targets that the image tower lacks": absent, **differences(wanted, given)}
    refuse_faults(faults, source)
    others = {name: tensor for name, tensor in stored.items() if name not in given}
    return Lora(shape, {n.removeprefix(PREFIX): t for n, t in given.items()}), others
