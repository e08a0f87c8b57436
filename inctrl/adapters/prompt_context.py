"""CoOp's trained part: the vectors that stand in a prompt in place of words."""

import hashlib
from typing import Any

import torch
from torch import Tensor, nn

from inctrl.maths.placement import POSITIONS, Position


class PromptContext(nn.Module):
    """Learned context vectors, in single precision: smaller ones lose the updates of SGD.

    length       number m of vectors
    width        d of the text tower's tokens
    contexts     1: all classes share one context; else one for each class, in their order
    position     where the class name stands among the vectors (maths/placement.py)
    temperature  what cosines of images and prompts are divided by
    """

    def __init__(
        self,
        length: int,
        width: int,
        contexts: int = 1,
        position: Position = "end",
        temperature: float = 0.01,
    ) -> None:
        super().__init__()
        if position not in POSITIONS:
            raise ValueError(f"position is {position!r}, none of {', '.join(POSITIONS)}")
        if not temperature > 0:
            raise ValueError(f"temperature is {temperature!r}, not a positive number")
        self.position = position
        self.temperature = temperature
        self.vectors = nn.Parameter(torch.zeros(contexts, length, width))

    @property
    def shape(self) -> dict[str, Any]:
        """What it was built with, by name."""
        contexts, length, width = self.vectors.shape
        return {
            "length": length,
            "width": width,
            "contexts": contexts,
            "position": self.position,
            "temperature": self.temperature,
        }

    @property
    def sha256(self) -> str:
        """A hash of the vectors and of how they are used."""
        found = hashlib.sha256(repr(self.shape).encode())
        found.update(self.vectors.detach().cpu().numpy().tobytes())
        return found.hexdigest()

    def for_items(self, count: int) -> Tensor:
        """The context of `count` items' prompts, each with all classes in order: (n) m d."""
        return self.vectors[0] if len(self.vectors) == 1 else self.vectors.repeat(count, 1, 1)
