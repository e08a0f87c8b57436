"""Low-rank updates in every kind of image tower, on small random ones and on `tiny`."""

import copy
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import open_clip
import pytest
import safetensors.torch
import timm
import torch
from fakes import FakeBackbone
from test_hf import MAKERS, clip_tokenizer, save
from test_openclip import CONFIG, randomised, written
from torch import Tensor, nn

from inctrl.backbones import load_backbone
from inctrl.backbones.aligned import RunsInStages
from inctrl.backbones.lowrank import Injected, injected, lowrank, targets_of, tunable
from inctrl.errors import UsageError
from inctrl.protocols import Backbone, GivesWindows, TakesContext, Tunable
from inctrl.types import Features

CONVOLUTIONAL = {
    "embed_dim": 24,
    "vision_cfg": {"timm_model_name": "test_convnext", "image_size": 64, "timm_proj": "linear"},
    "text_cfg": CONFIG["text_cfg"],
}
NAMES = ("tiny", "cnn", "openclip", "openclip-timm", *MAKERS)
CAPABILITIES = (Tunable, GivesWindows, TakesContext, RunsInStages)


@pytest.fixture(scope="module")
def backbones(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tunable]:
    """Each has encoded an image, as one that is in use has: nothing that it keeps may be in the
    way of gradients."""
    root = tmp_path_factory.mktemp("towers")
    torch.manual_seed(0)
    resnet = randomised(timm.create_model("test_resnet", pretrained=False))
    safetensors.torch.save_file(resnet.state_dict(), root / "resnet.safetensors")
    specs = {"tiny": "tiny", "cnn": f"cnn:test_resnet/{root / 'resnet.safetensors'}"}
    for name, config in (("openclip", CONFIG), ("openclip-timm", CONVOLUTIONAL)):
        state = randomised(open_clip.CLIP(**config)).state_dict()
        specs[name] = f"openclip:{written(root / name, config, state)}"
    for name, make in MAKERS.items():
        model, processor = make()
        save(randomised(model), processor, root / name)
        specs[name] = f"hf:{root / name}"
    clip_tokenizer(root / "clip")
    sizes = {"tiny": 64}
    found = {
        name: tunable(load_backbone(spec, image_size=sizes.get(name), device="cpu"))
        for name, spec in specs.items()
    }
    for backbone in found.values():
        backbone.encode_images(pixels_for(backbone))
    return found


@pytest.fixture(params=NAMES)
def backbone(request: pytest.FixtureRequest, backbones: dict[str, Tunable]) -> Tunable:
    return backbones[request.param]


def pixels_for(backbone: Backbone, seed: int = 1) -> Tensor:
    size = backbone.image_size
    return torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(seed))


def fresh(backbone: Tunable, rank: int = 2, alpha: float = 3.0, seed: int = 0) -> Injected:
    return injected(backbone, rank, alpha, targets_of(backbone), seed)


def some_updates(backbone: Tunable, rank: int = 2) -> dict[str, Tensor]:
    """Random A and B."""
    random = torch.Generator().manual_seed(4)
    return {
        name: 0.1 * torch.randn(parameter.shape, generator=random)
        for name, parameter in fresh(backbone, rank).parameters.items()
    }


def all_of(features: Features) -> list[Tensor]:
    return [*features.patches, features.image]


def same(one: Features, other: Features) -> bool:
    return all(map(torch.equal, all_of(one), all_of(other)))


# Gradients


def test_traced_features_are_the_plain_ones(backbone: Tunable) -> None:
    pixels = pixels_for(backbone)
    plain = backbone.encode_images(pixels)
    assert same(backbone.encode_traced(pixels), plain)
    assert not any(tensor.requires_grad for tensor in all_of(plain))


def test_fresh_updates_leave_every_feature_as_it_was(backbone: Tunable) -> None:
    pixels, made = pixels_for(backbone), fresh(backbone)
    plain = backbone.encode_images(pixels)
    assert same(made.backbone.encode_images(pixels), plain)
    # With gradients torch's attention takes another way, and rounds otherwise.
    for ours, theirs in zip(
        all_of(made.backbone.encode_traced(pixels)), all_of(plain), strict=True
    ):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def test_gradients_reach_every_update_and_nothing_else(backbone: Tunable) -> None:
    made = fresh(backbone)
    with torch.no_grad():
        for name, tensor in some_updates(backbone).items():
            made.parameters[name].copy_(tensor)
    features = made.backbone.encode_traced(pixels_for(backbone))
    torch.stack([tensor.square().mean() for tensor in all_of(features)]).sum().backward()
    for name, parameter in made.parameters.items():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name
    trained = {id(parameter) for parameter in made.parameters.values()}
    others = [p for p in made.backbone.image_tower.parameters() if id(p) not in trained]
    assert not any(p.requires_grad or p.grad is not None for p in others)


def test_the_tower_with_updates_is_in_evaluation_mode(backbone: Tunable) -> None:
    assert not any(module.training for module in fresh(backbone).backbone.image_tower.modules())


