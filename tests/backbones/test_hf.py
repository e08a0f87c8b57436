"""Transformers' models: equal to the library, from folders the tests write, offline."""

import json
import socket
import string
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import safetensors.torch
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor

from inctrl.backbones import load_backbone
from inctrl.backbones.hf import HfBackbone
from inctrl.decoding import open_image
from inctrl.errors import InvalidFile, MissingModel, UsageError

SENTENCES = ["a cable", "a damaged cable of the best kind there is on all the earth", "cable"]
CROP = {"size": {"shortest_edge": 37}, "crop_size": {"height": 32, "width": 32}}
SQUASH = {"size": {"height": 32, "width": 32}}
SHAPE = {"hidden_size": 32, "num_hidden_layers": 6, "num_attention_heads": 4}
VISION = {**SHAPE, "intermediate_size": 48, "image_size": 32, "patch_size": 8}
TEXT = {**SHAPE, "intermediate_size": 48, "max_position_embeddings": 16}
DEFAULT_BLOCKS = (4, 5, 6)


def clip() -> tuple[Any, Any]:
    text = {**TEXT, "vocab_size": 58, "bos_token_id": 56, "eos_token_id": 57, "pad_token_id": 57}
    config = transformers.CLIPConfig(text_config=text, vision_config=VISION, projection_dim=24)
    return transformers.CLIPModel(config), transformers.CLIPImageProcessor(**CROP)


def siglip() -> tuple[Any, Any]:
    text = {**TEXT, "vocab_size": 6, "bos_token_id": 1, "eos_token_id": 1, "pad_token_id": 0}
    text["projection_size"] = 32
    config = transformers.SiglipConfig(text_config=text, vision_config=VISION)
    return transformers.SiglipModel(config), transformers.SiglipImageProcessor(**SQUASH)


def dinov2() -> tuple[Any, Any]:
    config = transformers.Dinov2Config(**SHAPE, image_size=48, patch_size=8)
    return transformers.Dinov2Model(config), transformers.BitImageProcessor(**CROP)


def dinov2_with_registers() -> tuple[Any, Any]:
    config = transformers.Dinov2WithRegistersConfig(
        **SHAPE, image_size=32, patch_size=8, num_register_tokens=3
    )
    return transformers.Dinov2WithRegistersModel(config), transformers.BitImageProcessor(**CROP)


def dinov3() -> tuple[Any, Any]:
    config = transformers.DINOv3ViTConfig(**VISION, num_register_tokens=2)
    return transformers.DINOv3ViTModel(config), transformers.DINOv3ViTImageProcessor(**SQUASH)


MAKERS = {f.__name__: f for f in (clip, siglip, dinov2, dinov2_with_registers, dinov3)}
PREFIX = {"clip": 1, "siglip": 0, "dinov2": 1, "dinov2_with_registers": 4, "dinov3": 3}


def clip_tokenizer(folder: Path) -> None:
    letters = [*string.ascii_lowercase, "."]
    vocabulary = [*letters, *(f"{letter}</w>" for letter in letters), "ca", "ca</w>"]
    vocabulary += ["<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({t: i for i, t in enumerate(vocabulary)}))
    (folder / "merges.txt").write_text("#version: 0.2\nc a\n")
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "CLIPTokenizer"}')


def siglip_tokenizer(folder: Path) -> None:
    words = ["<pad>", "</s>", "<unk>", "a", "cable", "damaged"]
    table = {word: i for i, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordLevel(table, unk_token="<unk>"))  # noqa: S106
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    special = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special)
    fast.save_pretrained(folder)


def save(model: Any, processor: Any, folder: Path) -> None:
    """As `save_pretrained`, which would show a progress bar in some versions."""
    bars = transformers.utils.logging
    bars.disable_progress_bar()
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("hf")
    for name, make in MAKERS.items():
        torch.manual_seed(7)
        model, processor = make()
        for parameter in model.parameters():  # fresh ones have zeros and ones that hide mistakes
            parameter.data.add_(0.05 * torch.randn_like(parameter))
        save(model, processor, root / name)
    clip_tokenizer(root / "clip")
    siglip_tokenizer(root / "siglip")
    return {name: root / name for name in MAKERS}


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


def loaded(folder: Path | str, **options: Any) -> HfBackbone:
    backbone = load_backbone(f"hf:{folder}", device="cpu", **options)
    assert isinstance(backbone, HfBackbone)
    return backbone


