"""The second embedded backbone: what `tiny` sees, and blocks of a transformer beside it."""

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from inctrl.adapters.file import AdapterConfig, save
from inctrl.adapters.fusion import InCTRLFusion
from inctrl.backbones import load_backbone, precision
from inctrl.backbones.duo import KNOWN, LAYERS, WEIGHTS
from inctrl.backbones.duo.backbone import DuoBackbone
from inctrl.backbones.duo.vit import load_vit
from inctrl.backbones.lowrank import injected, targets_of
from inctrl.detectors import build_detector
from inctrl.errors import ContextMismatch, UsageError
from inctrl.inspection.inspector import Inspector
from inctrl.inspection.saved import arguments, load_context, save_context
from inctrl.types import Item

SIZE = 112
CHECKSUM = ((-0.033536, 1.412752), (0.040720, 2.354512))
"""Mean and standard deviation of blocks 6 and 8 on `pixels()`, in float32."""


@pytest.fixture(scope="module", params=["float32", "bfloat16"])
def backbone(request: pytest.FixtureRequest) -> DuoBackbone:
    return loaded(precision=request.param)


def loaded(size: int | None = SIZE, **how: object) -> DuoBackbone:
    found = load_backbone("duo", image_size=size, device="cpu", **how)
    assert isinstance(found, DuoBackbone)
    return found


def pixels(size: int = SIZE, count: int = 3) -> Tensor:
    """Smooth patterns in [-1, 1], each with some noise."""
    ramp = torch.linspace(-1, 1, size)
    waves = torch.stack([(n * ramp).sin()[:, None] * (3 * n * ramp).cos() for n in range(2, 5)])
    noise = torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(0))
    return (waves + 0.1 * noise).clamp(-1, 1)


# Layers


def test_it_gives_two_blocks_and_the_layers_of_tiny_finest_first() -> None:
    backbone = loaded(None)
    assert backbone.image_size == 280
    assert backbone.layers == LAYERS == ("block6", "block8", "stride16", "stride32")
    features = backbone.encode_images(pixels(288, 1))
    shapes = [tuple(patches.shape[1:]) for patches in features.patches]
    assert shapes == [(20, 20, 384), (20, 20, 384), (18, 18, 112), (9, 9, 320)]
    assert all(patches.dtype == torch.float32 for patches in features.patches)
    assert features.image.shape == (1, 259)


def test_any_layer_of_either_tower_can_be_tapped() -> None:
    whole = loaded(layers=KNOWN, precision="float32")
    assert whole.layers == KNOWN
    sides = [patches.shape[1] for patches in whole.encode_images(pixels()).patches]
    assert sides == sorted(sides, reverse=True)
    some = loaded(layers=["stride32", "block3", "stride8"], precision="float32")
    assert some.layers == ("stride8", "block3", "stride32")
    found = dict(zip(KNOWN, whole.encode_images(pixels()).patches, strict=True))
    for layer, patches in zip(some.layers, some.encode_images(pixels()).patches, strict=True):
        torch.testing.assert_close(patches, found[layer], atol=1e-5, rtol=1e-5)


def test_blocks_above_the_last_that_is_wanted_are_not_even_loaded() -> None:
    vit = load_vit(WEIGHTS, 3, 8, torch.float32)
    assert len(vit.blocks) == 3
    tower = loaded(layers=["stride16"]).image_tower
    assert not any("blocks.0.qkv" in name for name, _ in tower.named_parameters())


def test_a_layer_that_there_is_not_is_named_with_those_that_there_are() -> None:
    with pytest.raises(UsageError, match=r"unknown layer of duo 'block9'.*block8"):
        loaded(layers=["block9"])


