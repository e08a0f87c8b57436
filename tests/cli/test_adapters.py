"""`inctrl adapters` with a checkpoint in the official format, made here from random weights."""

import json
from pathlib import Path

import numpy as np
import open_clip
import PIL.Image
import pytest
import torch

from inctrl.adapters.fusion import InCTRLFusion
from inctrl.adapters.released import NAMES
from inctrl.cli.main import run

MODEL = "ViT-S-32-test"
CONFIG = {
    "embed_dim": 16,
    "vision_cfg": {
        "image_size": 32,
        "layers": 12,
        "width": 16,
        "head_width": 8,
        "patch_size": 8,
    },
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """All CLIP weights but no logit_scale, and the trained part under the release's names."""
    monkeypatch.setenv("INCTRL_ADAPTERS", str(tmp_path / "adapters"))
    monkeypatch.setenv("INCTRL_CACHE", str(tmp_path / "cache"))
    (tmp_path / f"{MODEL}.json").write_text(json.dumps(CONFIG))
    open_clip.add_model_config(tmp_path / f"{MODEL}.json")
    torch.manual_seed(0)
    clip = open_clip.create_model(MODEL).state_dict()
    clip.pop("logit_scale")
    fusion = InCTRLFusion(16, 16).state_dict()
    theirs = {ours: name for name, ours in NAMES.items()}
    for name, tensor in fusion.items():
        module, _, leaf = name.rpartition(".")
        clip[f"{theirs[module]}.{leaf}"] = tensor
    torch.save({"model_state": clip}, tmp_path / "checkpoint.pyth")
    return tmp_path / "checkpoint.pyth"


def test_import_list_show_and_detect(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["adapters", "list"]) == 0
    assert "no adapters" in capsys.readouterr().err
    command = ["adapters", "import", str(checkpoint), "--model", MODEL, "--name", "official"]
    assert run([*command, "--shots", "2", "--data", "VisA"]) == 0
    assert run(["adapters", "list"]) == 0
    assert "official\tinctrl" in capsys.readouterr().out
    assert run(["adapters", "show", "official"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["shape"], shown["shots"]) == ({"positions": 16, "embed": 16}, [2])
    assert shown["layers"] == ["block7", "block9", "block11"]

    random = np.random.default_rng(0)
    images = []
    for i in range(4):
        pixels = random.integers(0, 256, (40, 40, 3), dtype=np.uint8)
        PIL.Image.fromarray(pixels).save(tmp_path / f"{i}.png")
        images.append(str(tmp_path / f"{i}.png"))
    out = tmp_path / "out"
    detect = ["detect", images[0], "--normal", *images[1:], "--adapter", "official"]
    assert run([*detect, "--item", "candle", "--out", str(out)]) == 0
    written = json.loads((out / "scores.json").read_text())
    assert written["card"]["detector"] == "inctrl"
    assert written["card"]["fit"] == "crop"
    assert written["card"]["text_prior"] == "bank 'inctrl'"
    assert 0 < written["results"][0]["score"] < 1


def test_an_adapter_of_another_backbone_is_refused(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["adapters", "import", str(checkpoint), "--model", MODEL, "--name", "x"]) == 0
    shot = tmp_path / "shot.png"
    PIL.Image.new("RGB", (40, 40)).save(shot)
    capsys.readouterr()
    detect = ["detect", str(shot), "--normal", str(shot), "--adapter", "x", "--backbone", "tiny"]
    assert run([*detect, "--image-size", "64", "--layers", "stride16"]) == 6
    error = capsys.readouterr().err
    assert "belongs to backbone" in error
    assert error.count("\n") == 1


def test_a_file_that_is_no_checkpoint_is_refused(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"w": torch.zeros(1)}, tmp_path / "other.pyth")
    assert run(["adapters", "import", str(tmp_path / "other.pyth"), "--model", MODEL]) == 5
    assert "not an InCTRL checkpoint" in capsys.readouterr().err
    assert run(["adapters", "import", str(tmp_path / "none.pyth")]) == 5


def test_a_context_knows_the_weights_of_its_adapter(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shots = []
    for i in range(3):
        pixels = np.random.default_rng(i).integers(0, 256, (40, 40, 3), dtype=np.uint8)
        PIL.Image.fromarray(pixels).save(tmp_path / f"{i}.png")
        shots.append(str(tmp_path / f"{i}.png"))
    for name, seed in (("one", 0), ("two", 1)):
        state = torch.load(checkpoint)
        state["model_state"]["adapter.fc.0.weight"] += seed
        torch.save(state, checkpoint)
        assert run(["adapters", "import", str(checkpoint), "--model", MODEL, "--name", name]) == 0
    context, out = str(tmp_path / "context"), str(tmp_path / "out")
    detect = ["detect", shots[0], "--out"]
    normal = ["--normal", *shots, "--adapter", "one", "--save-context", context]
    assert run([*detect, out, *normal]) == 0
    assert run([*detect, f"{out}-2", "--context", context]) == 0
    capsys.readouterr()
    assert run([*detect, f"{out}-3", "--context", context, "--adapter", "two"]) == 6
    assert "prepared with adapter 'one', not 'two'" in capsys.readouterr().err
    assert run(["adapters", "import", str(checkpoint), "--model", MODEL, "--name", "../x"]) == 2


def test_a_broken_adapter_does_not_hide_the_others(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["adapters", "import", str(checkpoint), "--model", MODEL, "--name", "fine"]) == 0
    (tmp_path / "adapters" / "broken").mkdir()
    (tmp_path / "adapters" / "broken" / "adapter_config.json").write_text("{}")
    assert run(["adapters", "list"]) == 0
    listed = capsys.readouterr().out
    assert "broken\tbroken" in listed
    assert "fine\tinctrl" in listed
