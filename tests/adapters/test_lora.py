"""Low-rank updates as a part of an adapter: on disk, checked, and applied where it is used."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from fakes import FakeBackbone
from torch import Tensor, nn

from inctrl.adapters import file
from inctrl.adapters.file import AdapterConfig
from inctrl.adapters.fusion import InCTRLFusion
from inctrl.adapters.lora import Lora, LoraShape
from inctrl.backbones import load_backbone
from inctrl.backbones.lowrank import lowrank, targets_of, tunable
from inctrl.cli.main import run
from inctrl.decoding import open_image
from inctrl.errors import ContextMismatch, InvalidFile, UsageError
from inctrl.inspection.inspector import Inspector
from inctrl.inspection.saved import load_context, save_context
from inctrl.types import Features

SHAPE = LoraShape(2, 3.0, ("first", "inner.last"))
SIZE = 64


class Towered(FakeBackbone):
    """A fake backbone with a tower that can be altered, a 1 x 1 convolution and a linear map."""

    def __init__(self, fingerprint: str = "fake-1") -> None:
        super().__init__(fingerprint)
        self.image_tower = nn.Sequential()
        self.image_tower.add_module("first", nn.Conv2d(3, 4, 1))
        self.image_tower.add_module("inner", nn.Sequential())
        self.image_tower.inner.add_module("last", nn.Linear(4, 5))  # type: ignore[union-attr]

    def encode_traced(self, pixels: Tensor) -> Features:
        return self.encode_images(pixels)


def updates(shape: LoraShape = SHAPE, tower: nn.Module | None = None, seed: int = 0) -> Lora:
    random = torch.Generator().manual_seed(seed)
    sizes = shape.tensors_for(tower or Towered().image_tower)
    return Lora(shape, {n: 0.2 * torch.randn(size, generator=random) for n, size in sizes.items()})


def config(lora: Lora | None, **options: Any) -> AdapterConfig:
    base = AdapterConfig(
        kind="inctrl",
        backbone="fake",
        fingerprint="fake-1",
        image_size=32,
        layers=("fine", "coarse"),
        shape={"embed": 8, "positions": 64},
        text=False,
        lora=lora.shape.described if lora else {},
    )
    return replace(base, **options)


def fusion(embed: int = 8, positions: int = 64) -> InCTRLFusion:
    torch.manual_seed(0)
    return InCTRLFusion(embed, positions)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    file.save(tmp_path / "tuned", config(updates()), fusion(), "# card\n", updates())
    return tmp_path / "tuned"


def rewrite(path: Path, change: Callable[[dict[str, Tensor]], None]) -> None:
    tensors = safetensors.torch.load_file(path / file.WEIGHTS)
    change(tensors)
    safetensors.torch.save_file(tensors, path / file.WEIGHTS)


# On disk


def test_the_tensors_have_the_shapes_of_the_modules_they_update() -> None:
    assert SHAPE.tensors_for(Towered().image_tower) == {
        "first.lora_A.weight": (2, 3, 1, 1),
        "first.lora_B.weight": (4, 2, 1, 1),
        "inner.last.lora_A.weight": (2, 4),
        "inner.last.lora_B.weight": (5, 2),
    }


def test_updates_come_back_as_they_were_saved(saved: Path) -> None:
    found, expected = file.open_adapter(saved).fit_to(Towered()).lora, updates()
    assert found is not None
    assert found.shape == SHAPE
    assert found.tensors.keys() == expected.tensors.keys()
    assert all(torch.equal(found.tensors[name], expected.tensors[name]) for name in found.tensors)


def test_the_module_beside_them_comes_back_too(saved: Path) -> None:
    adapter = file.open_adapter(saved).fit_to(Towered())
    read, module = adapter.config, adapter.module
    wanted = fusion().state_dict()
    assert all(torch.equal(tensor, wanted[name]) for name, tensor in module.state_dict().items())
    assert read == config(updates())
    assert LoraShape.read(read.lora) == SHAPE


def test_an_adapter_without_updates_has_none(tmp_path: Path) -> None:
    file.save(tmp_path / "plain", config(None), fusion(), "# card\n")
    assert file.open_adapter(tmp_path / "plain").fit_to(FakeBackbone()).lora is None


def test_the_base_backbone_is_asked_for(saved: Path) -> None:
    with pytest.raises(ContextMismatch, match="belongs to backbone 'fake'"):
        file.open_adapter(saved).fit_to(Towered("fake-2"))


def test_keys_that_are_missing_misshapen_or_unknown_are_listed(saved: Path) -> None:
    def spoil(tensors: dict[str, Tensor]) -> None:
        del tensors["lora.first.lora_A.weight"]
        tensors["lora.inner.last.lora_B.weight"] = torch.zeros(5, 3)
        tensors["lora.second.lora_A.weight"] = torch.zeros(1)

    rewrite(saved, spoil)
    with pytest.raises(InvalidFile) as caught:
        file.open_adapter(saved).fit_to(Towered())
    told = str(caught.value)
    assert "1 missing (lora.first.lora_A.weight)" in told
    assert "1 mis-shaped (lora.inner.last.lora_B.weight (5, 3), wanted (5, 2))" in told
    assert "1 unknown (lora.second.lora_A.weight)" in told


def test_targets_that_the_tower_lacks_are_named(tmp_path: Path) -> None:
    other = replace(config(None), lora={**SHAPE.described, "targets": ["first", "nowhere"]})
    file.save(tmp_path / "odd", other, fusion(), "", updates())
    with pytest.raises(InvalidFile, match=r"targets that the image tower lacks \(nowhere\)"):
        file.open_adapter(tmp_path / "odd").fit_to(Towered())


def test_updates_that_the_config_does_not_speak_of_are_unknown(tmp_path: Path) -> None:
    file.save(tmp_path / "odd", config(None), fusion(), "", updates())
    with pytest.raises(InvalidFile, match=r"4 unknown \(lora.first"):
        file.open_adapter(tmp_path / "odd").fit_to(Towered())


def test_a_backbone_without_a_tower_cannot_take_them(saved: Path) -> None:
    with pytest.raises(InvalidFile, match="low-rank updates, and backbone 'fake' no image tower"):
        file.open_adapter(saved).fit_to(FakeBackbone())


@pytest.mark.parametrize(
    "lora",
    [
        3,
        {"rank": 2},
        {**SHAPE.described, "rank": 0},
        {**SHAPE.described, "rank": 2.5},
        {**SHAPE.described, "alpha": 0},
        {**SHAPE.described, "alpha": float("nan")},
        {**SHAPE.described, "alpha": "much"},
        {**SHAPE.described, "targets": "first"},
        {**SHAPE.described, "targets": [1]},
        {**SHAPE.described, "targets": []},
        {**SHAPE.described, "colour": "red"},
    ],
)
def test_a_config_with_a_senseless_shape_is_refused(saved: Path, lora: Any) -> None:
    stored = json.loads((saved / file.CONFIG).read_text())
    (saved / file.CONFIG).write_text(json.dumps({**stored, "lora": lora}))
    with pytest.raises(InvalidFile, match="adapter_config.json"):
        file.read_config(saved)


def test_the_identity_of_an_adapter_follows_its_updates(saved: Path, tmp_path: Path) -> None:
    file.save(tmp_path / "same", config(updates()), fusion(), "", updates())
    file.save(tmp_path / "other", config(updates()), fusion(), "", updates(seed=1))
    same, other, mine = map(file.open_adapter, (tmp_path / "same", tmp_path / "other", saved))
    assert same.sha256 == mine.sha256 != other.sha256


def test_updates_that_are_not_finite_are_not_written(tmp_path: Path) -> None:
    broken = updates()
    broken.tensors["first.lora_B.weight"][0] = torch.inf
    with pytest.raises(UsageError, match=r"not finite in 'lora.first.lora_B.weight'"):
        file.save(tmp_path / "broken", config(broken), fusion(), "", broken)
    assert not (tmp_path / "broken").exists()


def test_show_tells_rank_alpha_and_targets(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["adapters", "show", str(saved)]) == 0
    assert json.loads(capsys.readouterr().out)["lora"] == SHAPE.described


# In use


@pytest.fixture(scope="module")
def adapters(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two adapters of `tiny` that differ in nothing but the updates, which one has not."""
    base = tunable(load_backbone("tiny", image_size=SIZE, device="cpu"))
    lora = updates(LoraShape(2, 3.0, targets_of(base)), base.image_tower)
    root = tmp_path_factory.mktemp("adapters")
    common = {
        "backbone": "tiny",
        "fingerprint": base.fingerprint,
        "image_size": SIZE,
        "layers": base.layers,
        "shape": {"embed": 259, "positions": 16},
    }
    file.save(root / "plain", config(None, **common), fusion(259, 16), "")
    file.save(root / "tuned", config(lora, **common), fusion(259, 16), "", lora)
    return {name: root / name for name in ("plain", "tuned")}


