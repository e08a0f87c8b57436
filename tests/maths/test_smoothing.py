import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from inctrl.maths.grids import resize_map
from inctrl.maths.smoothing import pixel_map, pixel_size, smooth


@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (5, 9), (40, 33)])
@pytest.mark.parametrize("sigma", [0.8, 4.0])
@pytest.mark.parametrize(("edge", "scipy"), [("symmetric", "reflect"), ("mirror", "mirror")])
def test_smoothing_is_scipys(shape: tuple[int, int], sigma: float, edge: str, scipy: str) -> None:
    values = np.random.default_rng(0).random((2, *shape))
    ours = smooth(torch.from_numpy(values), sigma, edge)  # type: ignore[arg-type]
    theirs = gaussian_filter(values, (0, sigma, sigma), mode=scipy)  # type: ignore[call-overload]
    np.testing.assert_allclose(ours.numpy(), theirs, atol=1e-12)


def test_the_longer_side_of_a_map_is_given() -> None:
    torch.manual_seed(0)
    maps = torch.rand(3, 4, 7)
    assert pixel_size(maps.shape[1:], 56) == (32, 56)
    assert pixel_map(maps, 56).shape == (3, 32, 56)
    torch.testing.assert_close(pixel_map(maps, 56), smooth(resize_map(maps, (32, 56)), 1.0))
    flat = pixel_map(torch.full((1, 4, 7), 2.5), 56)
    torch.testing.assert_close(flat, torch.full((1, 32, 56), 2.5))
