"""The head that turns residual maps into a map of probabilities, for training with masks."""

import torch
from torch import Tensor, nn

HIDDEN = 16


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
