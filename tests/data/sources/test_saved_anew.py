"""Lists of images after somebody has opened them in a spreadsheet or an editor, and saved them."""

import shutil
from pathlib import Path

import pytest
from trees import TREES

from inctrl.data.sources import read_data

LISTS = {"visa": "1cls.csv", "headct": "labels.csv", "csv": "parts.csv", "elpv": "labels.csv"}
ENCODINGS = ["utf-8-sig", "utf-16", "utf-16-be"]


def seen(spec: str) -> list[tuple[str, int, int]]:
    return [(one.name, len(one.train), len(one.test)) for one in read_data(spec)]


def lists_of(name: str, place: Path) -> list[Path]:
    pattern = "*.json" if name == "inctrl-json" else LISTS[name]
    folder = place if place.is_dir() else place.parent
    return [path for path in folder.rglob(pattern) if path.is_file()]


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("name", [*LISTS, "inctrl-json"])
def test_lists_in_other_encodings_say_the_same(tmp_path: Path, name: str, encoding: str) -> None:
    place = TREES[name](tmp_path)
    before = seen(f"{name}:{place}")
    files = lists_of(name, place)
    assert files
    for file in files:
        file.write_bytes(file.read_text("utf-8").encode(encoding))
    assert seen(f"{name}:{place}") == before


@pytest.mark.parametrize("delimiter", [";", "\t"])
@pytest.mark.parametrize("name", ["visa", "headct", "csv"])
def test_lists_with_other_separators_and_blank_rows_say_the_same(
    tmp_path: Path, name: str, delimiter: str
) -> None:
    place = TREES[name](tmp_path)
    before = seen(f"{name}:{place}")
    [file] = lists_of(name, place)
    rows = file.read_text("utf-8").replace(", ", ",").splitlines()
    blank = delimiter * rows[0].count(",")
    text = "\n".join(f"{row.replace(',', delimiter)}{delimiter}\n{blank}" for row in rows)
    file.write_text(text, "utf-8")
    assert seen(f"{name}:{place}") == before


@pytest.mark.parametrize("name", ["visa", "csv", "inctrl-json"])
def test_backslashes_in_paths_part_folders(tmp_path: Path, name: str) -> None:
    place = TREES[name](tmp_path)
    before = seen(f"{name}:{place}")
    for file in lists_of(name, place):
        twice = "\\\\" if file.suffix == ".json" else "\\"
        file.write_text(file.read_text("utf-8").replace("/", twice), "utf-8")
    assert seen(f"{name}:{place}") == before


def test_a_linked_list_finds_images_beside_the_link_too(tmp_path: Path) -> None:
    lists = TREES["inctrl-json"](tmp_path / "a")
    before = seen(f"inctrl-json:{lists}")
    kept = shutil.move(lists, tmp_path / "kept")
    lists.mkdir()
    for file in Path(kept).rglob("*.json"):
        (lists / file.name).symlink_to(file)
    assert seen(f"inctrl-json:{lists}") == before
