"""open_clip models: equal to the library, from every form of name, offline."""

import json
import socket
from pathlib import Path
from typing import Any

import huggingface_hub.constants as hub
import numpy as np
import open_clip
import PIL.Image
import pytest
import safetensors.torch
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from torch import Tensor

from inctrl.backbones import load_backbone, openclip_source
from inctrl.backbones.openclip import OpenClipBackbone
from inctrl.backbones.weights import default_blocks
from inctrl.decoding import open_image
from inctrl.errors import InvalidFile, MissingModel, UsageError

MODEL = "inctrl-test-vit"
CONFIG: dict[str, Any] = {
    "embed_dim": 24,
    "vision_cfg": {
        "image_size": 32,
        "layers": 12,
        "width": 32,
        "head_width": 8,
        "patch_size": 8,
    },
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 2},
}
PREPROCESS = {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4], "interpolation": "bilinear"}
SENTENCES = ["a cable", "a photo of a damaged cable", "flawless"]


def randomised(model: Any) -> Any:
    """Random values everywhere: fresh towers have zeros and ones that would hide a mistake."""
    generator = torch.Generator().manual_seed(3)
    for parameter in model.parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        parameter.data.add_(0.05 * noise)
    return model.eval()


@pytest.fixture(scope="module")
def reference() -> Any:
    torch.manual_seed(0)
    return randomised(open_clip.CLIP(**CONFIG))


@pytest.fixture(scope="module")
def folder(reference: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("openclip"), CONFIG, reference.state_dict())


@pytest.fixture(scope="module")
def backbone(folder: Path) -> OpenClipBackbone:
    return loaded(f"openclip:{folder}")


