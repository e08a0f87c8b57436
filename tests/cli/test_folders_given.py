"""Folders as people have them: links, thumbnails, and what earlier runs have left there."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from trees import picture

from inctrl.cli.main import run
from inctrl.data.passed import left_out
from inctrl.evaluation.kept import Kept

SMALL = ("--image-size", "64", "--cache", "off")


def field(path: Path, seed: int) -> Path:
    """A small noisy picture."""
    random = np.random.default_rng(seed)
    return picture(path, random.normal(120, 20, (40, 48)).clip(0, 255).astype(np.uint8))


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with three normal images and two queries."""
    for i in range(3):
        field(tmp_path / f"work/normal/{i}.png", i)
    for i in range(2):
        field(tmp_path / f"work/parts/{i}.png", 10 + i)
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def inspected(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[list[str], str]:
    """The names of the queries that were inspected, and what was said beside."""
    capsys.readouterr()
    assert run(["detect", *arguments, *SMALL]) == 0
    streams = capsys.readouterr()
    return [line.split()[-1] for line in streams.out.splitlines()], streams.err


def test_a_run_never_inspects_what_earlier_ones_have_drawn(
    parts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert parts.is_dir()
    command = (".", "--recursive", "--normal", "normal", "--save-context")
    first, said = inspected(capsys, *command, "ctx", "--out", "parts/out")
    assert len(first) == 5
    assert "left out" not in said
    second, said = inspected(capsys, *command, "parts/ctx")
    third, _ = inspected(capsys, *command, "ctx3")
    assert first == second == third
    assert "left out 2 folders that runs have written, such as 'ctx'" in said
    assert (parts / "runs" / "detect-2").is_dir()


def test_a_folder_of_a_run_that_is_named_is_read(
    parts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inspected(capsys, str(parts / "parts"), "--normal", "normal", "--out", "out")
    names, _ = inspected(capsys, "out/overlays", "--normal", "normal", "--out", "again")
    assert len(names) == 2
    names, _ = inspected(capsys, "out", "--recursive", "--normal", "normal", "--out", "third")
    assert len(names) == 2


def test_a_folder_with_nothing_but_runs_has_no_images(
    parts: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    inspected(capsys, "parts", "--normal", "normal", "--out", "only/runs/1")
    monkeypatch.chdir(parts / "only")
    for flags in ([], ["--recursive"]):
        assert run(["detect", ".", "--normal", "../normal", *flags]) == 2
        said = capsys.readouterr().err
        assert "no images in folder '.'" in said
        assert "which a run has written" in said
        assert "--recursive" not in said


def test_normal_images_and_sets_are_not_taken_from_runs_either(
    parts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inspected(capsys, "parts", "--normal", "normal", "--out", "normal/run")
    inspected(capsys, "parts", "--normal", "normal", "--recursive", "--out", "out")
    made = json.loads((parts / "out" / "scores.json").read_bytes())
    assert len(made["card"]["shots"]) == 3
    assert run(["sets", "add", "x", "normal", "--recursive", "--store", "store"]) == 0
    assert "3 new" in capsys.readouterr().out


def test_what_the_commands_write_is_known_by_what_lies_in_it(
    parts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inspected(capsys, "parts", "--normal", "normal", "--out", "out", "--save-context", "ctx")
    Kept(parts / "evaluation", ("results.json",)).open()
    for name in ("out", "ctx", "evaluation"):
        assert left_out(name, parts / name) == "written"
    assert left_out("parts", parts / "parts") is None


def test_a_linked_folder_is_inspected_and_a_broken_link_is_told(
    parts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    field(parts.parent / "store" / "9.png", 9)
    (parts / "parts" / "tuesday").symlink_to("../../store")
    (parts / "parts" / "gone.png").symlink_to("nowhere.png")
    names, said = inspected(capsys, "parts", "--recursive", "--normal", "normal")
    assert names == ["parts/0.png", "parts/1.png", "parts/tuesday/9.png"]
    assert said.count("WARNING: link 'parts/gone.png' leads nowhere") == 1


def test_what_is_no_image_by_its_name_is_counted_once(
    parts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a.HEIC", "b.heic", "notes.txt", "Thumbs.db", "list.csv"):
        (parts / "parts" / name).touch()
    _, said = inspected(capsys, "parts", "--normal", "normal")
    assert said.count("2 .heic") == 1
    assert "txt" not in said


def test_linked_kinds_of_defects_count_as_others_do(
    parts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for i in range(3):
        field(parts / "sets/real/anomalous/scratch" / f"{i}.png", 20 + i)
        field(parts / "sets/real/masks/scratch" / f"{i}.png", 20 + i)
    shutil.copytree("normal", "sets/real/normal")
    shutil.copytree("sets/real", "linked")
    shutil.rmtree("linked/anomalous/scratch")
    Path("linked/anomalous/scratch").symlink_to("../../sets/real/anomalous/scratch")
    counts = []
    for path in ("sets/real", "linked"):
        capsys.readouterr()
        assert run(["data", path]) == 0
        counts.append(capsys.readouterr().out.splitlines()[-1].split()[1:])
    assert counts[0] == counts[1] == ["2", "1", "3", "3"]


def test_a_data_set_names_what_programs_and_runs_keep_in_it(
    parts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inspected(capsys, "parts", "--normal", "normal", "--out", "set/nut/run")
    for i in range(3):
        field(parts / f"set/nut/train/good/{i}.png", i)
        field(parts / f"set/nut/test/bent/{i}.png", 20 + i)
        field(parts / f"set/nut/test/@eaDir/{i}.png/{i}.jpg", 20 + i)
        field(parts / f"set/nut/test/.ipynb_checkpoints/{i}-checkpoint.png", 20 + i)
    capsys.readouterr()
    assert run(["data", "set"]) == 0
    streams = capsys.readouterr()
    assert streams.out.splitlines()[3].split() == ["nut", "3", "0", "3", "0"]
    said = streams.out + streams.err
    assert "nut/test/@eaDir is left out with 3 images: a program keeps it" in said
    assert "nut/test/.ipynb_checkpoints is left out with 3 images" in said
    assert "nut/run is left out with 2 images: a run has written it" in said
