"""Convolutional towers through timm, from files the tests write."""

from pathlib import Path

import PIL.Image
import pytest
import safetensors.torch
import timm
import torch
from timm.data import create_transform, resolve_model_data_config

from inctrl.backbones import load_backbone
from inctrl.decoding import open_image
from inctrl.errors import InvalidFile, MissingModel, UsageError

ARCHITECTURE = "test_resnet"


@pytest.fixture(scope="module")
def reference() -> torch.nn.Module:
    torch.manual_seed(0)
    return timm.create_model(ARCHITECTURE, pretrained=False).eval()


@pytest.fixture(scope="module")
def weights(reference: torch.nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cnn") / "weights.safetensors"
    safetensors.torch.save_file(reference.state_dict(), path)
    return path


def saved(folder: Path, state: dict[str, torch.Tensor], name: str = "w.safetensors") -> str:
    safetensors.torch.save_file(state, folder / name)
    return f"cnn:{ARCHITECTURE}/{folder / name}"


def test_patches_are_the_stages_and_the_token_is_the_pooled_vector(
    reference: torch.nn.Module, weights: Path
) -> None:
    torch.manual_seed(0)
    backbone = load_backbone(f"cnn:{ARCHITECTURE}/{weights}", device="cpu")
    pixels = torch.randn(2, 3, backbone.image_size, backbone.image_size)
    with torch.no_grad():
        x = reference.maxpool(reference.act1(reference.bn1(reference.conv1(pixels))))
        stages = []
        for stage in (reference.layer1, reference.layer2, reference.layer3, reference.layer4):
            x = stage(x)
            stages.append(x.permute(0, 2, 3, 1))
        pooled = x.mean(dim=(2, 3))
    features = backbone.encode_images(pixels)
    assert backbone.layers == ("stride8", "stride16")
    torch.testing.assert_close(features.patches[0], stages[1], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(features.patches[1], stages[2], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(features.image, pooled, atol=1e-5, rtol=1e-5)


def test_crop_is_timms_own_transform(reference: torch.nn.Module, weights: Path) -> None:
    torch.manual_seed(0)
    backbone = load_backbone(f"cnn:{ARCHITECTURE}/{weights}", device="cpu")
    picture = (torch.rand(201, 333, 3) * 255).to(torch.uint8).numpy()
    image = open_image(picture)
    transform = create_transform(**resolve_model_data_config(reference), is_training=False)
    theirs = transform(PIL.Image.fromarray(picture))
    torch.testing.assert_close(
        backbone.preprocessing([image], "crop")[0], theirs, atol=1e-6, rtol=0
    )


def test_a_torch_file_with_wrapper_and_prefix_reads_the_same(
    reference: torch.nn.Module, weights: Path, tmp_path: Path
) -> None:
    state = {f"module.{name}": tensor for name, tensor in reference.state_dict().items()}
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "w.pth")
    one = load_backbone(f"cnn:{ARCHITECTURE}/{weights}", device="cpu")
    other = load_backbone(f"cnn:{ARCHITECTURE}/{tmp_path / 'w.pth'}", device="cpu")
    assert one.fingerprint == other.fingerprint


def test_the_fingerprint_follows_weights_layers_size_and_architecture(
    reference: torch.nn.Module, weights: Path, tmp_path: Path
) -> None:
    state = {name: tensor.clone() for name, tensor in reference.state_dict().items()}
    state["layer1.0.conv1.weight"][0, 0, 0, 0] += 1e-3
    counted = {n: t + 5 if "num_batches" in n else t for n, t in reference.state_dict().items()}
    name = f"cnn:{ARCHITECTURE}/{weights}"
    base = load_backbone(name).fingerprint
    assert base == load_backbone(saved(tmp_path, counted)).fingerprint
    changed = {
        load_backbone(saved(tmp_path, state, "w2.safetensors")).fingerprint,
        load_backbone(name, layers=["stride8"]).fingerprint,
        load_backbone(name, image_size=96).fingerprint,
    }
    assert len(changed | {base}) == 4
    lite = timm.create_model("efficientnet_lite0").state_dict()
    safetensors.torch.save_file(lite, tmp_path / "lite.safetensors")
    # One set of weights, two paddings: the features differ, so the fingerprints must.
    plain, padded = (
        load_backbone(f"cnn:{architecture}/{tmp_path / 'lite.safetensors'}")
        for architecture in ("efficientnet_lite0", "tf_efficientnet_lite0")
    )
    assert plain.fingerprint != padded.fingerprint


def test_weights_that_do_not_fit_are_an_error_that_lists_a_few(
    reference: torch.nn.Module, tmp_path: Path
) -> None:
    state = dict(reference.state_dict())
    for name in [n for n in state if n.startswith("layer4")]:
        del state[name]
    first = next(name for name in state if name.startswith("conv1"))
    state[first] = torch.zeros(1, 2)
    with pytest.raises(InvalidFile, match=r"missing \(layer4.*, \.\.\.\); 1 mis-shaped \(conv1"):
        load_backbone(saved(tmp_path, state))
    (tmp_path / "broken.safetensors").write_bytes(b"not a file of tensors")
    with pytest.raises(InvalidFile, match="not a readable weights file"):
        load_backbone(f"cnn:{ARCHITECTURE}/{tmp_path / 'broken.safetensors'}")


def test_names_that_lead_nowhere_say_what_there_is() -> None:
    with pytest.raises(UsageError, match="timm has no model 'resnet1888'"):
        load_backbone("cnn:resnet1888/tv_in1k")
    with pytest.raises(UsageError, match=r"which weights; add /TAG or /FILE .*tv_in1k"):
        load_backbone("cnn:resnet18")
    with pytest.raises(UsageError, match="did you mean 'tv_in1k'"):
        load_backbone("cnn:resnet18/tv_in1")
    with pytest.raises(MissingModel, match=r"'/no/such.pt'"):
        load_backbone("cnn:resnet18//no/such.pt")


def test_a_transformer_is_sent_to_the_other_loaders(tmp_path: Path) -> None:
    path = tmp_path / "vit.safetensors"
    safetensors.torch.save_file(timm.create_model("test_vit").state_dict(), path)
    with pytest.raises(UsageError, match="one stride throughout; use openclip: or hf:"):
        load_backbone(f"cnn:test_vit/{path}")


def test_absent_weights_are_named_in_one_line() -> None:
    with pytest.raises(MissingModel) as caught:
        load_backbone("cnn:resnet18/tv_in1k")
    message = str(caught.value)
    assert "\n" not in message
    assert "'resnet18.tv_in1k'" in message
    assert caught.value.fix == "allow the network"
    assert "'tiny'" in message


def test_it_has_no_text(weights: Path) -> None:
    backbone = load_backbone(f"cnn:{ARCHITECTURE}/{weights}")
    assert not backbone.has_text
    with pytest.raises(UsageError, match="no text tower"):
        backbone.encode_text(["a cable"])


def test_the_trained_size_given_by_number_is_the_same_backbone(weights: Path) -> None:
    """As contexts and adapters record it."""
    name = f"cnn:{ARCHITECTURE}/{weights}"
    plain = load_backbone(name)
    again = load_backbone(name, image_size=plain.image_size)
    assert again.fingerprint == plain.fingerprint