def library(folder: Path) -> Any:
    return transformers.AutoModel.from_pretrained(folder, local_files_only=True).eval()


def blocks_of(model: Any) -> Any:
    tower = getattr(model, "vision_model", model)
    encoder = getattr(tower, "encoder", None) or tower.model
    return getattr(encoder, "layers", None) or encoder.layer


def random_pixels(size: int = 32, count: int = 2) -> Tensor:
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(1))


def assert_close(ours: Tensor, theirs: Tensor, tolerance: float = 2e-6) -> None:
    torch.testing.assert_close(ours, theirs, atol=tolerance, rtol=2e-6)


@torch.no_grad()
def outputs_of_blocks(model: Any, pixels: Tensor, **options: Any) -> tuple[list[Tensor], Tensor]:
    """What every block hands on, seen from outside, and the library's own image token."""
    seen: list[Tensor] = []
    hooks = [
        block.register_forward_hook(
            lambda _module, _inputs, output: seen.append(
                output[0] if isinstance(output, tuple) else output
            )
        )
        for block in blocks_of(model)
    ]
    forward = getattr(model, "get_image_features", model)
    token = forward(pixels, **options).pooler_output
    for hook in hooks:
        hook.remove()
    return seen, token


@pytest.mark.parametrize("family", MAKERS)
def test_patches_are_what_the_blocks_hand_on_and_the_token_is_the_librarys(
    folders: dict[str, Path], family: str
) -> None:
    backbone, model = loaded(folders[family]), library(folders[family])
    pixels = random_pixels()
    features = backbone.encode_images(pixels)
    seen, token = outputs_of_blocks(model, pixels)
    assert backbone.layers == tuple(f"block{block}" for block in DEFAULT_BLOCKS)
    assert len(seen) == 6
    for block, patches in zip(DEFAULT_BLOCKS, features.patches, strict=True):
        expected = seen[block - 1][:, PREFIX[family] :]
        assert patches.shape == (2, 4, 4, 32)
        assert_close(patches, expected.unflatten(1, (4, 4)))
    assert_close(features.image, token)
    assert not torch.allclose(features.patches[0], features.patches[1], atol=1e-2)


@pytest.mark.parametrize("family", MAKERS)
def test_the_tower_runs_once(folders: dict[str, Path], family: str) -> None:
    backbone = loaded(folders[family])
    passes: list[int] = []
    blocks_of(backbone._model)[0].register_forward_hook(lambda *_: passes.append(1))
    backbone.encode_images(random_pixels())
    assert len(passes) == 1


def test_dinos_token_is_the_class_token_after_the_last_norm(folders: dict[str, Path]) -> None:
    model, pixels = library(folders["dinov2"]), random_pixels()
    seen, _ = outputs_of_blocks(model, pixels)
    with torch.no_grad():
        expected = model.layernorm(seen[-1])[:, 0]
    assert_close(loaded(folders["dinov2"]).encode_images(pixels).image, expected)


@pytest.mark.parametrize("family", MAKERS)
def test_another_image_size_is_the_librarys_interpolation(
    folders: dict[str, Path], family: str
) -> None:
    backbone, model = loaded(folders[family], image_size=56), library(folders[family])
    options = {"interpolate_pos_encoding": True} if family in ("clip", "siglip") else {}
    seen, token = outputs_of_blocks(model, random_pixels(56), **options)
    features = backbone.encode_images(random_pixels(56))
    assert backbone.image_size == 56
    assert_close(features.patches[0], seen[3][:, PREFIX[family] :].unflatten(1, (7, 7)))
    assert_close(features.image, token)
    with pytest.raises(UsageError, match=r"image size 50 does not fit .* multiple of 8"):
        loaded(folders[family], image_size=50)


def test_clip_text_is_the_librarys_in_any_number_of_batches(folders: dict[str, Path]) -> None:
    backbone, model = loaded(folders["clip"]), library(folders["clip"])
    tokenizer = transformers.AutoTokenizer.from_pretrained(folders["clip"], local_files_only=True)
    sentences = [SENTENCES[i % 3] + "." * (i % 4) for i in range(70)]
    ours = backbone.encode_text(sentences)
    assert backbone.has_text
    assert ours.shape == (70, 24)
    for i in (0, 1, 2, 64, 69):  # alone, so without any padding
        tokens = tokenizer(sentences[i], truncation=True, max_length=16, return_tensors="pt")
        with torch.no_grad():
            assert_close(ours[i : i + 1], model.get_text_features(**tokens).pooler_output)
    assert not torch.allclose(ours[0], ours[1], atol=1e-3)


