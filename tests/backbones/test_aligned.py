"""Convolutional towers in stages, and with spatial transformers between them."""

from pathlib import Path

import pytest
import safetensors.torch
import timm
import torch
from fakes import FakeBackbone
from torch import Tensor

from inctrl.adapters.registration import Registration
from inctrl.backbones import load_backbone
from inctrl.backbones.aligned import aligned, staged
from inctrl.backbones.cnn import segments
from inctrl.errors import UsageError
from inctrl.maths.warps import inverse, warp
from inctrl.protocols import Backbone

STAGES = ("stride4", "stride8", "stride16")


@pytest.fixture(scope="module", params=["tiny", "cnn"])
def backbone(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Backbone:
    if request.param == "tiny":
        return load_backbone("tiny", image_size=64, layers=STAGES, device="cpu")
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("cnn") / "weights.safetensors"
    safetensors.torch.save_file(timm.create_model("test_resnet").state_dict(), path)
    return load_backbone(f"cnn:test_resnet/{path}", image_size=64, layers=STAGES, device="cpu")


def pixels(backbone: Backbone, b: int = 2) -> Tensor:
    size = backbone.image_size
    return torch.randn(b, 3, size, size, generator=torch.Generator().manual_seed(0))


def registration(backbone: Backbone) -> Registration:
    patches = backbone.encode_images(pixels(backbone, 1)).patches
    torch.manual_seed(0)
    return Registration([p.shape[3] for p in patches], [p.shape[1:3] for p in patches], hidden=16)


def moved(backbone: Backbone) -> Registration:
    """One whose transformers warp, each image in its own way."""
    torch.manual_seed(0)
    module = registration(backbone)
    with torch.no_grad():
        for transformer in module.transformers:
            transformer.fc[2].weight.normal_(0, 0.1)  # type: ignore[index,union-attr]
    return module


def test_segments_in_turn_are_the_tower(backbone: Backbone) -> None:
    maps = pixels(backbone)
    for segment, expected in zip(
        staged(backbone).segments(), backbone.encode_images(maps).patches, strict=True
    ):
        maps = segment(maps)
        torch.testing.assert_close(maps.permute(0, 2, 3, 1), expected, atol=1e-5, rtol=1e-5)


def test_with_identities_the_features_are_the_plain_ones(backbone: Backbone) -> None:
    wired = aligned(backbone, registration(backbone).transformers)
    seen, plain = (b.encode_images(pixels(backbone)) for b in (wired, backbone))
    for layer, expected in zip(seen.patches, plain.patches, strict=True):
        largest = float(expected.abs().max())
        torch.testing.assert_close(layer, expected, atol=1e-5 * largest, rtol=0)
    assert torch.equal(seen.image, plain.image)


def test_each_stage_sees_the_warped_one_and_is_given_out_warped_back(backbone: Backbone) -> None:
    module = moved(backbone)
    seen = aligned(backbone, module.transformers).encode_images(pixels(backbone))
    maps, thetas = pixels(backbone), []
    with torch.no_grad():
        for segment, transformer, layer in zip(
            staged(backbone).segments(), module.transformers, seen.patches, strict=True
        ):
            maps, theta = transformer(segment(maps))
            thetas.append(theta)
            restored = maps
            for theta in thetas[::-1]:
                restored = warp(restored, inverse(theta))
            torch.testing.assert_close(layer, restored.permute(0, 2, 3, 1), atol=1e-4, rtol=1e-4)
    assert (thetas[0] - torch.eye(2, 3)).abs().max() > 0.01
    assert not torch.allclose(thetas[0][0], thetas[0][1])


def test_the_fingerprint_follows_backbone_and_warps(backbone: Backbone) -> None:
    plain, other = registration(backbone), moved(backbone)
    prints = [aligned(backbone, m.transformers).fingerprint for m in (plain, other, plain)]
    assert prints[0] == prints[2]
    assert len({*prints, backbone.fingerprint}) == 3


def test_backbones_that_have_no_stages_are_refused() -> None:
    with pytest.raises(UsageError, match="'fake' cannot be run stage by stage"):
        aligned(FakeBackbone(), torch.nn.ModuleList())


def test_a_tower_that_is_no_chain_is_found_out(tmp_path: Path) -> None:
    assert segments(timm.create_model("test_resnet").eval(), [1, 2], 64) is not None
    forked = timm.create_model("test_resnet").eval()
    plain = forked.forward_intermediates
    forked.forward_intermediates = lambda x, indices: plain(x + 0.1, indices=indices)
    assert segments(forked, [1, 2], 64) is None