# Which modules


def test_tiny_is_updated_in_its_dense_convolutions_and_its_classifier(
    backbones: dict[str, Tunable],
) -> None:
    found = targets_of(backbones["tiny"])
    assert all(re.fullmatch(r"blocks\.\d\.\d\.conv_pwl?|conv_head|classifier", n) for n in found)
    assert len(found) == 33  # 16 blocks, the first of which has one


def test_a_head_that_no_feature_passes_is_no_target(backbones: dict[str, Tunable]) -> None:
    tower = backbones["cnn"].image_tower
    kernels = {n: m.kernel_size for n, m in tower.named_modules() if isinstance(m, nn.Conv2d)}
    assert isinstance(tower.get_submodule("fc"), nn.Linear)
    assert targets_of(backbones["cnn"]) == tuple(n for n, k in kernels.items() if k == (1, 1))


def test_projections_that_attention_reads_directly_are_no_targets(
    backbones: dict[str, Tunable],
) -> None:
    wanted = [f"transformer.resblocks.{i}.mlp.{n}" for i in range(12) for n in ("c_fc", "c_proj")]
    assert list(targets_of(backbones["openclip"])) == wanted


def test_attention_and_perceptron_of_transformers_models_are_targets(
    backbones: dict[str, Tunable],
) -> None:
    parts = ("q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2")
    found = targets_of(backbones["clip"])
    assert len(found) == 6 * len(parts)
    assert {name.rpartition(".")[2] for name in found} == set(parts)


class Borrowed(nn.Module):
    """Two linear maps of one name's ending; the second is read, not called."""

    def __init__(self) -> None:
        super().__init__()
        self.proj = nn.Linear(3, 4)
        self.inner = nn.ModuleDict({"proj": nn.Linear(4, 4)})

    def forward(self, x: Tensor) -> Tensor:
        inner: Any = self.inner["proj"]
        return nn.functional.linear(self.proj(x), inner.weight)


class Toy(FakeBackbone):
    """A tower over colours."""

    def __init__(self) -> None:
        super().__init__()
        self.tower = Borrowed().eval().requires_grad_(False)

    @property
    def image_tower(self) -> nn.Module:
        return self.tower

    def encode_traced(self, pixels: Tensor) -> Features:
        token = self.tower(pixels.mean(dim=(2, 3)))
        return Features((token[:, None, None],), token)


def test_only_modules_that_are_called_are_found_and_only_those_named_are_updated() -> None:
    toy = Toy()
    assert targets_of(toy) == ("proj",)
    assert set(injected(toy, 2, 2.0, ["proj"]).parameters) == {
        "proj.lora_A.weight",
        "proj.lora_B.weight",
    }


# The backbone it was made from


def test_the_original_keeps_tower_features_and_fingerprint(backbone: Tunable) -> None:
    pixels, kept = pixels_for(backbone), backbone.fingerprint
    before = backbone.encode_images(pixels)
    tuned = lowrank(backbone, 2, 3.0, some_updates(backbone))
    assert not any(map(torch.equal, all_of(tuned.encode_images(pixels)), all_of(before)))
    assert same(backbone.encode_images(pixels), before)
    assert backbone.fingerprint == kept
    assert not any("lora" in name for name, _ in backbone.image_tower.named_modules())
    assert not any(m._forward_hooks for n, m in backbone.image_tower.named_modules() if is_map(m))


def is_map(module: nn.Module) -> bool:
    return type(module) in (nn.Linear, nn.Conv2d)


def test_frozen_tensors_are_shared_not_copied(backbone: Tunable) -> None:
    own = {tensor.data_ptr() for tensor in backbone.image_tower.parameters()}
    made = fresh(backbone)
    trained = {id(parameter) for parameter in made.parameters.values()}
    frozen = [p for p in made.backbone.image_tower.parameters() if id(p) not in trained]
    assert {tensor.data_ptr() for tensor in frozen} == own


def test_it_offers_what_the_original_does(backbone: Tunable) -> None:
    tuned = lowrank(backbone, 2, 3.0, some_updates(backbone))
    for capability in CAPABILITIES:
        assert isinstance(tuned, capability) == isinstance(backbone, capability)
    assert (tuned.name, tuned.layers, tuned.image_size) == (
        backbone.name,
        backbone.layers,
        backbone.image_size,
    )


@pytest.mark.parametrize("name", ["tiny", "openclip", "clip"])
def test_sentences_are_those_of_the_frozen_text_tower(
    name: str, backbones: dict[str, Tunable]
) -> None:
    backbone = backbones[name]
    tuned = lowrank(backbone, 2, 3.0, some_updates(backbone))
    sentences = ["a cable", "a damaged cable"]
    assert torch.equal(tuned.encode_text(sentences), backbone.encode_text(sentences))


