"""How far a command is, in the file that INCTRL_PROGRESS names."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from labelled import write_set

from inctrl.cli.main import run
from inctrl.cli.progress import PAUSE, Lines, curve, tracked


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("INCTRL_PROGRESS", str(tmp_path / "progress.jsonl"))
    monkeypatch.setenv("INCTRL_CACHE", str(tmp_path / "features"))
    monkeypatch.setenv("INCTRL_IMAGE_SIZE", "64")
    return tmp_path / "progress.jsonl"


@pytest.fixture(autouse=True)
def _log_as_it_was() -> Iterator[None]:
    """The command takes the package's log over."""
    logger = logging.getLogger("inctrl")
    before = logger.handlers, logger.propagate, logger.level
    yield
    logger.handlers, logger.propagate = before[:2]
    logger.setLevel(before[2])


def read(file: Path, key: str = "what") -> list[Any]:
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    return [row if key == "what" else row[key] for row in rows if key in row]


def places(file: Path) -> list[tuple[str, int, int]]:
    return [(row["what"], row["done"], row["total"]) for row in read(file)]


def ends(file: Path) -> dict[str, tuple[int, int]]:
    """The last place of each sort, in the order in which they began."""
    return {what: (done, total) for what, done, total in places(file)}


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_five_lines_a_second_and_the_last_whenever_it_comes(tmp_path: Path) -> None:
    clock = Clock()
    lines = Lines(tmp_path / "p", clock)
    for done in range(1, 101):
        clock.now = done * PAUSE * 0.15
        lines.place("training", done, 100)
    lines.place("training", 100, 100, last=True)
    assert [done for _, done, _ in places(tmp_path / "p")] == [*range(1, 101, 7), 100]


def test_every_epoch_is_a_row_and_steps_are_where_there_is_time(tmp_path: Path) -> None:
    lines = Lines(tmp_path / "p", Clock())
    for step in (1, 2, 3):
        lines.row({"step": step, "loss": 0.5})
        lines.row({"step": step, "epoch": step, "loss": 0.5})
    rows = read(tmp_path / "p", "row")
    assert [row["step"] for row in rows if "epoch" not in row] == [1]
    assert [row["epoch"] for row in rows if "epoch" in row] == [1, 2, 3]


def test_items_pass_and_the_first_and_last_place_are_told(file: Path) -> None:
    assert list(tracked("abc", 3, "reading", quiet=True)) == ["a", "b", "c"]
    told = places(file)
    assert told[0] == ("reading", 0, 3)
    assert told[-1] == ("reading", 3, 3)


def test_work_that_fails_tells_how_far_it_came(file: Path) -> None:
    def failing() -> Iterator[int]:
        yield 1
        yield 2
        raise OSError

    with pytest.raises(OSError):  # noqa: PT011  which one does not matter
        list(tracked(failing(), 5, "reading", quiet=True))
    assert places(file)[-1] == ("reading", 2, 5)


def test_resumed_work_is_as_far_as_its_items_say(file: Path) -> None:
    list(tracked([41, 42], 50, "training", quiet=True, place=lambda item: item))
    assert places(file)[-1] == ("training", 42, 50)


def test_the_last_loss_of_a_curve_is_always_there(file: Path) -> None:
    assert list(curve(iter([3.0, 2.0, 1.0]))) == [3.0, 2.0, 1.0]
    assert read(file, "row") == [{"step": 1, "loss": 3.0}, {"step": 3, "loss": 1.0}]


def test_without_the_variable_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("INCTRL_PROGRESS", raising=False)
    monkeypatch.chdir(tmp_path)
    assert list(tracked([1], 1, "reading", quiet=True)) == [1]
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_written_is_told_once_and_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("INCTRL_PROGRESS", str(tmp_path / "no/folder/p"))
    monkeypatch.setattr(logging.getLogger("inctrl"), "handlers", [])
    monkeypatch.setattr(logging.getLogger("inctrl"), "propagate", True)
    caplog.set_level(logging.WARNING, "inctrl")
    for _ in range(2):
        assert list(tracked([1, 2], 2, "reading", quiet=True)) == [1, 2]
    [record] = caplog.records
    assert "no/folder/p cannot be written" in record.getMessage()


def test_a_watched_terminal_still_has_its_bar(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert list(tracked([1], 1, "reading", quiet=False)) == [1]
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert list(tracked([1], 1, "reading", quiet=False)) == [1]
    assert "reading" in capsys.readouterr().err


def test_a_folder_is_inspected(file: Path, tmp_path: Path) -> None:
    data = write_set(tmp_path / "made")
    queries, normal = str(data / "test/good"), str(data / "train/good")
    assert run(["detect", queries, "--normal", normal, "--out", str(tmp_path / "o"), "-q"]) == 0
    assert ends(file) == {"inspecting": (4, 4)}


def test_an_evaluation_tells_each_cell(file: Path, tmp_path: Path) -> None:
    write_set(tmp_path / "made", "field")
    command = ["evaluate", "--data", str(tmp_path / "made"), "--out", str(tmp_path / "o"), "-q"]
    assert run([*command, "--shots", "2", "3", "--seeds", "2"]) == 0
    assert ends(file) == {"reading": (1, 1), "cells": (4, 4)}
    cells = read(file, "cell")
    assert [(c["k"], c["seed"]) for c in cells] == [(2, 0), (2, 1), (3, 0), (3, 1)]
    assert {(c["contender"], c["set"]) for c in cells} == {("incontext", "made/field")}
    assert [c["image_auroc"] for c in cells] == [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("method", "more", "ended"),
    [
        ("inctrl", ["--epochs=2", "--steps=3", "--batch=8"], {"training": (6, 6)}),
        ("coop", ["--epochs=2"], {"training": (2, 2)}),
        ("regad", ["--epochs=2", "--shots=2"], {"training": (2, 2), "reading": (1, 1)}),
    ],
)
def test_a_training_tells_its_losses(
    file: Path, tmp_path: Path, method: str, more: list[str], ended: dict[str, tuple[int, int]]
) -> None:
    data = tmp_path / "made"
    write_set(data, "field", train=4)
    command = ["train", method, "--data", str(data), "--out", str(tmp_path / "o"), "-q", *more]
    assert run(command) == 0
    found = ends(file)
    assert {what: found[what] for what in ended} == ended
    rows = read(file, "row")
    assert rows[0]["step"] == 1
    assert rows[-1]["step"] == ended["training"][1]
    if method == "inctrl":
        assert [row["step"] for row in rows if "epoch" in row] == [3, 6]
        assert found["encoding"][0] == found["encoding"][1]