def loaded(adapter: Path, cache: Path | str = "off") -> Inspector:
    return Inspector.load(adapter=str(adapter), cache=cache, device="cpu")


def photograph(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(90, 160, (48, 64, 3), dtype=np.uint8)


def test_images_are_seen_through_the_updates(adapters: dict[str, Path]) -> None:
    base = load_backbone("tiny", image_size=SIZE, device="cpu")
    lora = file.open_adapter(adapters["tuned"]).fit_to(base).lora
    assert lora is not None
    image = open_image(photograph(0))
    pixels = base.preprocessing([image], "squash")
    expected = lowrank(base, 2, 3.0, lora.tensors).encode_images(pixels)
    seen = loaded(adapters["tuned"]).encode([image])
    assert torch.equal(seen.image, expected.image)
    assert all(map(torch.equal, seen.patches, expected.patches))
    assert not torch.allclose(seen.image, base.encode_images(pixels).image, atol=1e-3)


def test_features_of_tuned_and_plain_towers_never_mix_in_the_cache(
    adapters: dict[str, Path], tmp_path: Path
) -> None:
    image = open_image(photograph(0))
    apart = {name: loaded(path).encode([image]).image for name, path in adapters.items()}
    for _ in range(2):  # the second time both are remembered
        for name, path in adapters.items():
            assert torch.equal(loaded(path, tmp_path).encode([image]).image, apart[name])
    assert not torch.equal(apart["plain"], apart["tuned"])


def test_a_context_of_the_one_is_refused_by_the_other(
    adapters: dict[str, Path], tmp_path: Path
) -> None:
    inspectors = {name: loaded(path) for name, path in adapters.items()}
    for name, inspector in inspectors.items():
        save_context(inspector.fit([photograph(i) for i in range(3)]), tmp_path / name)
    same = load_context(inspectors["tuned"], tmp_path / "tuned")
    assert same.card.fingerprint == inspectors["tuned"].backbone.fingerprint
    for name, other in (("plain", "tuned"), ("tuned", "plain")):
        with pytest.raises(
            ContextMismatch, match="was prepared with adapter '(plain|tuned)', not '(plain|tuned)';"
        ):
            load_context(inspectors[name], tmp_path / other)
