"""CoOp from labelled images to scores; its numbers are compared in test_coop_oracle.py."""

import json
import math
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from fakes import FakeBackbone

from inctrl.adapters import build_module
from inctrl.adapters.prompt_context import PromptContext
from inctrl.cli.main import run
from inctrl.detectors import build_detector
from inctrl.detectors.coop import CoOp
from inctrl.errors import ContextMismatch, InvalidFile, UsageError
from inctrl.inspection.inputs import NO_FEATURES
from inctrl.inspection.inspector import Inspector
from inctrl.prompting import learned_prototypes
from inctrl.training import prompt_context as training
from inctrl.types import Features, Item


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two labelled sets of gray noise; anomalous images have a black bar."""
    random, root = np.random.default_rng(0), tmp_path_factory.mktemp("sets")
    for name in ("metal_nut", "tile"):
        for folder, count in (("train/good", 2), ("test/good", 3), ("test/bar", 2)):
            (root / name / folder).mkdir(parents=True)
            for i in range(count):
                pixels = random.integers(100, 200, (40, 40, 3), np.uint8)
                if folder == "test/bar":
                    pixels[10:20] = 0
                PIL.Image.fromarray(pixels).save(root / name / folder / f"{i}.png")
    return root


@pytest.fixture(scope="module", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INCTRL_CACHE", str(tmp_path_factory.mktemp("features")))
        yield


def train_coop(sets: Path, out: Path, *flags: str) -> int:
    given = flags if "--epochs" in flags else ("--epochs", "2", *flags)
    where = () if "--name" in flags else ("--out", str(out))
    return run(["train", "coop", "--data", str(sets), *where, *given])


@pytest.fixture(scope="module")
def adapter(sets: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("adapters") / "prompts"
    assert train_coop(sets, out, "--context-length", "4", "--exclude", "tile") == 0
    return out


def test_what_was_trained_is_written_down(adapter: Path) -> None:
    config = json.loads((adapter / "adapter_config.json").read_text())
    assert (config["kind"], config["backbone"], config["text"]) == ("prompt_context", "tiny", True)
    assert (config["data"], config["seed"]) == ("metal_nut", 0)
    assert config["metrics"]["steps"] == 2
    assert config["shape"] == {
        "length": 4,
        "width": 256,
        "contexts": 1,
        "position": "end",
        "temperature": 0.01,
    }
    card = (adapter / "README.md").read_text()
    for part in (
        "metal_nut; 3 normal and 2 anomalous",
        "2 epochs, 2 steps, seed 0",
        "tiny, 288 px",
    ):
        assert part in card
    assert f"{config['metrics']['loss']:.4f}" in card


def test_an_adapter_scores_images_of_any_item_without_shots(adapter: Path, sets: Path) -> None:
    queries = sorted((sets / "tile/test").glob("*/*.png"))
    inspector = Inspector.load(adapter=str(adapter))
    fitted = inspector.fit([], item="tile")
    results = fitted.inspect(queries)
    assert fitted.card.detector == "coop"
    assert fitted.card.text_prior == "learned prompts of the adapter"
    prototypes = fitted.context.prototypes
    assert inspector.learned is not None
    learned = learned_prototypes(inspector.backbone, inspector.learned, "tile")
    torch.testing.assert_close(prototypes, learned)
    tokens = inspector.encode([result.image for result in results]).image
    tokens = tokens / tokens.norm(dim=1, keepdim=True)
    for result, token in zip(results, tokens, strict=True):
        normal, anomalous = (math.exp(float(token @ p) / 0.01) for p in prototypes)
        assert result.score == pytest.approx(anomalous / (normal + anomalous), abs=1e-5)
        assert result.verdict == "undecided"
        assert result.anomaly_map.min() == pytest.approx(result.score, abs=1e-6)
        assert result.anomaly_map.max() == pytest.approx(result.score, abs=1e-6)
        assert result.regions == ()
    assert len({result.score for result in results}) == len(results)
    one_by_one = [fitted.inspect([query])[0].score for query in queries]
    assert one_by_one == pytest.approx([result.score for result in results], abs=1e-5)
    other = inspector.fit([], item="metal_nut").inspect(queries)
    assert other[0].score != results[0].score


def test_shots_calibrate_and_change_no_score(adapter: Path, sets: Path) -> None:
    query = sets / "tile/test/bar/0.png"
    shots = sorted((sets / "tile/test/good").glob("*.png"))
    inspector = Inspector.load(adapter=str(adapter))
    without = inspector.fit([], item="tile").inspect([query])[0]
    for k in (1, 3):
        found = inspector.fit(shots[:k], item="tile").inspect([query])[0]
        assert found.score == pytest.approx(without.score, abs=1e-6)
        assert math.isfinite(found.threshold) == (k > 1)  # one shot sets no limit


def test_constant_images_are_finite(adapter: Path) -> None:
    flat = [np.full((32, 32, 3), value, np.uint8) for value in (0, 128, 255)]
    fitted = Inspector.load(adapter=str(adapter)).fit(flat[:1], item="tile")
    for result in fitted.inspect(flat):
        assert 0 <= result.score <= 1
        assert np.isfinite(result.anomaly_map).all()


def test_one_seed_gives_one_adapter(sets: Path, adapter: Path, tmp_path: Path) -> None:
    def weights(folder: Path) -> bytes:
        return (folder / "adapter_model.safetensors").read_bytes()

    flags = ("--context-length", "4", "--exclude", "tile")
    assert train_coop(sets, tmp_path / "again", *flags) == 0
    assert train_coop(sets, tmp_path / "other", *flags, "--seed", "1") == 0
    assert weights(tmp_path / "again") == weights(adapter)
    assert weights(tmp_path / "other") != weights(adapter)


def test_every_option_of_the_prompts_reaches_the_adapter(
    sets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INCTRL_ADAPTERS", str(tmp_path))
    flags = ("--name", "mine", "--csc", "--position", "middle", "--init", "a photo of a")
    assert train_coop(sets, tmp_path, *flags) == 0
    inspector = Inspector.load(adapter="mine")
    assert inspector.learned is not None
    assert inspector.learned.shape["contexts"] == 2
    assert inspector.learned.shape["length"] == 4
    assert inspector.learned.position == "middle"
    first = training.first_context(inspector.backbone, words="a photo of a", own=True)
    moved = (inspector.learned.vectors - first.vectors).abs().amax(dim=(1, 2))
    assert (moved > 0).all()
    assert (moved < 0.05).all()
    assert inspector.describe("tile").prototypes is not None


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--exclude", "tyle"), "unknown set to exclude 'tyle'; did you mean 'tile'"),
        (("--exclude", "tile", "metal_nut"), "leaves no set"),
        (("--epochs", "1"), "--epochs 1: the first only warms up"),
        (("--context-length", "0"), "--context-length 0 is not"),
        (("--context-length", "40"), "class 'normal metal nut' with 40 learned vectors"),
        (("--init", "a photo", "--context-length", "3"), "'a photo' is 2 tokens to 'tiny', not 3"),
        (("--init", " "), "holds no words"),
        (("--name", "../x"), "not a plain name"),
    ],
)
def test_wrong_usage_is_one_line_and_leaves_nothing(
    sets: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    flags: tuple[str, ...],
    message: str,
) -> None:
    assert train_coop(sets, tmp_path / "out", *flags) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_taken_folder_is_refused_before_the_training(sets: Path, adapter: Path) -> None:
    assert train_coop(sets, adapter, "--epochs", "100000") == 7


def test_normal_images_alone_are_refused_with_the_reason(
    sets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for part in ("train", "test"):
        (tmp_path / "cap" / part).mkdir(parents=True)
        (tmp_path / "cap" / part / "good").symlink_to(sets / "tile" / part / "good")
    assert train_coop(tmp_path / "cap", tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert (
        "set 'cap' has no anomalous test image: cross entropy on one class alone learns to answer"
        in error
    )
    assert "exclude 'cap'" in error


def test_a_set_with_a_long_name_is_named(
    sets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "part_" * 15
    (tmp_path / name).symlink_to(sets / "tile")
    assert train_coop(tmp_path / name, tmp_path / "out") == 2
    assert "class 'normal part part" in capsys.readouterr().err


def test_without_an_adapter_or_with_that_of_another_backbone(adapter: Path) -> None:
    with pytest.raises(UsageError, match="needs trained prompts"):
        build_detector("coop")
    with pytest.raises(ContextMismatch, match="belongs to backbone 'tiny'"):
        Inspector.load(adapter=str(adapter), layers=["stride8"])
    with pytest.raises(UsageError, match="unknown option of coop 'temperature'"):
        Inspector.load(adapter=str(adapter), options={"temperature": 1.0})


def test_a_backbone_that_takes_no_prompts_is_told_which_do() -> None:
    silent, context = FakeBackbone(has_text=True), PromptContext(2, 7)
    for refused in (
        lambda: training.first_context(silent),
        lambda: learned_prototypes(silent, context, "tile"),
    ):
        with pytest.raises(UsageError, match=r"'fake' takes no learned prompts; use 'tiny' or an"):
            refused()
    with pytest.raises(UsageError, match="needs a backbone with text"):
        CoOp(0.01).prepare(NO_FEATURES, Item("tile"))


def test_a_packed_context_gives_the_same_scores() -> None:
    queries = Features((), torch.randn(3, 7, generator=torch.Generator().manual_seed(0)))
    detector = CoOp(0.07)
    context = detector.prepare(NO_FEATURES, Item("x", torch.eye(2, 7)))
    again = detector.unpack(detector.pack(context))
    assert torch.equal(detector.score(queries, context).score, detector.score(queries, again).score)


@pytest.mark.parametrize("shape", [{"position": "top"}, {"temperature": 0.0}, {"depth": 3}])
def test_a_shape_that_is_none_is_refused(shape: dict[str, object]) -> None:
    with pytest.raises(InvalidFile, match="'file' has no shape of kind 'prompt_context'"):
        build_module("prompt_context", {"length": 2, "width": 7, **shape}, "file")
