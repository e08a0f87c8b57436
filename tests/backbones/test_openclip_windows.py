"""Windows through open_clip's vision transformer, against one window at a time by hand."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import safetensors.torch
import torch
from open_clip.transformer import VisionTransformer
from torch import Tensor

from inctrl.backbones import load_backbone, openclip_windows
from inctrl.backbones.openclip import OpenClipBackbone
from inctrl.backbones.openclip_windows import encode_windows, refuse_windowless
from inctrl.errors import UsageError
from inctrl.inspection.inspector import Inspector

SHAPE: dict[str, Any] = {"patch_size": 4, "width": 16, "layers": 2, "heads": 2, "output_dim": 6}
CONFIG: dict[str, Any] = {
    "embed_dim": 12,
    "vision_cfg": {
        "image_size": 20,
        "layers": 3,
        "width": 16,
        "head_width": 8,
        "patch_size": 4,
    },
    "text_cfg": {"context_length": 24, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}


def tower(grid: tuple[int, int] = (4, 5), **options: Any) -> VisionTransformer:
    """Random values everywhere: fresh ones have zeros and ones that would hide a mistake."""
    size = (4 * grid[0], 4 * grid[1])
    made = VisionTransformer(image_size=size, mlp_ratio=2.0, **SHAPE, **options).eval()
    generator = torch.Generator().manual_seed(3)
    for parameter in made.parameters():
        parameter.data.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return made.requires_grad_(False)


def pixels(grid: tuple[int, int] = (4, 5), count: int = 2) -> Tensor:
    shape = (count, 3, 4 * grid[0], 4 * grid[1])
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def one_by_one(visual: VisionTransformer, images: Tensor, size: int) -> Tensor:
    """Each window of each image alone: class token and its patches, from before `ln_pre` on."""
    embedded = visual.conv1(images)
    rows, columns = embedded.shape[-2:]
    places = visual.positional_embedding[1:].unflatten(0, (rows, columns))
    maps = embedded.permute(0, 2, 3, 1) + places
    first = visual.class_embedding + visual.positional_embedding[0]
    found = torch.empty(len(images), rows - size + 1, columns - size + 1, 6)
    for i, y, x in np.ndindex(found.shape[:3]):
        window = maps[i, y : y + size, x : x + size].flatten(0, 1)
        tokens = visual.ln_pre(torch.cat([first[None], window]))[None]
        for block in visual.transformer.resblocks:
            tokens = block(tokens)
        found[i, y, x] = (visual.ln_post(tokens) @ visual.proj)[0, 0]
    return found


@pytest.mark.parametrize("grid", [(4, 5), (6, 3), (3, 3)])
def test_a_window_is_what_the_tower_sees_with_its_tokens_alone(grid: tuple[int, int]) -> None:
    visual, images = tower(grid), pixels(grid)
    found = encode_windows(visual, images, (1, 2, 3))
    assert [tuple(w.shape[1:3]) for w in found] == [
        (grid[0] - s + 1, grid[1] - s + 1) for s in (1, 2, 3)
    ]
    for windows, size in zip(found, (1, 2, 3), strict=True):
        torch.testing.assert_close(windows, one_by_one(visual, images, size), atol=1e-5, rtol=1e-5)
    spread = found[1].flatten(1, 2).std(dim=1)
    assert (spread > 0.01).all()  # attention between windows would make them all alike


def test_sizes_that_do_not_fit_are_left_out() -> None:
    visual, images = tower((2, 5)), pixels((2, 5))
    assert [w.shape for w in encode_windows(visual, images, (2, 3))] == [(2, 1, 4, 6)]
    assert encode_windows(visual, images, (3, 4)) == ()
    assert encode_windows(visual, images, ()) == ()


@pytest.mark.parametrize("tokens", [1, 11, 60, 10**6])
def test_passes_of_any_size_give_the_same(tokens: int, monkeypatch: pytest.MonkeyPatch) -> None:
    visual, images = tower(), pixels(count=3)
    expected = encode_windows(visual, images, (2, 3))
    monkeypatch.setattr(openclip_windows, "TOKENS", tokens)
    lengths: list[int] = []
    block = visual.transformer.resblocks[0]
    block.register_forward_pre_hook(lambda _, args: lengths.append(args[0].shape[:2].numel()))
    found = encode_windows(visual, images, (2, 3))
    assert max(lengths) <= max(tokens, 10)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"no_ln_pre": True},
        {"pool_type": "avg"},
        {"final_ln_after_pool": True},
        {"patch_dropout": 0.5},
        {"ls_init_value": 0.7},
        {"pos_embed_type": "sin_cos_2d"},
        {"attentional_pool": True, "attn_pooler_heads": 2},
    ],
)
def test_the_window_of_the_whole_grid_is_the_image_in_every_variant(
    options: dict[str, Any],
) -> None:
    visual, images = tower((3, 3), **options), pixels((3, 3))
    refuse_windowless(visual, "this")
    [whole] = encode_windows(visual, images, (3,))
    torch.testing.assert_close(whole[:, 0, 0], visual(images), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "options",
    [
        {"pool_type": "none"},
        {"attentional_pool": "parallel", "attn_pooler_heads": 2},
        {"attentional_pool": "cascade", "attn_pooler_heads": 2},
    ],
)
def test_towers_without_an_image_token_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="'this' has no class token .* use a CLIP model"):
        refuse_windowless(tower(**options), "this")


def written(folder: Path, config: dict[str, Any], model: Any) -> Path:
    stored = {"model_cfg": config, "preprocess_cfg": {}}
    (folder / "open_clip_config.json").write_text(json.dumps(stored))
    state = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    safetensors.torch.save_file(state, folder / "open_clip_model.safetensors")
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    return written(tmp_path_factory.mktemp("clip"), CONFIG, open_clip.CLIP(**CONFIG))


def backbone(folder: Path, *layers: str) -> OpenClipBackbone:
    made = load_backbone(f"openclip:{folder}", layers=layers or None, device="cpu")
    assert isinstance(made, OpenClipBackbone)
    return made


def test_a_loaded_backbone_gives_the_windows_of_its_tower(folder: Path) -> None:
    loaded, images = backbone(folder), pixels((5, 5))
    expected = encode_windows(loaded._model.visual, images, (2, 5))
    for ours, theirs in zip(loaded.encode_windows(images, (2, 5, 6)), expected, strict=True):
        torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(expected[1][:, 0, 0], loaded.encode_images(images).image)


def test_the_last_block_has_another_name_and_a_normalised_form(folder: Path) -> None:
    loaded, images = backbone(folder, "ln_post", "block3", "last", "block1"), pixels((5, 5))
    assert loaded.layers == ("block1", "block3", "last", "ln_post")
    first, third, last, normed = loaded.encode_images(images).patches
    assert torch.equal(third, last)
    assert not torch.allclose(first, last, atol=1e-2)
    torch.testing.assert_close(normed, loaded._model.visual.ln_post(last))
    assert not torch.allclose(normed, last, atol=1e-2)
    [alone] = backbone(folder, "ln_post").encode_images(images).patches
    torch.testing.assert_close(alone, normed)


def test_a_pooled_norm_is_no_layer(tmp_path: Path) -> None:
    """Of an attention pooler `ln_post` follows the pooling: its width is another."""
    vision = {**CONFIG["vision_cfg"], "attentional_pool": True, "attn_pooler_heads": 2}
    config = {**CONFIG, "vision_cfg": vision}
    place = written(tmp_path, config, open_clip.CLIP(**config))
    with pytest.raises(UsageError, match="unknown layer of .* 'ln_post'"):
        backbone(place, "ln_post")
    assert backbone(place, "last").encode_images(pixels((5, 5))).patches[0].shape == (2, 5, 5, 16)


def test_winclip_taps_the_last_block_end_to_end(folder: Path) -> None:
    """The name of the folder's backbone begins as that of any open_clip model."""
    inspector = Inspector.load(
        f"openclip:{folder}", detector="winclip", device="cpu", cache="off", domain="winclip"
    )
    assert inspector.backbone.layers == ("last",)
    random = np.random.default_rng(0)
    shots = [random.integers(0, 256, (30, 40, 3), dtype=np.uint8) for _ in range(3)]
    for normals in (shots[:2], []):
        [result] = inspector.fit(normals, item="brick").inspect(shots[2:])
        assert 0 <= result.score <= 1
        assert result.anomaly_map.shape == (30, 40)
        assert np.isfinite(result.anomaly_map).all()


@pytest.mark.parametrize(("trunk", "size"), [("test_vit", 160), ("test_efficientnet", 64)])
def test_towers_through_timm_are_refused(tmp_path: Path, trunk: str, size: int) -> None:
    vision = {"timm_model_name": trunk, "timm_pool": "", "timm_proj": "linear", "image_size": size}
    config = {**CONFIG, "vision_cfg": vision}
    place = written(tmp_path, {**config, "custom_text": True}, open_clip.CustomTextCLIP(**config))
    loaded = backbone(place, "last")
    assert len(loaded.encode_images(torch.zeros(1, 3, size, size)).patches) == 1
    with pytest.raises(UsageError, match="no class token .* or 'tiny'"):
        loaded.encode_windows(torch.zeros(1, 3, size, size), (2,))
