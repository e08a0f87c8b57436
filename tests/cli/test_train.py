"""`inctrl train` from images on disk to an adapter that detects; killed, in two processes."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch

from inctrl.adapters import file
from inctrl.adapters.fusion import InCTRLFusion
from inctrl.cli.main import run
from inctrl.decoding import open_image
from inctrl.inspection.inspector import Inspector

SMALL = ("--image-size", "96", "--batch", "8", "--quiet")
FILES = (file.CONFIG, file.WEIGHTS, file.CARD)


def picture(path: Path, seed: int, bar: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(90, 160, (96, 96, 3), dtype=np.uint8)
    if bar:
        pixels[30:60, 10:80] = 255
    PIL.Image.fromarray(pixels).save(path)


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sets with white bars as defects, with masks; a third has normal images alone."""
    root = tmp_path_factory.mktemp("data")
    mask = np.zeros((96, 96), dtype=np.uint8)
    mask[30:60, 10:80] = 255
    for number, name in enumerate(("felt", "slate")):
        for i in range(5):
            picture(root / f"{name}/train/good/{i}.png", 100 * number + i)
            picture(root / f"{name}/test/good/{i}.png", 100 * number + 10 + i)
            picture(root / f"{name}/test/bar/{i}.png", 100 * number + 20 + i, bar=True)
            where = root / f"{name}/ground_truth/bar/{i}_mask.png"
            where.parent.mkdir(parents=True, exist_ok=True)
            PIL.Image.fromarray(mask).save(where)
    for i in range(5):
        picture(root / f"clean/train/good/{i}.png", 900 + i)
    return root


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INCTRL_CACHE", str(tmp_path_factory.getbasetemp() / "train-cache"))


def train(out: Path, sets: Path, *more: str) -> int:
    return run(["train", "--data", str(sets), "--out", str(out), *SMALL, *more])


def test_an_adapter_comes_of_it_that_tells_what_it_learned_to_tell(
    sets: Path, tmp_path: Path
) -> None:
    out = tmp_path / "a"
    assert train(out, sets, "--exclude", "clean", "--epochs", "3", "--steps", "20") == 0
    config = file.read_config(out)
    assert (config.kind, config.image_size, config.shots) == ("inctrl", 96, (2,))
    assert config.data == "felt, slate"
    assert config.metrics["epoch"] == 3
    assert config.recipe["loss"] == "released"
    fitted = Inspector.load(adapter=str(out)).fit(sorted((sets / "felt/train/good").iterdir())[:2])
    good = [r.score for r in fitted.inspect(sorted((sets / "felt/test/good").iterdir()))]
    bad = [r.score for r in fitted.inspect(sorted((sets / "felt/test/bar").iterdir()))]
    assert min(bad) > max(good)


def test_the_card_says_what_it_was_trained_on_and_how(sets: Path, tmp_path: Path) -> None:
    out = tmp_path / "a"
    assert train(out, sets, "--epochs", "1", "--steps", "2", "--hold-out", "slate") == 0
    card = (out / file.CARD).read_text()
    assert "| felt | 10 | 5 | 0 |" in card
    assert "| clean | 5 | 0 | 10 |" in card
    assert "slate was held out" in card
    assert file.read_config(out).fingerprint in card
    assert "held_out_auroc" in file.read_config(out).metrics


def test_with_masks_a_map_of_probabilities_is_learned(sets: Path, tmp_path: Path) -> None:
    out = tmp_path / "a"
    more = ("--exclude", "clean", "--epochs", "2", "--steps", "30", "--pixels", "1")
    assert train(out, sets, *more) == 0
    assert file.read_config(out).shape["pixel_layers"] == 2
    fitted = Inspector.load(adapter=str(out)).fit(sorted((sets / "felt/train/good").iterdir())[:2])
    [result] = fitted.inspect([sets / "felt/test/bar/0.png"])
    inside, outside = result.anomaly_map[35:55, 20:70], result.anomaly_map[70:]
    assert 0 <= result.anomaly_map.min() <= result.anomaly_map.max() <= 1
    assert inside.mean() > outside.mean() + 0.3