def test_siglip_text_is_padded_to_its_full_length(folders: dict[str, Path]) -> None:
    backbone, model = loaded(folders["siglip"]), library(folders["siglip"])
    ids = torch.zeros(2, 16, dtype=torch.long)
    ids[0, :2] = torch.tensor([3, 4])  # a cable
    ids[1, :3] = torch.tensor([3, 5, 4])  # a damaged cable
    with torch.no_grad():
        expected = model.get_text_features(input_ids=ids).pooler_output
    assert_close(backbone.encode_text(["a cable", "a damaged cable"]), expected)
    assert not torch.allclose(expected[0], expected[1], atol=1e-3)


def test_dino_has_no_text(folders: dict[str, Path]) -> None:
    backbone = loaded(folders["dinov3"])
    assert not backbone.has_text
    with pytest.raises(UsageError, match="no text tower; use a CLIP or SigLIP"):
        backbone.encode_text(SENTENCES)


@pytest.mark.parametrize("size", [(61, 98), (97, 60), (40, 43), (20, 31)])
@pytest.mark.parametrize(
    ("family", "fit", "pillow"),
    [
        ("clip", "crop", "CLIPImageProcessorPil"),
        ("siglip", "squash", "SiglipImageProcessorPil"),
        ("dinov2", "crop", "BitImageProcessorPil"),
        ("dinov3", "squash", None),
    ],
)
def test_preprocessing_is_the_librarys(
    folders: dict[str, Path], family: str, fit: Any, pillow: str | None, size: tuple[int, int]
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    backbone, picture = loaded(folders[family]), PIL.Image.fromarray(pixels)
    ours = backbone.preprocessing([open_image(pixels)], fit)
    kind = transformers.AutoImageProcessor
    processor = kind.from_pretrained(folders[family], local_files_only=True)
    theirs = processor(picture, return_tensors="pt")["pixel_values"]
    # Its tensor resize differs from Pillow's by rounding: one level of 255 and no more.
    level = 1.01 / 255 / min(backbone.preprocessing.std)
    torch.testing.assert_close(ours, theirs, atol=level, rtol=0)
    if pillow:
        exact = getattr(transformers, pillow).from_pretrained(folders[family])
        theirs = exact(picture, return_tensors="pt")["pixel_values"]
        assert_close(ours, torch.as_tensor(theirs), 1e-5)


def test_the_fingerprint_follows_what_shapes_features_and_nothing_else(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    def variant(name: str, key: str, change: float, **config: object) -> HfBackbone:
        model, processor = library(folders["clip"]), loader(folders["clip"])
        dict(model.named_parameters())[key].data.view(-1)[0] += change
        save(model, processor, tmp_path / name)
        file = tmp_path / name / "config.json"
        stored = json.loads(file.read_text())
        stored["vision_config"].update(config)
        stored["transformers_version"] = name
        file.write_text(json.dumps(stored))
        return loaded(tmp_path / name)

    loader = transformers.CLIPImageProcessor.from_pretrained
    base = variant("base", "logit_scale", 0.0)
    assert variant("scaled", "logit_scale", 1.0).fingerprint == base.fingerprint
    others = [
        variant("weight", "visual_projection.weight", 1e-4),
        variant("activation", "logit_scale", 0.0, hidden_act="gelu"),
        variant("heads", "logit_scale", 0.0, num_attention_heads=2),
        loaded(tmp_path / "base", layers=["block6"]),
        loaded(tmp_path / "base", image_size=40),
    ]
    assert len({b.fingerprint for b in (base, *others)}) == 6


def changed(folder: Path, target: Path, change: dict[str, Tensor | None]) -> Path:
    """A copy of a folder with some weights replaced, or dropped where None."""
    target.mkdir()
    for file in folder.iterdir():
        (target / file.name).write_bytes(file.read_bytes())
    state = {**safetensors.torch.load_file(folder / "model.safetensors"), **change}
    kept = {name: tensor for name, tensor in state.items() if tensor is not None}
    safetensors.torch.save_file(kept, target / "model.safetensors", {"format": "pt"})
    return target


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layernorm.bias": None}, r"1 missing \(layernorm\.bias\)"),
        ({"layernorm.bias": torch.zeros(5)}, r"1 mis-shaped \(layernorm\.bias"),
        ({"embeddings.register_tokens": torch.zeros(1, 4, 32)}, "1 unknown .*register_tokens"),
    ],
)
def test_weights_that_do_not_fit_are_an_error_that_lists_them(
    folders: dict[str, Path], tmp_path: Path, change: dict[str, Tensor | None], message: str
) -> None:
    with pytest.raises(InvalidFile, match=message) as caught:
        loaded(changed(folders["dinov2"], tmp_path / "m", change))
    assert "\n" not in str(caught.value)


