"""`inctrl data`: the layouts, one of them, and what is in a folder."""

from pathlib import Path

import pytest
from trees import cifar10, folder, picture, table, visa

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
        "",
        f"1 of 3 anomalous images of {tmp_path.name}/oak-board have no mask: pixels are not "
        "evaluated",
    ]


def test_what_is_not_used_is_named_below_the_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = folder(tmp_path)
    for i in range(3):
        picture(root / f"bare/OK/{i}.png", i)
        picture(root / f"odd/clean/{i}.png", i)
    picture(root / "tile/masks/b.png")
    (root / "tile/good/notes.txt").touch()
    assert run(["data", str(root)]) == 0
    _, remarks = capsys.readouterr().out.split("\n\n")[1:]
    assert remarks.splitlines() == [
        "bare: no anomalous images; `train` takes it, `evaluate` leaves it out",
        f"1 of 3 anomalous images of {tmp_path.name}/oak-board have no mask: pixels are not "
        "evaluated",
        "odd: 3 images are not used (0.png, 1.png, 2.png): no folder 'normal' (it has clean)",
        "tile/good: 1 file is no image that is read (.txt 1)",
        "1 file in tile/masks/ fits no anomalous image (b.png)",
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
