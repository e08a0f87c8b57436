"""The whole training program, `python -m tiny`, on a few drawn images."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import PIL.Image
import pytest
import torch
from recipe.tiny_shards import drawn, rows_of, write_rows, write_shards
from recipe.tiny_teacher import write_teacher
from safetensors.torch import load_file

from inctrl.backbones import load_backbone
from inctrl.backbones.tiny import tower
from inctrl.backbones.tiny.text import CONFIG, TOKENIZER, WEIGHTS
from inctrl.cli.main import run as inctrl
from tiny import __main__ as program_main
from tiny import distil, image_features, quality, textloop
from tiny.program import STANDARDS
from tiny.recipe import SMOKE
from tiny.shards import read_images
from tiny.state import FORGOTTEN

SIZE = 64
Inputs = tuple[Path, Path]
"""Folders of the shards and of the teacher."""


@pytest.fixture(scope="module")
def small() -> Iterator[None]:
    """Everything at a size at which a run takes a second or two."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tower, "IMAGE_SIZE", SIZE)
        patch.setattr(image_features, "CHUNK", 8)
        patch.setattr(distil, "SMOKE", 0.001)
        patch.setattr(distil, "LAYERS", 1)
        patch.setattr(textloop, "GROUP", 2)
        patch.setattr(quality, "RANDOM_BANKS", 3)
        patch.setattr(quality, "RESAMPLED", 10)
        yield


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    folder = tmp_path_factory.mktemp("inputs")
    return write_shards(folder / "shards"), write_teacher(folder / "teacher")


def main(out: Path, shards: Path, teacher: Path | None, *flags: str) -> int:
    """The program in this process."""
    taught = ["--teacher", str(teacher)] if teacher else []
    arguments = [str(out), "--shards", str(shards), *taught, "--device", "cpu", *flags]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["tiny", *arguments])
        return program_main.main()