@pytest.fixture(scope="module", autouse=True)
def named_model(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("configs") / f"{MODEL}.json"
    path.write_text(json.dumps(CONFIG))
    open_clip.add_model_config(path)


@pytest.fixture
def dialled(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Every attempt to reach the network."""
    attempts: list[object] = []

    def refuse(*where: object, **_: object) -> None:
        attempts.append(where)
        raise OSError("no network in tests")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    return attempts


def written(folder: Path, config: dict[str, Any], state: dict[str, Tensor]) -> Path:
    folder.mkdir(exist_ok=True)
    stored = {"model_cfg": config, "preprocess_cfg": PREPROCESS}
    (folder / "open_clip_config.json").write_text(json.dumps(stored))
    state = {name: tensor.contiguous() for name, tensor in state.items()}
    safetensors.torch.save_file(state, folder / "open_clip_model.safetensors")
    return folder


def loaded(name: str, **options: Any) -> OpenClipBackbone:
    backbone = load_backbone(name, device="cpu", **options)
    assert isinstance(backbone, OpenClipBackbone)
    return backbone


def random_pixels(size: int = 32, count: int = 2) -> Tensor:
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def hand_loop(visual: Any, pixels: Tensor, blocks: tuple[int, ...]) -> list[Tensor]:
    """Residual stream after the blocks (from 1), class token dropped, as b h w d."""
    x = visual.conv1(pixels)
    grid = x.shape[-2:]
    x = x.flatten(2).transpose(1, 2)
    x = torch.cat([visual.class_embedding.expand(len(x), 1, -1), x], 1)
    x = visual.ln_pre(x + visual.positional_embedding)
    taps = []
    for number, block in enumerate(visual.transformer.resblocks, start=1):
        x = block(x)
        if number in blocks:
            taps.append(x[:, 1:].unflatten(1, grid))
    return taps


def assert_close(ours: Tensor, theirs: Tensor, tolerance: float = 1e-6) -> None:
    torch.testing.assert_close(ours, theirs, atol=tolerance, rtol=1e-6)


def test_patches_are_the_residual_stream_after_blocks_7_9_and_11(
    backbone: OpenClipBackbone, reference: Any
) -> None:
    pixels = random_pixels()
    patches = backbone.encode_images(pixels).patches
    expected = hand_loop(reference.visual, pixels, (7, 9, 11))
    assert backbone.layers == ("block7", "block9", "block11")
    assert [p.shape for p in patches] == [(2, 4, 4, 32)] * 3
    for ours, theirs in zip(patches, expected, strict=True):
        assert_close(ours, theirs)
    assert not torch.allclose(expected[0], expected[1], atol=1e-2)


def test_the_image_token_is_encode_images_from_the_same_single_pass(
    backbone: OpenClipBackbone, reference: Any
) -> None:
    pixels = random_pixels()
    passes: list[int] = []
    first = backbone._model.visual.transformer.resblocks[0]
    handle = first.register_forward_hook(lambda *_: passes.append(1))
    image = backbone.encode_images(pixels).image
    handle.remove()
    with torch.no_grad():
        assert_close(image, reference.encode_image(pixels))
    assert len(passes) == 1
    assert not torch.allclose(image.norm(dim=-1), torch.ones(2), atol=1e-2)


def test_text_is_encode_text_in_any_number_of_batches(
    backbone: OpenClipBackbone, reference: Any
) -> None:
    sentences = [f"{SENTENCES[i % 3]} {i}" for i in range(70)]
    with torch.no_grad():
        theirs = reference.encode_text(open_clip.tokenize(sentences, context_length=16))
    ours = backbone.encode_text(sentences)
    assert backbone.has_text
    assert ours.shape == (70, 24)
    assert_close(ours, theirs)
    assert not torch.allclose(ours[0], ours[1], atol=1e-3)


def test_chosen_layers_come_in_the_towers_order_and_unknown_ones_are_named(folder: Path) -> None:
    backbone = loaded(f"openclip:{folder}", layers=["block12", "block1"])
    assert backbone.layers == ("block1", "block12")
    assert len(backbone.encode_images(random_pixels()).patches) == 2
    with pytest.raises(UsageError, match=r"unknown layer of .* 'block13'"):
        loaded(f"openclip:{folder}", layers=["block13"])


def test_default_blocks_keep_the_papers_proportion() -> None:
    assert default_blocks(12) == ("block7", "block9", "block11")
    assert default_blocks(24) == ("block14", "block18", "block22")
    assert default_blocks(32) == ("block19", "block24", "block29")
    assert default_blocks(6) == ("block4", "block5", "block6")
    assert default_blocks(2) == ("block1", "block2")
    assert default_blocks(1) == ("block1",)


@pytest.mark.parametrize("size", [(61, 98), (97, 60), (33, 32), (20, 31)])
def test_crop_is_open_clips_own_transform(
    backbone: OpenClipBackbone, size: tuple[int, int]
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    transform = image_transform_v2(PreprocessCfg(size=32, **PREPROCESS), is_train=False)
    ours = backbone.preprocessing([open_image(pixels)], "crop")[0]
    assert_close(ours, transform(PIL.Image.fromarray(pixels)))


def test_all_forms_of_a_local_name_give_the_same_features(
    backbone: OpenClipBackbone, reference: Any, folder: Path, tmp_path: Path
) -> None:
    state = reference.state_dict()
    torch.save(state, tmp_path / "w.pt")
    torch.save({"state_dict": {f"module.{k}": v for k, v in state.items()}}, tmp_path / "w.bin")
    pixels = random_pixels()
    expected = backbone.encode_images(pixels)
    files = [folder / "open_clip_model.safetensors", tmp_path / "w.pt", tmp_path / "w.bin"]
    for file in files:
        features = loaded(f"openclip:{MODEL}/{file}").encode_images(pixels)
        assert_close(features.image, expected.image)
        assert_close(features.patches[2], expected.patches[2])


def test_relative_files_and_folders(
    folder: Path, monkeypatch: pytest.MonkeyPatch, backbone: OpenClipBackbone
) -> None:
    monkeypatch.chdir(folder.parent)
    by_folder = loaded(f"openclip:./{folder.name}")
    by_file = loaded(f"openclip:{MODEL}/{folder.name}/open_clip_model.safetensors")
    assert by_folder.fingerprint == backbone.fingerprint
    assert by_file.name == f"openclip:{MODEL}/{folder.name}/open_clip_model.safetensors"


def test_an_official_inctrl_checkpoint_is_read_without_its_heads(
    reference: Any, tmp_path: Path
) -> None:
    state = {n: t for n, t in reference.state_dict().items() if n != "logit_scale"}
    plain = dict(state)
    for head in ("adapter.fc.0.weight", "diff_head.bn1.weight", "diff_head_ref.bn3.bias"):
        state[head] = torch.zeros(3)
    torch.save({"model_state": state}, tmp_path / "checkpoint.pyth")
    torch.save(plain, tmp_path / "plain.pt")
    official = loaded(f"openclip:{MODEL}/{tmp_path / 'checkpoint.pyth'}")
    assert official.fingerprint == loaded(f"openclip:{MODEL}/{tmp_path / 'plain.pt'}").fingerprint
    with torch.no_grad():
        expected = reference.encode_image(random_pixels())
    assert_close(official.encode_images(random_pixels()).image, expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"visual.proj": None}, r"1 missing \(visual\.proj\)"),
        ({"visual.ln_post.bias": torch.zeros(5)}, r"1 mis-shaped \(visual\.ln_post\.bias \(5,\)"),
        ({"adapters.fc": torch.zeros(1)}, r"1 unknown \(adapters\.fc\)"),
        ({"visual.positional_embedding": torch.zeros(10, 32)}, "1 mis-shaped"),
        (
            {f"visual.transformer.resblocks.{i}.ln_1.bias": None for i in range(10)},
            r"10 miss.*\.\.\.",
        ),
    ],
)
def test_weights_that_do_not_fit_are_an_error_that_lists_them(
    reference: Any, tmp_path: Path, change: dict[str, Tensor | None], message: str
) -> None:
    state = {**reference.state_dict(), **change}
    torch.save({k: v for k, v in state.items() if v is not None}, tmp_path / "w.pt")
    with pytest.raises(InvalidFile, match=message) as caught:
        loaded(f"openclip:{MODEL}/{tmp_path / 'w.pt'}")
    assert "\n" not in str(caught.value)
    assert str(tmp_path / "w.pt") in str(caught.value)


def test_pickled_objects_are_not_run(tmp_path: Path) -> None:
    torch.save({"visual.proj": Path("object")}, tmp_path / "w.pt")
    with pytest.raises(InvalidFile, match="only plain tensors are read"):
        loaded(f"openclip:{MODEL}/{tmp_path / 'w.pt'}")


def test_the_fingerprint_follows_what_shapes_features_and_nothing_else(
    backbone: OpenClipBackbone, reference: Any, folder: Path, tmp_path: Path
) -> None:
    state = {name: tensor.clone() for name, tensor in reference.state_dict().items()}
    state["logit_scale"] += 1
    same = loaded(f"openclip:{written(tmp_path / 'same', CONFIG, state)}")
    assert same.fingerprint == backbone.fingerprint
    quick = {**CONFIG, "quick_gelu": True}
    activation = loaded(f"openclip:{written(tmp_path / 'quick', quick, state)}")
    state["visual.proj"][0, 0] += 1e-4
    weight = loaded(f"openclip:{written(tmp_path / 'weight', CONFIG, state)}")
    layers = loaded(f"openclip:{folder}", layers=["block7"])
    size = loaded(f"openclip:{folder}", image_size=48)
    prints = {b.fingerprint for b in (backbone, activation, weight, layers, size)}
    assert len(prints) == 5


def test_another_image_size_resamples_the_positions_as_open_clip_does(folder: Path) -> None:
    backbone = loaded(f"openclip:{folder}", image_size=48)
    theirs = open_clip.create_model(f"local-dir:{folder}", force_image_size=48).eval()
    pixels = random_pixels(48)
    features = backbone.encode_images(pixels)
    assert backbone.image_size == 48
    assert features.patches[0].shape == (2, 6, 6, 32)
    with torch.no_grad():
        assert_close(features.image, theirs.encode_image(pixels))
    with pytest.raises(UsageError, match=r"image size 50 does not fit .* multiple of 8"):
        loaded(f"openclip:{folder}", image_size=50)


def test_published_weights_bring_their_activation_and_preprocessing(
    reference: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tag = {"hf_hub": "nobody/none/", "quick_gelu": True, "mean": (0.1, 0.2, 0.3)}
    file = str(folder / "open_clip_model.safetensors")
    monkeypatch.setattr(open_clip, "get_pretrained_cfg", lambda *_: tag)
    monkeypatch.setattr(open_clip, "download_pretrained", lambda *_: file)
    backbone = loaded(f"openclip:{MODEL}/tag")
    quick = open_clip.CLIP(**CONFIG, quick_gelu=True).eval()
    quick.load_state_dict(reference.state_dict())
    pixels = random_pixels()
    with torch.no_grad():
        assert_close(backbone.encode_images(pixels).image, quick.encode_image(pixels))
        assert not torch.allclose(quick.encode_image(pixels), reference.encode_image(pixels))
    assert backbone.preprocessing.mean == (0.1, 0.2, 0.3)


def test_a_file_gets_the_preprocessing_all_published_weights_agree_on() -> None:
    siglip = openclip_source.locate("ViT-B-16-SigLIP/x.safetensors", None, False)
    paper = openclip_source.locate("ViT-B-16-plus-240/x.pt", None, False)
    divided = openclip_source.locate("ViT-L-14/x.pt", None, False)  # one tag has 0.5
    assert siglip.preprocess["mean"] == (0.5, 0.5, 0.5)
    assert paper.preprocess["mean"] == open_clip.OPENAI_DATASET_MEAN
    assert divided.preprocess["mean"] == open_clip.OPENAI_DATASET_MEAN


@pytest.mark.parametrize(
    ("trunk", "size", "layers"),
    [("test_vit", 160, ("block4", "block5", "block6")), ("test_efficientnet", 64, None)],
)
def test_timm_towers_are_tapped_through_timm(
    tmp_path: Path, trunk: str, size: int, layers: tuple[str, ...] | None
) -> None:
    vision = {"timm_model_name": trunk, "timm_pool": "", "timm_proj": "linear", "image_size": size}
    config = {**CONFIG, "vision_cfg": vision}
    model = randomised(open_clip.CustomTextCLIP(**config))
    stored = {**config, "custom_text": True}
    backbone = loaded(f"openclip:{written(tmp_path / trunk, stored, model.state_dict())}")
    pixels = random_pixels(size)
    features = backbone.encode_images(pixels)
    with torch.no_grad():
        assert_close(features.image, model.encode_image(pixels))
        tokens = open_clip.tokenize(SENTENCES, context_length=16)
        assert_close(backbone.encode_text(SENTENCES), model.encode_text(tokens), 1e-5)
        stages = conv_stages(model, pixels) if layers is None else vit_blocks(model, pixels)
    assert backbone.layers == (layers or ("stride8", "stride16"))
    for name, patches in zip(backbone.layers, features.patches, strict=True):
        assert_close(patches, stages[name], 1e-5)
    larger = loaded(f"openclip:{tmp_path / trunk}", image_size=size + 32)
    assert larger.image_size == size + 32
    with torch.no_grad():
        if layers is None:  # a convolution needs no adaptation, so the library gives the same
            pixels = random_pixels(size + 32)
            assert_close(larger.encode_images(pixels).image, model.encode_image(pixels))


def conv_stages(model: Any, pixels: Tensor) -> dict[str, Tensor]:
    trunk = model.visual.trunk
    x = trunk.bn1(trunk.conv_stem(pixels))
    found = {}
    for block in trunk.blocks:
        x = block(x)
        found[f"stride{pixels.shape[-1] // x.shape[-1]}"] = x.permute(0, 2, 3, 1)
    return found


def vit_blocks(model: Any, pixels: Tensor) -> dict[str, Tensor]:
    trunk = model.visual.trunk
    x = trunk.norm_pre(trunk._pos_embed(trunk.patch_embed(pixels)))
    found = {}
    for number, block in enumerate(trunk.blocks, start=1):
        x = block(x)
        found[f"block{number}"] = x[:, trunk.num_prefix_tokens :].unflatten(1, (10, 10))
    return found


def test_a_tower_without_taps_is_refused(tmp_path: Path) -> None:
    vision = {"image_size": 64, "layers": [1, 1, 1, 1], "width": 8, "head_width": 8}
    config = {**CONFIG, "vision_cfg": vision}
    state = open_clip.CLIP(**config).state_dict()
    with pytest.raises(UsageError, match=r"ModifiedResNet image tower.* use a ViT"):
        loaded(f"openclip:{written(tmp_path / 'rn', config, state)}")


def test_a_hub_tokenizer_is_wanted_for_text_alone(
    reference: Any, tmp_path: Path, dialled: list[object]
) -> None:
    text = {**CONFIG["text_cfg"], "hf_tokenizer_name": "nobody/none"}
    place = written(tmp_path / "m", {**CONFIG, "text_cfg": text}, reference.state_dict())
    backbone = loaded(f"openclip:{place}")
    backbone.encode_images(random_pixels())
    with pytest.raises(MissingModel, match="the tokenizer 'nobody/none' not found in") as caught:
        backbone.encode_text(SENTENCES)
    assert "\n" not in str(caught.value)
    assert not dialled


@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        ("", UsageError, "unknown open_clip model ''"),
        ("ViT-B-16-plus-24/x", UsageError, "did you mean 'ViT-B-16-plus-240'"),
        ("ViT-B-16-plus-240", UsageError, "add /TAG or /FILE .*laion400m_e32"),
        ("ViT-B-16-plus-240/laion400m", UsageError, "did you mean 'laion400m_e3.'.*laion400m_e32"),
        ("ViT-B-16-plus-240/laion400m_e32", MissingModel, "'laion400m_e32' of ViT-B-16-plus-240"),
        (f"{MODEL}//no/such.safetensors", MissingModel, "'/no/such.safetensors'"),
        ("/no/such/folder", MissingModel, "no 'open_clip_config.json' in '/no/such/folder'"),
    ],
)
def test_what_is_not_there_is_told_in_one_line_without_the_network(
    spec: str, error: type[Exception], message: str, dialled: list[object]
) -> None:
    with pytest.raises(error, match=message) as caught:
        loaded(f"openclip:{spec}")
    assert "\n" not in str(caught.value)
    assert not dialled


def test_absent_weights_tell_where_they_were_looked_for_and_what_to_do() -> None:
    with pytest.raises(MissingModel) as caught:
        loaded("openclip:ViT-B-16-plus-240/laion400m_e32")
    for part in (hub.HF_HUB_CACHE, "open_clip_pytorch_model.bin", "'tiny'"):
        assert part in str(caught.value)
    assert caught.value.fix == "allow the network"


@pytest.mark.parametrize("before", [True, False])
def test_the_offline_switch_is_left_as_it_was(
    before: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", before)
    with pytest.raises(MissingModel):
        loaded("openclip:ViT-B-16-plus-240/laion400m_e32")
    assert hub.HF_HUB_OFFLINE is before


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"model_cfg": {"vision_cfg": 1}}'])
def test_a_folder_with_a_broken_configuration_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "open_clip_config.json").write_text(content)
    with pytest.raises(InvalidFile, match=r"open_clip_config.json' is not a configuration"):
        loaded(f"openclip:{tmp_path}")


def test_a_folder_without_weights_or_with_another_model_is_named(tmp_path: Path) -> None:
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": CONFIG}))
    with pytest.raises(MissingModel, match=r"no weights in .*'open_clip_model.safetensors'"):
        loaded(f"openclip:{tmp_path}")
    odd = {**CONFIG, "vision_cfg": {**CONFIG["vision_cfg"], "wdith": 3}}
    written(tmp_path, odd, {"x": torch.zeros(1)})
    with pytest.raises(InvalidFile, match=r"describes no open_clip model .*wdith"):
        loaded(f"openclip:{tmp_path}")


def test_the_papers_backbone_has_its_geometry(monkeypatch: pytest.MonkeyPatch) -> None:
    """ViT-B-16-plus-240 with random weights: 15 x 15 patches of 896, tokens of 640."""
    config = open_clip.get_model_config("ViT-B-16-plus-240")
    reference = open_clip.CLIP(**config).eval()
    monkeypatch.setattr(openclip_source, "read_state", lambda _: reference.state_dict())
    backbone = loaded("openclip:ViT-B-16-plus-240/checkpoint.pyth")
    pixels = random_pixels(240, 1)
    features = backbone.encode_images(pixels)
    assert backbone.image_size == 240
    assert backbone.layers == ("block7", "block9", "block11")
    assert [p.shape for p in features.patches] == [(1, 15, 15, 896)] * 3
    assert features.image.shape == (1, 640)
    expected = hand_loop(reference.visual, pixels, (7, 9, 11))
    for ours, theirs in zip(features.patches, expected, strict=True):
        assert_close(ours, theirs, 1e-5)
    with torch.no_grad():
        assert_close(features.image, reference.encode_image(pixels), 1e-5)
    assert backbone.encode_text(["a photo of a cable for visual inspection."]).shape == (1, 640)
