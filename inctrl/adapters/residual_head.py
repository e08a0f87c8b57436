"""The head that turns a residual vector or map into a probability."""

from torch import Tensor, nn


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
