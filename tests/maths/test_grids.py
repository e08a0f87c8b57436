import torch

from inctrl.maths.grids import mean_map, resize_map, top_mean


def test_top_mean_of_three_per_cent_of_324_positions_takes_ten() -> None:
    values = torch.arange(324.0)
    assert top_mean(values, 0.03) == values[-10:].mean()


def test_top_mean_takes_one_value_at_least_and_all_at_most() -> None:
    values = torch.tensor([1.0, 5.0, 3.0])
    assert top_mean(values, 1e-9) == 5
    assert top_mean(values, 1.0) == 3


def test_maps_are_averaged_on_the_grid_of_the_first() -> None:
    fine, coarse = torch.zeros(1, 4, 4), torch.ones(1, 2, 2)
    torch.testing.assert_close(mean_map([fine, coarse]), torch.full((1, 4, 4), 0.5))


def test_resizing_keeps_half_pixel_centres() -> None:
    row = resize_map(torch.tensor([[[0.0, 1.0]]]), (1, 4))[0, 0]
    torch.testing.assert_close(row, torch.tensor([0.0, 0.25, 0.75, 1.0]))
