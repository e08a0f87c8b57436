"""RegAD's trained part: spatial transformers, and the siamese head that trains them (ECCV 2022)."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from inctrl.maths.warps import MODES, identity_params, theta_of, warp

LEAST_NORM = 1e-8
"""The least length a cosine divides by: the head can give exact zeros."""


class SpatialTransformer(nn.Module):
    """Warps the map of a stage by an affine transform that it reads off that map.

    A new one is the identity. The keys of its weights are those of the release, which fixes the
    grid to inputs of 224 pixels; here it follows from the stage.

    channels, grid   d and (h, w) of the stage
    mode             what the transform may do: a name in maths/warps.py
    hidden           width of the localisation head
    """

    def __init__(
        self, channels: int, grid: Sequence[int], mode: str = "rotation_scale", hidden: int = 1024
    ) -> None:
        super().__init__()
        identity = identity_params(mode)
        self.mode = mode
        rows, columns = ((side + 3) // 4 for side in grid)  # each pooling halves, rounded up
        self.conv = nn.Sequential(
            nn.Conv2d(channels, 64, 3, padding=1, bias=False),
            nn.BatchNorm2d(64),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2, padding=1),
            nn.Conv2d(64, 16, 3, padding=1, bias=False),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2, padding=1),
        )
        last = nn.Linear(hidden, MODES[mode])
        self.fc = nn.Sequential(nn.Linear(16 * rows * columns, hidden), nn.ReLU(), last)
        with torch.no_grad():
            last.weight.zero_()
            last.bias.copy_(identity)

    def forward(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Maps b d h w -> the same warped, and theta b 2 3."""
        theta = theta_of(self.fc(self.conv(maps).flatten(1)), self.mode)
        return warp(maps, theta), theta


class Encoder(nn.Module):
    """Three 1x1 convolutions, each but the last with batch norm and ReLU: b d h w -> b d h w."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = _pointwise(channels)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = _pointwise(channels)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = _pointwise(channels)

    def forward(self, maps: Tensor) -> Tensor:
        maps = F.relu(self.bn1(self.conv1(maps)))
        maps = F.relu(self.bn2(self.conv2(maps)))
        encoded: Tensor = self.conv3(maps)
        return encoded


class Predictor(nn.Module):
    """Two 1x1 convolutions with batch norm and ReLU between them: b d h w -> b d h w."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = _pointwise(channels)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = _pointwise(channels)

    def forward(self, maps: Tensor) -> Tensor:
        predicted: Tensor = self.conv2(F.relu(self.bn1(self.conv1(maps))))
        return predicted


class Registration(nn.Module):
    """A spatial transformer for each stage, and the head on the last stage's map.

    channels, grids   d and (h, w) of each stage, finest first
    """

    def __init__(
        self,
        channels: Sequence[int],
        grids: Sequence[Sequence[int]],
        mode: str = "rotation_scale",
        hidden: int = 1024,
    ) -> None:
        super().__init__()
        if not channels:
            raise ValueError("channels is empty")
        self.shape: dict[str, Any] = {
            "channels": list(channels),
            "grids": [list(grid) for grid in grids],
            "mode": mode,
            "hidden": hidden,
        }
        self.transformers = nn.ModuleList(
            SpatialTransformer(d, grid, mode, hidden)
            for d, grid in zip(channels, grids, strict=True)
        )
        self.encoder = Encoder(channels[-1])
        self.predictor = Predictor(channels[-1])

    def loss_map(self, query: Tensor, support: Tensor) -> Tensor:
        """How unlike each other two registered maps b d h w are at each place: b h w in [-1, 1].

        Its mean is the loss: half the negative cosine of the query's prediction to the support's
        code, and the same the other way round; nothing flows back through a code as the target.
        """
        code_q, code_s = self.encoder(query), self.encoder(support)
        predicted_q, predicted_s = self.predictor(code_q), self.predictor(code_s)
        return -(_cosine(predicted_q, code_s.detach()) + _cosine(predicted_s, code_q.detach())) / 2


def _cosine(a: Tensor, b: Tensor) -> Tensor:
    """b d h w twice -> b h w."""
    return F.cosine_similarity(a, b, dim=1, eps=LEAST_NORM)


def _pointwise(channels: int) -> nn.Conv2d:
    return nn.Conv2d(channels, channels, 1, bias=False)