def test_a_classifier_on_top_is_left_alone_and_damage_is_named(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    head: dict[str, Tensor | None] = {"classifier.weight": torch.zeros(3, 32)}
    with_head = loaded(changed(folders["dinov2"], tmp_path / "head", head))
    assert with_head.fingerprint == loaded(folders["dinov2"]).fingerprint
    broken = changed(folders["dinov2"], tmp_path / "broken", {})
    (broken / "model.safetensors").write_bytes(b"not a file of tensors")
    with pytest.raises(InvalidFile, match="damaged weights"):
        loaded(broken)


def test_pickled_weights_are_not_read(folders: dict[str, Path], tmp_path: Path) -> None:
    place = changed(folders["dinov2"], tmp_path / "m", {})
    torch.save(library(folders["dinov2"]).state_dict(), place / "pytorch_model.bin")
    (place / "model.safetensors").unlink()
    with pytest.raises(MissingModel, match="the safetensors weights not found in"):
        loaded(place)


def test_half_precision_weights_are_computed_in_float32(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    save(library(folders["dinov2"]).half(), transformers.BitImageProcessor(**CROP), tmp_path / "m")
    features = loaded(tmp_path / "m").encode_images(random_pixels())
    assert features.image.dtype == torch.float32
    assert features.patches[0].dtype == torch.float32


def test_code_that_comes_with_a_model_is_not_run(folders: dict[str, Path], tmp_path: Path) -> None:
    place = changed(folders["dinov2"], tmp_path / "m", {})
    stored = json.loads((place / "config.json").read_text())
    stored["auto_map"] = {"AutoModel": "evil.Evil", "AutoConfig": "evil.Config"}
    (place / "config.json").write_text(json.dumps(stored))
    (place / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    loaded(place).encode_images(random_pixels())
    assert not (tmp_path / "ran").exists()


def test_other_kinds_of_models_are_refused_with_those_supported(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(UsageError, match=r"'bert' .*clip, dinov2, .*dinov3_vit, siglip"):
        loaded(tmp_path)


@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        ("", UsageError, "write hf:FOLDER or hf:HUB-NAME"),
        ("/no/such/folder", MissingModel, "no folder '/no/such/folder'"),
        ("nobody/no-such-model", MissingModel, "'hf:nobody/no-such-model': config.json not found"),
    ],
)
def test_what_is_not_there_is_told_in_one_line_without_the_network(
    spec: str, error: type[Exception], message: str, dialled: list[object]
) -> None:
    with pytest.raises(error, match=message) as caught:
        loaded(spec)
    assert "\n" not in str(caught.value)
    assert not dialled


@pytest.mark.parametrize("file", ["config.json", "preprocessor_config.json", "model.safetensors"])
def test_a_folder_that_lacks_a_file_is_named(
    folders: dict[str, Path], tmp_path: Path, file: str, dialled: list[object]
) -> None:
    place = changed(folders["dinov2"], tmp_path / "m", {})
    (place / file).unlink()
    with pytest.raises(MissingModel, match=str(place)) as caught:
        loaded(place)
    assert file.split(".")[-1] in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not dialled


def test_a_missing_tokenizer_stops_text_alone(
    folders: dict[str, Path], tmp_path: Path, dialled: list[object]
) -> None:
    place = changed(folders["clip"], tmp_path / "m", {})
    for file in ("vocab.json", "merges.txt", "tokenizer_config.json"):
        (place / file).unlink()
    backbone = loaded(place)
    backbone.encode_images(random_pixels())
    with pytest.raises(MissingModel, match=r"the tokenizer (has|not found)") as caught:
        backbone.encode_text(SENTENCES)
    assert "\n" not in str(caught.value)
    assert not dialled


def test_loading_says_nothing(folders: dict[str, Path], capfd: pytest.CaptureFixture[str]) -> None:
    transformers.utils.logging.enable_progress_bar()
    loaded(folders["clip"])
    captured = capfd.readouterr()
    assert captured.out == captured.err == ""
    assert transformers.utils.logging.is_progress_bar_enabled()
