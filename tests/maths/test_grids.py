import torch

from inctrl.maths.grids import mean_map, resize_map, top_mean, voted_map


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


def test_maps_of_one_grid_share_a_vote() -> None:
    twin, other = torch.full((1, 4, 4), 4.0), torch.ones(1, 2, 2)
    torch.testing.assert_close(voted_map([twin, twin, other]), torch.full((1, 4, 4), 2.5))


def test_votes_are_equal_to_the_last_bit_where_all_grids_differ_or_none_does() -> None:
    torch.manual_seed(0)
    fine, coarse = torch.rand(2, 4, 4), torch.rand(2, 2, 2)
    for maps in ([fine, coarse], [fine, fine.flip(1)]):
        assert torch.equal(voted_map(maps), mean_map(maps))


def test_resizing_keeps_half_pixel_centres() -> None:
    row = resize_map(torch.tensor([[[0.0, 1.0]]]), (1, 4))[0, 0]
    torch.testing.assert_close(row, torch.tensor([0.0, 0.25, 0.75, 1.0]))