@pytest.mark.parametrize("name", ["tiny", "openclip"])
def test_windows_are_seen_by_the_updated_tower(name: str, backbones: dict[str, Tunable]) -> None:
    backbone: Any = backbones[name]
    tuned: Any = lowrank(backbone, 2, 3.0, some_updates(backbone))
    pixels = pixels_for(backbone)
    [before], [after] = (b.encode_windows(pixels, [2]) for b in (backbone, tuned))
    assert before.shape == after.shape
    assert not torch.allclose(before, after)


@pytest.mark.parametrize("name", ["tiny", "cnn"])
def test_stages_are_those_of_the_updated_tower(name: str, backbones: dict[str, Tunable]) -> None:
    tuned: Any = lowrank(backbones[name], 2, 3.0, some_updates(backbones[name]))
    maps = pixels = pixels_for(tuned)
    for segment, patches in zip(tuned.segments(), tuned.encode_images(pixels).patches, strict=True):
        maps = segment(maps)
        torch.testing.assert_close(maps.permute(0, 2, 3, 1), patches, atol=1e-4, rtol=1e-4)


# Trained updates


@pytest.mark.parametrize("name", ["tiny", "cnn", "openclip", "clip", "dinov2"])
def test_features_are_those_of_the_weights_with_the_products_added(
    name: str, backbones: dict[str, Tunable]
) -> None:
    backbone, updates = backbones[name], some_updates(backbones[name])
    merged = copy.deepcopy(backbone)
    for target in targets_of(backbone):
        weight = merged.image_tower.get_submodule(target).weight
        a, b = (updates[f"{target}.lora_{part}.weight"].flatten(1) for part in "AB")
        with torch.no_grad():
            weight += (3.0 / 2 * b @ a).reshape(weight.shape)  # type: ignore[operator]
    pixels = pixels_for(backbone)
    seen = lowrank(backbone, 2, 3.0, updates).encode_images(pixels)
    for ours, theirs in zip(all_of(seen), all_of(merged.encode_images(pixels)), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-3)


def test_nothing_of_it_is_trained_any_more(backbones: dict[str, Tunable]) -> None:
    tuned = tunable(lowrank(backbones["cnn"], 2, 3.0, some_updates(backbones["cnn"])))
    assert not any(parameter.requires_grad for parameter in tuned.image_tower.parameters())


def test_the_fingerprint_follows_the_base_the_scale_and_the_tensors(
    backbones: dict[str, Tunable],
) -> None:
    backbone, updates = backbones["cnn"], some_updates(backbones["cnn"])
    one = lowrank(backbone, 2, 3.0, updates).fingerprint
    assert lowrank(backbone, 2, 3.0, dict(reversed(updates.items()))).fingerprint == one
    changed = {name: tensor.clone() for name, tensor in updates.items()}
    next(iter(changed.values())).view(-1)[0] += 1e-3
    other = copy.deepcopy(backbone)
    other.fingerprint = "other"  # type: ignore[misc]
    prints = {
        one,
        backbone.fingerprint,
        lowrank(backbone, 2, 4.0, updates).fingerprint,
        lowrank(backbone, 2, 3.0, changed).fingerprint,
        lowrank(other, 2, 3.0, updates).fingerprint,
    }
    assert len(prints) == 5


def test_first_values_follow_the_seed_and_disturb_no_other_draw(
    backbones: dict[str, Tunable],
) -> None:
    torch.manual_seed(9)
    expected = torch.rand(1)
    torch.manual_seed(9)
    one, again, other = (fresh(backbones["cnn"], seed=seed).parameters for seed in (0, 0, 1))
    assert torch.equal(torch.rand(1), expected)
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not any(torch.equal(one[name], other[name]) for name in one if "lora_A" in name)
    assert not any(one[name].any() for name in one if "lora_B" in name)


def test_a_backbone_without_a_tower_is_refused_in_a_line() -> None:
    with pytest.raises(UsageError, match="'pixels' has no image tower that low-rank updates"):
        tunable(load_backbone("pixels"))


def test_importing_the_module_does_not_import_peft() -> None:
    """It takes seconds, and most runs have no updates."""
    code = "import sys, json, inctrl.inspection.inspector; print(json.dumps('peft' in sys.modules))"
    seen = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert json.loads(seen.stdout) is False


def test_loading_updating_and_training_leave_no_compiler_cache(tmp_path: Path) -> None:
    code = (
        "import os, torch; from inctrl.backbones import load_backbone;"
        "from inctrl.backbones.lowrank import injected, targets_of;"
        "backbone = load_backbone('tiny');"
        "made = injected(backbone, 2, 4.0, targets_of(backbone)[:2]);"
        "torch.optim.AdamW(made.parameters.values());"
        "assert 'TORCHINDUCTOR_CACHE_DIR' not in os.environ"
    )
    environment = {k: v for k, v in os.environ.items() if k != "TORCHINDUCTOR_CACHE_DIR"}
    subprocess.run(
        [sys.executable, "-c", code], env={**environment, "TMPDIR": str(tmp_path)}, check=True
    )
    assert list(tmp_path.iterdir()) == []