def test_what_tiny_offers_is_its_own() -> None:
    duo, tiny = loaded(None), load_backbone("tiny", device="cpu")
    assert duo.preprocessing == tiny.preprocessing
    ours, theirs = duo.encode_images(pixels(288)), tiny.encode_images(pixels(288))
    torch.testing.assert_close(ours.image, theirs.image)
    for mine, other in zip(ours.patches[2:], theirs.patches, strict=True):
        torch.testing.assert_close(mine, other)
    sentences = ["a damaged bottle", "a flawless bottle"]
    torch.testing.assert_close(duo.encode_text(sentences), tiny.encode_text(sentences))
    for mine, other in zip(
        duo.encode_windows(pixels(288), (2,)), tiny.encode_windows(pixels(288), (2,)), strict=True
    ):
        torch.testing.assert_close(mine, other)


# Sizes


@pytest.mark.parametrize("size", [70, 98, 126, 518])
def test_any_multiple_of_14_will_do(size: int) -> None:
    backbone = loaded(size, layers=["block1"])
    [patches] = backbone.encode_images(pixels(backbone.preprocessing.size, 1)).patches
    assert patches.shape == (1, size // 14, size // 14, 384)
    assert patches.isfinite().all()


@pytest.mark.parametrize("size", [56, 288, 281])
def test_other_sizes_are_refused_in_a_line(size: int) -> None:
    with pytest.raises(UsageError, match=rf"size {size} does not fit 'duo'; give a multiple of 14"):
        loaded(size)


def test_it_takes_no_name_of_weights() -> None:
    with pytest.raises(UsageError, match="'duo' has its own weights; leave out ':large'"):
        load_backbone("duo:large")


def test_the_transformer_sees_the_square_of_the_tower_a_little_smaller() -> None:
    """280 px of 288: a place of the image lies at the same place of all grids."""
    backbone = loaded(None, layers=["block1"], precision="float32")
    image = torch.zeros(1, 3, 288, 288)
    changed = image.clone()
    changed[..., 200:230, 40:70] = 1
    [[before], [after]] = (backbone.encode_images(one).patches for one in (image, changed))
    row, column = divmod(int((after - before).norm(dim=-1).argmax()), 20)
    assert (row, column) in {(r, c) for r in (14, 15) for c in (3, 4)}


# Figures


def test_features_are_those_of_the_shipped_weights() -> None:
    """Of a fixed pattern, on any machine but for rounding."""
    features = loaded(precision="float32").encode_images(pixels())
    seen = [(float(p.mean()), float(p.std())) for p in features.patches[:2]]
    assert seen == [pytest.approx(pair, abs=3e-4) for pair in CHECKSUM]


def test_patches_of_both_towers_are_about_as_long() -> None:
    """So that a distance over several layers hears them all."""
    features = loaded(precision="float32").encode_images(pixels())
    lengths = [float(patches.norm(dim=-1).mean()) for patches in features.patches]
    assert max(lengths) < 3 * min(lengths)


def test_a_score_does_not_depend_on_the_batch(backbone: DuoBackbone) -> None:
    detector = build_detector("incontext")
    together = backbone.encode_images(pixels(count=5))
    context = detector.prepare(together[:2], Item("object"))
    scores = detector.score(together[2:], context).score
    for i, score in enumerate(scores, start=2):
        alone = backbone.encode_images(pixels(count=5)[i : i + 1])
        assert detector.score(alone, context).score.item() == pytest.approx(float(score), abs=1e-6)


def test_gradients_pass_where_low_rank_updates_change_both_towers(backbone: DuoBackbone) -> None:
    targets = targets_of(backbone)
    assert "vit.blocks.7.qkv" in targets
    assert any(name.startswith("cnn.") for name in targets)
    made = injected(backbone, 2, 2.0, ["vit.blocks.0.qkv"])
    plain, traced = backbone.encode_images(pixels()), made.backbone.encode_traced(pixels())
    for ours, theirs in zip(plain.patches, traced.patches, strict=True):
        torch.testing.assert_close(ours, theirs, atol=2e-2, rtol=2e-2)
    traced.patches[1].sum().backward()
    grown = {name for name, one in made.parameters.items() if one.grad.abs().sum() > 0}
    assert grown == {"vit.blocks.0.qkv.lora_B.weight"}


def test_registration_wants_layers_of_one_tower() -> None:
    with pytest.raises(UsageError, match="blocks of 'duo' cannot be run stage by stage"):
        loaded().segments()
    assert len(loaded(layers=["stride16", "stride32"]).segments()) == 2


# Precision


def test_bfloat16_moves_features_by_little() -> None:
    exact, rounded = loaded(precision="float32"), loaded(precision="bfloat16")
    found = [one.encode_images(pixels()).patches for one in (exact, rounded)]
    for a, b in zip(*found, strict=True):
        assert F.cosine_similarity(a, b, dim=-1).min() > 1 - 2e-4


def test_the_fingerprint_tells_precisions_layers_and_sizes_apart() -> None:
    found = {
        loaded(size, layers=layers, precision=how).fingerprint
        for size in (SIZE, 126)
        for layers in (["block1"], ["block2"], ["block1", "stride16"])
        for how in ("float32", "bfloat16")
    }
    assert len(found) == 12
    plain = {loaded(layers=["stride16"], precision=how).fingerprint for how in ("float32", "auto")}
    assert len(plain) == 1  # without the transformer there is nothing to choose


@pytest.mark.parametrize(("feature", "expected"), [("AMX", "bfloat16"), (None, "float32")])
def test_auto_is_bfloat16_where_the_processor_has_it(
    feature: str | None, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "native_bfloat16", lambda: feature)
    assert loaded(layers=["block1"]).precision == expected
    assert loaded(layers=["block1"], precision="float32").precision == "float32"


def test_a_precision_that_there_is_not_is_refused() -> None:
    with pytest.raises(UsageError, match="unknown precision 'half'"):
        loaded(precision="half")
    with pytest.raises(UsageError, match="'tiny' has no precision but float32; use 'duo'"):
        load_backbone("tiny", precision="bfloat16")
    assert load_backbone("tiny", image_size=64, precision="auto").precision == "float32"


def test_a_saved_context_brings_its_precision(tmp_path: Path) -> None:
    images = [((pixels(64, 3)[i].permute(1, 2, 0) + 1) * 127).byte().numpy() for i in range(3)]
    how = {"layers": ["block1"], "image_size": SIZE, "cache": "off"}
    fitted = Inspector.load("duo", precision="bfloat16", **how).fit(images)
    save_context(fitted, tmp_path / "made")
    given = arguments(tmp_path / "made", {})
    assert given["precision"] == "bfloat16"
    assert arguments(tmp_path / "made", {"precision": "auto"}) == given
    again = load_context(Inspector.load(**given, cache="off"), tmp_path / "made")
    assert again.inspector.backbone.precision == "bfloat16"
    with pytest.raises(ContextMismatch, match="with precision bfloat16, not float32"):
        load_context(Inspector.load("duo", precision="float32", **how), tmp_path / "made")


def test_an_adapter_brings_the_precision_it_was_trained_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "native_bfloat16", lambda: None)
    trained = loaded(layers=["block1"], precision="bfloat16")
    config = AdapterConfig(
        kind="inctrl",
        backbone="duo",
        fingerprint=trained.fingerprint,
        image_size=SIZE,
        layers=trained.layers,
        precision=trained.precision,
        shape={"embed": 259, "positions": 64},
        text=False,
    )
    save(tmp_path / "mine", config, InCTRLFusion(259, 64), "# mine\n")
    for how in (None, "auto"):
        chosen = Inspector.load(adapter=str(tmp_path / "mine"), precision=how, cache="off")
        assert chosen.identity.precision == "bfloat16"
    with pytest.raises(ContextMismatch, match="with precision bfloat16, not float32; load it so"):
        Inspector.load(adapter=str(tmp_path / "mine"), precision="float32", cache="off")
