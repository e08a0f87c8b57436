"""Commands for a user who has no home folder: each works, or says what to give."""

from pathlib import Path

import pytest
from homeless import leave_home

from inctrl.cli.main import run

IMAGES = Path(__file__).parents[2] / "demos" / "images" / "brick"
GOOD = str(IMAGES / "query" / "good-1.png")
MAIN_JOB = ("detect", GOOD, "--normal", str(IMAGES / "normal"), "--image-size", "64")


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    leave_home(monkeypatch, tmp_path / "tmp")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "tmp"


@pytest.mark.usefixtures("temporary")
@pytest.mark.parametrize(
    "command",
    [("adapters", "list"), ("backbones",), ("detectors",), ("data",), ("doctor",)],
    ids=" ".join,
)
def test_what_needs_no_home_works(
    command: tuple[str, ...], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run([*command]) == 0
    assert "bug" not in capsys.readouterr().err
    assert not (tmp_path / "~").exists()


def test_the_main_job_says_once_where_features_are_remembered(
    temporary: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for out in ("a", "b"):
        assert run([*MAIN_JOB, "--out", out, "--save-context", f"c{out}"]) == 0
    said = capsys.readouterr().err
    assert said.count(f"features are remembered in '{temporary}/inctrl-") == 1
    assert run(["detect", GOOD, "--context", "ca", "--out", "c"]) == 0


@pytest.mark.usefixtures("temporary")
@pytest.mark.parametrize(
    ("command", "fix"),
    [
        (("sets", "list"), "give --store DIR"),
        (("sets", "add", "x", GOOD), "give --store DIR"),
        (("detect", GOOD, "--set", "x"), "give --store DIR"),
        (("serve", "--port", "0", "--no-page"), "give --store DIR"),
        (("train", "--data", "x", "--name", "mine"), "set INCTRL_ADAPTERS"),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, tuple) else "",
)
def test_what_is_to_last_wants_a_place(
    command: tuple[str, ...], fix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*command]) == 2
    said = capsys.readouterr().err
    assert "this user has no home folder" in said
    assert fix in said


@pytest.mark.usefixtures("temporary")
def test_a_place_that_is_given_is_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["sets", "add", "x", GOOD, "--store", str(tmp_path / "store")]) == 0
    assert run(["sets", "list", "--store", str(tmp_path / "store")]) == 0
    assert "x@1" in capsys.readouterr().out