def test_what_is_not_learned_from_is_warned_of_and_masks_that_say_nothing_are_refused(
    sets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "sets"
    shutil.copytree(sets, root)
    picture(root / "odd/clean/0.png", 0)
    (root / "slate/ground_truth/bar/0_mask.png").unlink()
    mask = root / "felt/ground_truth/bar/1_mask.png"
    PIL.Image.new("L", (96, 96), 255).save(mask)
    loud = [word for word in SMALL if word != "--quiet"]
    command = ["train", "--data", str(root), "--out", str(tmp_path / "a"), *loud]
    assert run([*command, "--pixels", "1", "--epochs", "1", "--steps", "2"]) == 5
    said = capsys.readouterr().err
    assert "WARNING: sets: odd: 1 image is not used (0.png): no folder 'train/good'" in said
    assert "WARNING: 1 of 5 anomalous images of sets/slate have no mask: where these" in said
    assert "1_mask.png' marks every pixel as anomalous" in said.splitlines()[-1]


def test_killed_and_given_again_it_ends_with_the_same_files(sets: Path, tmp_path: Path) -> None:
    more = ("--epochs", "4", "--steps", "50", "--hold-out", "slate", "--shots", "1", "3")
    outs = [tmp_path / place / "same" for place in ("whole", "killed")]

    def start(out: Path) -> "subprocess.Popen[bytes]":
        """Each in a process of its own, so that all have as many threads."""
        command = [sys.executable, "-m", "inctrl", "train", "--data", str(sets), "--out", str(out)]
        return subprocess.Popen([*command, *SMALL, *more])

    assert start(outs[0]).wait() == 0
    going = start(outs[1])
    while not (outs[1].parent / "same.training/checkpoint.pt").is_file():
        assert going.poll() is None, "it ended before it could be killed"
        time.sleep(0.01)
    going.send_signal(signal.SIGKILL)
    going.wait()
    assert not outs[1].exists()
    assert start(outs[1]).wait() == 0
    for name in FILES:
        assert (outs[1] / name).read_bytes() == (outs[0] / name).read_bytes()
    assert not (outs[1].parent / "same.training").exists()


def test_holding_out_is_another_training(
    sets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    work = tmp_path / "a.training"
    more = ("--exclude", "clean", "--epochs", "2", "--steps", "60")
    command = [sys.executable, "-m", "inctrl", "train", "--data", str(sets), *SMALL, *more]
    going = subprocess.Popen([*command, "--out", str(tmp_path / "a"), "--hold-out", "slate"])
    while not (work / "checkpoint.pt").is_file():
        assert going.poll() is None, "it ended before it could be killed"
        time.sleep(0.01)
    going.send_signal(signal.SIGKILL)
    going.wait()
    assert train(tmp_path / "a", sets, *more) == 2
    error = capsys.readouterr().err
    assert "is of a training with other settings or other data (" in error
    assert "set held out" in error
    assert "epochs" not in error


def test_what_others_keep_beside_the_adapter_is_left_alone(
    sets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.training").mkdir()
    (tmp_path / "a.training/mine.txt").write_text("precious")
    assert train(tmp_path / "a", sets, "--epochs", "1", "--steps", "2") == 7
    assert "holds 'mine.txt'" in capsys.readouterr().err
    assert (tmp_path / "a.training/mine.txt").read_text() == "precious"


def test_a_setting_for_encoding_is_none_for_training(
    sets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INCTRL_BATCH", "4")
    more = ("--exclude", "clean", "--epochs", "1", "--steps", "2")
    assert train(tmp_path / "a", sets, *more) == 0
    assert file.read_config(tmp_path / "a").recipe["batch"] == 8


def test_the_adapter_knows_the_images_it_has_seen(sets: Path, tmp_path: Path) -> None:
    more = ("--exclude", "clean", "--epochs", "1", "--steps", "2", "--hold-out", "slate")
    assert train(tmp_path / "a", sets, *more) == 0
    config = file.read_config(tmp_path / "a")
    assert (config.data, config.recipe["held_out"]) == ("felt", "slate")
    known = config.images.split()
    assert len(known) == 2 * 15
    for place in ("felt/train/good/0.png", "slate/test/bar/4.png"):
        assert open_image(sets / place).sha256[:16] in known


@pytest.mark.parametrize("out", [".", ""])
def test_no_name_for_the_folder_is_told(
    sets: Path, out: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert run(["train", "--data", str(sets), "--out", out]) == 2
    assert "is no new folder" in capsys.readouterr().err


def test_two_processes_make_one_adapter(sets: Path, tmp_path: Path) -> None:
    out = tmp_path / "a"
    launcher = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc-per-node",
        "2",
        "--standalone",
    ]
    command = [
        "-m",
        "inctrl",
        "train",
        "--data",
        str(sets),
        "--out",
        str(out),
        "--exclude",
        "clean",
    ]
    done = subprocess.run(
        [*launcher, *command, *SMALL, "--epochs", "2", "--steps", "10"],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [str(out)]
    assert file.read_config(out).recipe["processes"] == 2
    weights = torch.cat([p.flatten() for p in _fusion(out).parameters()])
    assert weights.isfinite().all()


def _fusion(out: Path) -> InCTRLFusion:
    from inctrl.backbones import load_backbone

    module = file.open_adapter(out).fit_to(load_backbone("tiny", image_size=96)).module
    assert isinstance(module, InCTRLFusion)
    return module


def test_losses_are_written_for_tensorboard(sets: Path, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    more = (
        "--exclude",
        "clean",
        "--epochs",
        "2",
        "--steps",
        "3",
        "--tensorboard",
        str(tmp_path / "b"),
    )
    assert train(tmp_path / "a", sets, *more) == 0
    events = EventAccumulator(str(tmp_path / "b"))
    events.Reload()
    assert [e.step for e in events.Scalars("step/loss")] == [1, 2, 3, 4, 5, 6]
    assert [e.step for e in events.Scalars("epoch/loss")] == [3, 6]


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (("--batch", "7"), "--batch 7"),
        (("--batch", "2"), "--batch 2"),
        (("--shots", "0"), "--shots 0"),
        (("--rate", "-1"), "--rate -1.0"),
        (("--rate", "nan"), "--rate nan"),
        (("--rate", "5"), "--rate 5 is above 1"),
        (("--patience", "2"), "give --hold-out"),
        (("--pixels", "inf"), "--pixels inf"),
        (("--synthetic", "all", "--versions", "0"), "draws nothing"),
        (("--hold-out", "felp"), "did you mean 'felt'"),
        (("--shots", "12"), "12 shots and a query are 13 normal images"),
        (("--backbone", "nothing"), "unknown backbone"),
    ],
)
def test_what_cannot_be_is_said_in_one_line_before_anything_is_written(
    sets: Path, tmp_path: Path, more: tuple[str, ...], told: str,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert train(tmp_path / "a", sets, *more) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert told in line
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_taken_is_refused(
    sets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").write_text("x")
    assert train(tmp_path, sets) == 7
    assert "is there already" in capsys.readouterr().err


def test_an_adapter_of_another_backbone_is_refused(
    sets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(tmp_path / "a", sets, "--exclude", "clean", "--epochs", "1", "--steps", "2") == 0
    query, normal = sets / "felt/test/bar/0.png", sets / "felt/train/good"
    command = ["detect", str(query), "--normal", str(normal), "--out", str(tmp_path / "run")]
    assert run([*command, "--adapter", str(tmp_path / "a"), "--image-size", "128"]) == 6
    assert "belongs to backbone 'tiny'" in capsys.readouterr().err


def test_the_method_may_be_left_out(sets: Path, tmp_path: Path) -> None:
    more = ["--exclude", "clean", "--epochs", "1", "--steps", "2", *SMALL]
    for name, method in (("with", ["inctrl"]), ("without", [])):
        out = tmp_path / name / "same"
        assert run(["train", *method, "--data", str(sets), "--out", str(out), *more]) == 0
    files = [tmp_path / name / "same" / file.CONFIG for name in ("with", "without")]
    assert json.loads(files[0].read_text()) == json.loads(files[1].read_text())
