"""The adapter of InCTRL's image tokens."""

from torch import Tensor, nn


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
