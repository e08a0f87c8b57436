import torch

from inctrl.maths.neighbours import unit
from inctrl.maths.residuals import image_residual, patch_residuals


def test_a_patch_seen_before_has_zero_residual() -> None:
    references = unit(torch.randn(20, 6))
    residuals = patch_residuals(references[None, 3:5], references)
    torch.testing.assert_close(residuals, torch.zeros(1, 2), atol=1e-6, rtol=0)
    assert (residuals >= 0).all()


def test_opposite_is_one_and_orthogonal_a_half() -> None:
    reference = torch.tensor([[1.0, 0.0]])
    query = torch.tensor([[[-1.0, 0.0], [0.0, 1.0]]])
    torch.testing.assert_close(patch_residuals(query, reference), torch.tensor([[1.0, 0.5]]))


def test_more_references_never_raise_a_residual() -> None:
    query, references = unit(torch.randn(2, 9, 5)), unit(torch.randn(30, 5))
    few, many = patch_residuals(query, references[:10]), patch_residuals(query, references)
    assert (many <= few + 1e-7).all()
    assert (many < few).any()


def test_image_residual_is_mean_shot_minus_query() -> None:
    shots = torch.tensor([[1.0, 2.0], [3.0, 6.0]])
    assert image_residual(torch.tensor([[1.0, 1.0]]), shots).tolist() == [[1.0, 3.0]]