@pytest.fixture(scope="module")
def out(small: None, inputs: Inputs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "out"
    assert main(folder, *inputs, "--smoke") == 0
    return folder


@pytest.fixture
def copy(out: Path, tmp_path: Path) -> Path:
    """The finished folder, to be broken."""
    shutil.copytree(out, tmp_path / "copy")
    return tmp_path / "copy"


@pytest.fixture
def shards(inputs: Inputs, tmp_path: Path) -> Path:
    """A copy of the shards, to be changed."""
    shutil.copytree(inputs[0], tmp_path / "shards")
    return tmp_path / "shards"


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


# What a run leaves


def test_the_folder_holds_what_the_backbone_needs(out: Path) -> None:
    names = {path.name for path in out.iterdir()}
    assert names == {CONFIG, TOKENIZER, WEIGHTS, "README.md", "training.json", "work"}
    assert not list(out.rglob("*.partial"))
    backbone = load_backbone(f"tiny:{out}", image_size=SIZE, device="cpu")
    token = backbone.encode_images(torch.zeros(1, 3, SIZE, SIZE)).image
    sentence = backbone.encode_text(["a damaged bottle"])
    assert token.shape == sentence.shape == (1, 259)
    assert token.isfinite().all()
    assert sentence.isfinite().all()


def test_weights_are_stored_in_half_precision_but_for_the_standards(out: Path) -> None:
    stored = load_file(out / WEIGHTS)
    assert {name.split(".")[0] for name in stored} == {"text", "joint"}
    single = {name for name, tensor in stored.items() if tensor.dtype == torch.float32}
    assert single == set(STANDARDS)
    assert all(t.dtype == torch.float16 for n, t in stored.items() if n not in single)
    assert all(tensor.isfinite().all() for tensor in stored.values())


def test_the_content_of_images_is_kept_clear_of_the_state(out: Path) -> None:
    """In single precision nothing would be left along FORGOTTEN directions."""
    weight = load_file(out / WEIGHTS)["joint.linear.weight"].float()
    strengths = torch.linalg.svdvals(weight)
    assert strengths[-FORGOTTEN] < 0.01 * strengths[-FORGOTTEN - 1]


def test_the_record_tells_what_was_trained(out: Path, inputs: Inputs) -> None:
    record = json.loads((out / "training.json").read_text())
    assert record["recipe"] == asdict(SMOKE)
    assert record["images"] == 27
    assert record["seconds"] >= 0
    steps = [json.loads(line) for line in (out / "work" / "log.jsonl").read_text().splitlines()]
    by_stage = {name: sum(row["stage"] == name for row in steps) for name in
                ("content", "damage", "wording")}  # fmt: skip
    assert by_stage == {"content": 8, "damage": 48, "wording": 8}


def test_the_card_has_every_figure_and_no_path_of_the_machine(
    out: Path, inputs: Inputs, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a finished folder the program measures again, and needs neither teacher nor seed."""
    before = (out / "README.md").read_text()
    weights = (out / WEIGHTS).read_bytes()
    assert main(out, inputs[0], None, "--seed", "7") == 0
    told = capsys.readouterr().out
    assert (out / "README.md").read_text() == before
    assert (out / WEIGHTS).read_bytes() == weights
    lines = re.findall(r"^(.+?) {2,}([\d.]+) \+- +([\d.]+) +(\d+) images$", told, re.MULTILINE)
    assert len(lines) == told.count("\n") == 8
    for _, value, error, images in lines:
        assert f"| {value} ± {error} | {images} |" in before
    for page in (before, (out / "training.json").read_text()):
        for place in (out, *inputs):
            assert str(place) not in page
            assert str(place.parent) not in page


def test_detect_uses_it_without_a_normal_image(
    out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for i in range(2):
        (tmp_path / f"{i}.png").write_bytes(drawn(f"query {i}"))
    queries = [str(tmp_path / f"{i}.png") for i in range(2)]
    flags = ["--backbone", f"tiny:{out}", "--image-size", str(SIZE), "--item", "bottle"]
    command = ["detect", *queries, *flags, "--cache", "off", "--out", str(tmp_path / "run")]
    assert inctrl(command) == 0
    results = json.loads((tmp_path / "run" / "scores.json").read_text())
    assert results["card"]["backbone"] == f"tiny:{out}"
    assert results["card"]["detector"] == "zeroshot"
    scores = [row["score"] for row in results["results"]]
    assert len(scores) == 2
    assert all(0 <= score <= 1 for score in scores)
    assert capsys.readouterr().out.count("undecided") == 2


# Again, and in parts


def test_a_killed_run_goes_on_to_the_same_bytes(
    small: None, inputs: Inputs, out: Path, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed with a chunk of images missing; the teacher is not asked again."""
    for name in (WEIGHTS, "training.json", "README.md", "work/images/images-000016.safetensors"):
        (copy / name).unlink()
    seen: list[str] = []

    def noted(*arguments: Any) -> Iterator[Any]:
        for image in read_images(*arguments):
            seen.append(image.name)
            yield image

    monkeypatch.setattr(image_features, "read_images", noted)
    monkeypatch.setattr(distil, "encode", None)
    assert main(copy, *inputs, "--smoke") == 0
    assert len(seen) == 8
    assert (copy / WEIGHTS).read_bytes() == (out / WEIGHTS).read_bytes()
    record = json.loads((copy / "training.json").read_text())
    assert record["seconds"] is None
    assert "Trained in several runs" in (copy / "README.md").read_text()


def test_nothing_research_only_is_trained_on_and_the_seed_decides_the_rest(
    small: None, out: Path, inputs: Inputs, shards: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """In another folder, with other research captions and without the research images at all:
    the same weights. Only the measuring afterwards wants those images."""
    rows = rows_of(shards)
    for row in rows:
        if row["source"] == "flickr8k":
            row["captions"] = ["something else entirely", "and more"]
    write_rows(shards, rows)
    (shards / "flickr8k-00.zip").unlink()
    assert main(tmp_path / "other", shards, inputs[1], "--smoke") == 2
    *_, last = capsys.readouterr().err.splitlines()  # below the teacher's loading bar
    assert re.match(r"tiny: .*cannot be read from '.*flickr8k-00\.zip'", last)
    for name in (WEIGHTS, CONFIG, TOKENIZER):
        assert (tmp_path / "other" / name).read_bytes() == (out / name).read_bytes()


def test_free_images_and_captions_are_trained_on(
    small: None, out: Path, inputs: Inputs, shards: Path, tmp_path: Path
) -> None:
    """So that the test above can fail: another image of a free source gives other weights."""
    PIL.Image.new("RGB", (40, 40), (9, 200, 30)).save(shards / "ambientcg" / "bark-0.png")
    assert main(tmp_path / "other", shards, inputs[1], "--smoke") == 0
    first, other = load_file(out / WEIGHTS), load_file(tmp_path / "other" / WEIGHTS)
    assert torch.equal(first["text.text_projection"], other["text.text_projection"])
    assert not torch.equal(first["joint.mean"], other["joint.mean"])
    assert not torch.equal(first["joint.linear.weight"], other["joint.linear.weight"])


# What is refused


@pytest.fixture
def unfinished(copy: Path) -> Path:
    (copy / WEIGHTS).unlink()
    return copy


def test_another_recipe_is_refused_in_one_line(inputs: Inputs, unfinished: Path) -> None:
    shards, teacher = map(str, inputs)
    command = [sys.executable, "-m", "tiny", str(unfinished), "--shards", shards]
    done = subprocess.run(
        [*command, "--teacher", teacher, "--device", "cpu"], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("tiny: ")
    assert "another recipe" in done.stderr
    assert "give a fresh folder" in done.stderr
    assert not (unfinished / WEIGHTS).exists()


@pytest.mark.parametrize("flags", [("--seed", "1"), ("--sources", "caltech101")])
def test_another_seed_or_other_sources_are_refused(
    small: None,
    inputs: Inputs,
    unfinished: Path,
    flags: tuple[str, ...],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(unfinished, *inputs, "--smoke", *flags) == 2
    assert "another recipe, other sources" in one_line(capsys)


def test_other_images_are_refused(
    small: None,
    inputs: Inputs,
    shards: Path,
    unfinished: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Else features of the one would be paired with captions of the other."""
    write_rows(shards, rows_of(shards)[::-1])
    assert main(unfinished, shards, inputs[1], "--smoke") == 2
    assert "other images" in one_line(capsys)


def test_what_is_missing_is_told(
    small: None,
    inputs: Inputs,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shards, teacher = inputs
    monkeypatch.setattr(program_main, "TEACHER", "no_such_package")
    assert main(tmp_path / "a", shards, None) == 2
    assert "install `inctrl[training]`" in one_line(capsys)
    assert main(tmp_path / "a", tmp_path, teacher) == 2
    assert "captions.jsonl" in one_line(capsys)
    for sources in ("nothing", "cocomini"):
        assert main(tmp_path / "a", shards, teacher, "--sources", sources) == 2
        assert "no labelled image" in one_line(capsys)
    assert main(tmp_path / "a", shards, tmp_path, "--smoke") == 5
    assert "tokenizer.json" in one_line(capsys)
    assert not (tmp_path / "a" / WEIGHTS).exists()


def test_the_seed_belongs_to_a_smoke_run_too(
    monkeypatch: pytest.MonkeyPatch, inputs: Inputs, tmp_path: Path
) -> None:
    jobs: list[Any] = []

    def stop(job: Any, bar: Any) -> None:
        jobs.append(job)
        raise KeyboardInterrupt

    monkeypatch.setattr(program_main, "train", stop)
    for flags in (("--smoke", "--seed", "3"), ("--smoke",), ("--seed", "3")):
        with pytest.raises(KeyboardInterrupt):
            main(tmp_path, *inputs, *flags)
    assert [job.recipe.seed for job in jobs] == [3, 0, 3]
    assert [job.smoke for job in jobs] == [True, True, False]
