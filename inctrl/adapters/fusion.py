"""InCTRL's trained part: the bottleneck and the two heads, and how they fuse the residuals."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from inctrl.adapters.bottleneck import Bottleneck
from inctrl.adapters.pixel_head import PixelHead
from inctrl.adapters.residual_head import ResidualHead
from inctrl.maths.residuals import image_residual


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
