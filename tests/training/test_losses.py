import pytest
import torch
from sklearn.metrics import log_loss

from inctrl.training.losses import cross_entropy, focal, released, segmentation

SCORES, LABELS = torch.tensor([0.9, 0.2, 0.6, 0.4]), torch.tensor([1.0, 0.0, 0.0, 1.0])


def test_cross_entropy_is_the_mean_negative_log_likelihood() -> None:
    expected = log_loss(LABELS.numpy(), SCORES.numpy())
    assert float(cross_entropy(SCORES, LABELS)) == pytest.approx(expected, rel=1e-5)


def test_focal_weighs_each_image_by_the_square_of_its_error() -> None:
    errors = (SCORES - LABELS).abs()
    expected = (errors.square() * -(1 - errors).log()).mean()
    torch.testing.assert_close(focal(SCORES, LABELS), expected)


def test_the_released_loss_takes_the_sigmoid_of_probabilities() -> None:
    torch.testing.assert_close(released(SCORES, LABELS), focal(SCORES.sigmoid(), LABELS))


def test_the_released_loss_has_a_floor() -> None:
    assert float(released(torch.ones(1), torch.ones(1))) == pytest.approx(0.0227, abs=1e-4)
    assert float(released(torch.zeros(1), torch.zeros(1))) == pytest.approx(0.1733, abs=1e-4)


def test_certain_and_wrong_costs_much_but_not_infinitely() -> None:
    for loss in (focal, cross_entropy):
        cost = loss(torch.tensor([0.0, 1.0]), torch.tensor([1.0, 0.0]))
        assert 5 < float(cost) < 50


def test_a_perfect_map_costs_nothing_and_a_wrong_one_more_than_none() -> None:
    shares = torch.zeros(2, 4, 4)
    shares[0, 1:3, 1:3] = 1
    perfect = segmentation(shares.clone(), shares)
    nothing = segmentation(torch.full((2, 4, 4), 1e-6), shares)
    inverted = segmentation(1 - shares, shares)
    assert float(perfect) == pytest.approx(0, abs=1e-4)
    assert perfect < nothing < inverted


def test_overlap_is_asked_of_images_with_anomalous_cells_alone() -> None:
    maps, shares = torch.full((2, 4, 4), 0.3), torch.zeros(2, 4, 4)
    torch.testing.assert_close(segmentation(maps, shares), focal(maps, shares))
    shares[0, 0, 0] = 1
    dice = 1 - 2 * 0.3 / (16 * 0.3 + 1)
    expected = focal(maps, shares) + dice
    torch.testing.assert_close(segmentation(maps, shares), expected, atol=1e-5, rtol=0)
