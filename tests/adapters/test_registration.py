"""The trained part of RegAD: grids of any shape, and shapes that are none."""

import pytest
import torch

from inctrl.adapters import build_module
from inctrl.adapters.registration import Registration, SpatialTransformer
from inctrl.errors import InvalidFile


@pytest.mark.parametrize("grid", [(56, 56), (14, 14), (7, 9), (1, 5)])
def test_a_new_transformer_is_the_identity_on_any_grid(grid: tuple[int, int]) -> None:
    torch.manual_seed(0)
    module = SpatialTransformer(3, grid, hidden=8).eval()
    maps = torch.randn(2, 3, *grid)
    warped, theta = module(maps)
    assert torch.equal(theta, torch.eye(2, 3).expand(2, 2, 3))
    torch.testing.assert_close(warped, maps, atol=1e-4, rtol=0)


def test_the_released_sizes() -> None:
    """ResNet-18 at 224 pixels: 16 x 14 x 14, 16 x 7 x 7 and 16 x 4 x 4 into 1024."""
    module = Registration([64, 128, 256], [(56, 56), (28, 28), (14, 14)])
    widths = [t.fc[0].in_features for t in module.transformers]  # type: ignore[index,union-attr]
    assert widths == [16 * 14**2, 16 * 7**2, 16 * 4**2]
    assert module.encoder.conv3.weight.shape == (256, 256, 1, 1)


def test_a_module_is_built_again_from_its_shape() -> None:
    module = Registration([4, 6], [(5, 3), (3, 2)], "translation", hidden=8)
    again = build_module("registration", module.shape, "here")
    again.load_state_dict(module.state_dict())
    assert again.shape == module.shape


@pytest.mark.parametrize(
    "shape",
    [
        {"channels": [4], "grids": [[5, 3]], "mode": "twist"},
        {"channels": [4, 4], "grids": [[5, 3]]},
        {"channels": [], "grids": []},
        {"channels": [4], "grids": [[5]]},
        {"channels": ["4"], "grids": [[5, 3]]},
        {"positions": 3},
    ],
)
def test_shapes_that_are_none_are_refused(shape: dict[str, object]) -> None:
    with pytest.raises(InvalidFile, match="'here' has no shape of kind 'registration'"):
        build_module("registration", shape, "here")


def test_equal_maps_are_at_their_best_when_predicted() -> None:
    """With the predictor as the identity of codes the loss of an image and itself is -1."""
    torch.manual_seed(0)
    module = Registration([32], [(3, 3)]).eval()
    maps = torch.randn(2, 32, 3, 3)
    module.predictor = torch.nn.Identity()  # type: ignore[assignment]
    torch.testing.assert_close(module.loss_map(maps, maps), torch.full((2, 3, 3), -1.0))
    assert (module.loss_map(maps, maps.flip(0)) > -1).all()


def test_codes_of_zero_give_a_finite_loss() -> None:
    module = Registration([4], [(3, 3)]).eval()
    assert torch.equal(
        module.loss_map(torch.zeros(1, 4, 3, 3), torch.zeros(1, 4, 3, 3)), torch.zeros(1, 3, 3)
    )
