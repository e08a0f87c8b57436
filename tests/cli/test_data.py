"""`inctrl data`: the layouts, one of them, and what is in a folder."""

from pathlib import Path

import pytest
from trees import cifar10, folder, table, visa

from inctrl.cli.main import run
from inctrl.data.sources import SOURCES


def test_the_list_names_every_layout(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["data"]) == 0
    said = capsys.readouterr().out
    for name, source in SOURCES.items():
        assert f"{name} " in said
        assert source.title in said


@pytest.mark.parametrize("name", SOURCES)
def test_one_layout_is_shown_with_tree_licence_and_steps(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["data", name]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"{name}: {SOURCES[name].title}\n\n{SOURCES[name].tree.strip()}\n")
    assert f"\nlicence: {SOURCES[name].licence}\n" in said
    assert "\nto get it: " in said


def test_a_folder_is_counted_by_category(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["data", str(folder(tmp_path))]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{tmp_path}: folder (pictures of one's own, in folders)",
        "",
        "category   train normal  test normal  test anomalous  masks",
        "oak-board             6            2               3      2",
        "tile                  3            1               1      0",
    ]


def test_a_named_layout_and_a_file_are_counted_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["data", f"cifar10-multi:{cifar10(tmp_path / 'c')}"]) == 0
    said = capsys.readouterr().out
    assert "animal " in said
    assert run(["data", str(table(tmp_path / "t"))]) == 0
    assert "nut " in capsys.readouterr().out


def test_a_wrong_layout_ends_with_5_one_line_and_the_tree_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (visa(tmp_path) / "candle/Data/Images/Normal/0000.JPG").unlink()
    assert run(["data", str(tmp_path)]) == 5
    first, rest = capsys.readouterr().err.split("\n", 1)
    assert first.startswith(f"inctrl: {str(tmp_path)!r} cannot be read as visa (")
    assert "0000.JPG" in first
    assert rest.startswith(SOURCES["visa"].tree.strip())
    assert "\nlicence: CC BY 4.0\nto get it: " in rest


def test_an_error_without_detail_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["data", str(tmp_path / "absent")]) == 5
    error = capsys.readouterr().err
    assert error.startswith("inctrl: no data at")
    assert error.count("\n") == 1


def test_the_command_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        run(["data", "--help"])
    assert "NAME:PATH" in capsys.readouterr().out
