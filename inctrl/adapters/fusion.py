"""InCTRL's trained part: bottleneck and heads, and how they fuse the residuals."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from inctrl.maths.residuals import image_residual

HIDDEN = 16
"""Channels of the pixel head between its two convolutions."""


class Bottleneck(nn.Module):
    """relu(B relu(A v)) with A: e -> e/4 and B: e/4 -> e, no biases (InCTRL eq. 3)."""

    def __init__(self, width: int, reduction: int = 4) -> None:
        super().__init__()
        self.down = nn.Linear(width, width // reduction, bias=False)
        self.up = nn.Linear(width // reduction, width, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """... e -> ... e, not negative."""
        adapted: Tensor = self.up(self.down(tokens).relu()).relu()
        return adapted


class ResidualHead(nn.Module):
    """Linear -> ReLU -> BatchNorm twice (128, 64), then Linear -> sigmoid.

    The normalisation comes after the ReLU, as in the release. Its state dict has one more
    BatchNorm over the inputs, which no forward pass uses; it is not kept here.
    """

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.linear1 = nn.Linear(inputs, 128)
        self.norm1 = nn.BatchNorm1d(128)
        self.linear2 = nn.Linear(128, 64)
        self.norm2 = nn.BatchNorm1d(64)
        self.linear3 = nn.Linear(64, 1)

    def forward(self, residuals: Tensor) -> Tensor:
        """b inputs -> b, in (0, 1)."""
        hidden = self.norm1(self.linear1(residuals).relu())
        hidden = self.norm2(self.linear2(hidden).relu())
        probability: Tensor = self.linear3(hidden).sigmoid()[:, 0]
        return probability


class PixelHead(nn.Module):
    """Each cell from the residuals there and around it: batch norm, 3 x 3, ReLU, 1 x 1, sigmoid.

    Not of the paper, whose map is the plain mean of the residuals. The residuals of a query are
    seen beside the image's own mean, so that the head may learn what stands out.
    """

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.layers = layers
        self.norm = nn.BatchNorm2d(2 * layers)
        self.around = nn.Conv2d(2 * layers, HIDDEN, 3, padding=1, padding_mode="replicate")
        self.each = nn.Conv2d(HIDDEN, 1, 1)

    def forward(self, residuals: Tensor) -> Tensor:
        """b l h w residuals on one grid -> b h w in (0, 1)."""
        mean = residuals.mean(dim=(2, 3), keepdim=True).expand_as(residuals)
        seen = self.norm(torch.cat([residuals, residuals - mean], dim=1))
        hidden = self.around(seen).relu()
        probabilities: Tensor = self.each(hidden).sigmoid()[:, 0]
        return probabilities


@dataclass(frozen=True, eq=False)
class FusedScores:
    """Every score of InCTRL for b queries, each b in [0, 1], and the image residual b e."""

    final: Tensor
    image: Tensor
    patch: Tensor
    holistic: Tensor
    image_residual: Tensor


class InCTRLFusion(nn.Module):
    """score = (head_map(M + s_i + s_t) + max M) / 2 (InCTRL section 3.4, as released).

    embed         width e of the image token
    positions     number n of positions of the residual map
    pixel_layers  number of layers that a map of probabilities is made from; 0: there is none
    """

    def __init__(self, embed: int, positions: int, pixel_layers: int = 0) -> None:
        super().__init__()
        self.embed = embed
        self.positions = positions
        self.pixel_head = PixelHead(pixel_layers) if pixel_layers else None
        self.bottleneck = Bottleneck(embed)
        self.image_head = ResidualHead(embed)
        self.map_head = ResidualHead(positions)

    @property
    def shape(self) -> dict[str, Any]:
        """What it was built with."""
        sizes = {"embed": self.embed, "positions": self.positions}
        return sizes | ({"pixel_layers": self.pixel_head.layers} if self.pixel_head else {})

    def forward(
        self, residuals: Tensor, query: Tensor, shots: Tensor, text: Tensor | None
    ) -> FusedScores:
        """
        residuals   b n        mean residual map M
        query       b e        image tokens of the queries, not normalised
        shots       (b) k e    image tokens of the shots, one set for all or one each
        text        b          text prior s_t; None counts as 0
        """
        residual = image_residual(self.bottleneck(query), self.bottleneck(shots))
        image: Tensor = self.image_head(residual)
        holistic_map = residuals + image[:, None]
        if text is not None:
            holistic_map = holistic_map + text[:, None]
        holistic: Tensor = self.map_head(holistic_map)
        patch = residuals.amax(dim=-1)
        return FusedScores((holistic + patch) / 2, image, patch, holistic, residual)
