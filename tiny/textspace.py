"""The space of the text tower: the teacher's, centred on the corpus, its 256 main directions."""

from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor
from torch.nn.functional import normalize, pad

WIDTH = 256


@dataclass(frozen=True, eq=False)
class TextSpace:
    """mean d; projection d e, its columns orthonormal (zeros beyond d where d < e)."""

    mean: Tensor
    projection: Tensor

    @classmethod
    def fit(cls, embeddings: Tensor, width: int = WIDTH) -> "TextSpace":
        """Principal directions of teacher embeddings n d, widest first, signs fixed."""
        mean = embeddings.mean(dim=0)
        centred = (embeddings - mean).double()
        _, directions = torch.linalg.eigh(centred.T @ centred)
        directions = directions.flip(1)[:, :width]
        largest = directions.abs().argmax(dim=0)
        directions = directions * directions[largest, torch.arange(directions.shape[1])].sign()
        missing = width - directions.shape[1]
        return cls(mean, pad(directions, (0, missing)).float())

    def __call__(self, embeddings: Tensor) -> Tensor:
        """n d -> n e, unit length."""
        return normalize(self.centre(embeddings), dim=-1)

    def centre(self, embeddings: Tensor) -> Tensor:
        """n d -> n e, not normalised."""
        return (embeddings - self.mean) @ self.projection

    def save(self, path: Path) -> None:
        tensors = {"mean": self.mean, "projection": self.projection.contiguous()}
        safetensors.torch.save_file(tensors, path)
