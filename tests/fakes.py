"""A backbone without weights: what it sees of a cell is its mean colour, and little more."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from inctrl.preprocessing import Preprocessing
from inctrl.types import Features


class FakeBackbone:
    """Two layers (8 x 8 and 4 x 4 cells) of colour statistics; counts the images it encodes."""

    name = "fake"
    layers = ("fine", "coarse")
    precision = "float32"

    def __init__(self, fingerprint: str = "fake-1", has_text: bool = False) -> None:
        self.fingerprint = fingerprint
        self.has_text = has_text
        self.encoded = 0
        self.sentences = 0
        half = (0.5, 0.5, 0.5)
        self.preprocessing = Preprocessing(size=32, mean=half, std=half)

    @property
    def image_size(self) -> int:
        return self.preprocessing.size

    def encode_images(self, pixels: Tensor) -> Features:
        self.encoded += len(pixels)
        return Features(
            (self._cells(pixels, 8), self._cells(pixels, 4)), self._cells(pixels, 1)[:, 0, 0]
        )

    def encode_text(self, sentences: Sequence[str]) -> Tensor:
        self.sentences += len(sentences)
        return torch.tensor(
            [
                [float("damaged" in s or "with " in s), 1.0, len(s) / 100, 0, 0, 0, 0]
                for s in sentences
            ]
        )

    def _cells(self, pixels: Tensor, grid: int) -> Tensor:
        mean = F.adaptive_avg_pool2d(pixels, grid)
        square = F.adaptive_avg_pool2d(pixels.square(), grid)
        one = torch.ones_like(mean[:, :1])
        return torch.cat([mean, square, one], dim=1).permute(0, 2, 3, 1)
