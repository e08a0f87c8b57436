"""InCTRL's trained part: the bottleneck and the two heads, and how they fuse the residuals."""

from dataclasses import dataclass

from torch import Tensor, nn

from inctrl.adapters.bottleneck import Bottleneck
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

    embed       width e of the image token
    positions   number n of positions of the residual map
    """

    def __init__(self, embed: int, positions: int) -> None:
        super().__init__()
        self.embed = embed
        self.positions = positions
        self.bottleneck = Bottleneck(embed)
        self.image_head = ResidualHead(embed)
        self.map_head = ResidualHead(positions)

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
