import torch
from torch.nn import functional as F

from inctrl.adapters.fusion import Bottleneck, InCTRLFusion, ResidualHead


def test_the_bottleneck_is_two_matrices_and_two_relus() -> None:
    torch.manual_seed(0)
    bottleneck, tokens = Bottleneck(8), torch.randn(3, 8)
    a, b = bottleneck.down.weight, bottleneck.up.weight
    torch.testing.assert_close(bottleneck(tokens), F.relu(F.relu(tokens @ a.T) @ b.T))
    assert a.shape == (2, 8)
    assert bottleneck.down.bias is None


def test_the_head_normalises_after_the_relu() -> None:
    torch.manual_seed(0)
    head = ResidualHead(6).eval()
    for norm in (head.norm1, head.norm2):
        norm.running_mean.uniform_(-1, 1)
        norm.running_var.uniform_(0.5, 2)

    def normed(values: torch.Tensor, norm: torch.nn.BatchNorm1d) -> torch.Tensor:
        return (values - norm.running_mean) / (norm.running_var + 1e-5).sqrt()

    x = torch.randn(4, 6)
    hidden = normed(F.relu(head.linear1(x)), head.norm1)
    hidden = normed(F.relu(head.linear2(hidden)), head.norm2)
    torch.testing.assert_close(head(x), torch.sigmoid(head.linear3(hidden)).squeeze(1))


def test_the_fused_score_is_half_of_both_and_text_counts() -> None:
    torch.manual_seed(0)
    fusion = InCTRLFusion(8, 5).eval()
    residuals, query, shots = torch.rand(3, 5), torch.randn(3, 8), torch.randn(2, 8)
    without = fusion(residuals, query, shots, None)
    zero = fusion(residuals, query, shots, torch.zeros(3))
    torch.testing.assert_close(without.final, zero.final)
    torch.testing.assert_close(without.final, (without.holistic + residuals.amax(1)) / 2)
    with_text = fusion(residuals, query, shots, torch.ones(3))
    expected = fusion.map_head(residuals + without.image[:, None] + 1)
    torch.testing.assert_close(with_text.holistic, expected)


def test_one_set_of_shots_serves_all_queries() -> None:
    torch.manual_seed(0)
    fusion = InCTRLFusion(8, 5).eval()
    residuals, query, shots = torch.rand(3, 5), torch.randn(3, 8), torch.randn(2, 8)
    shared = fusion(residuals, query, shots, None).final
    own = fusion(residuals, query, shots.expand(3, 2, 8), None).final
    torch.testing.assert_close(shared, own)
