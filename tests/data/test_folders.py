from pathlib import Path

import pytest

from inctrl.data.folders import expand
from inctrl.errors import UsageError


def test_folders_give_their_images_in_name_order_and_nothing_else(tmp_path: Path) -> None:
    for name in ("b.PNG", "a.jpg", "notes.txt", ".hidden.png", "ü '\n.tif"):
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "folder.png" / "inside.png").touch()
    names = [path.name for path in expand([tmp_path])]
    assert names == ["a.jpg", "b.PNG", "ü '\n.tif"]
    deep = [path.name for path in expand([tmp_path], recursive=True)]
    assert "inside.png" in deep
    assert "folder.png" not in deep


def test_files_are_taken_whatever_they_are_called(tmp_path: Path) -> None:
    assert expand([tmp_path / "absent.xyz"]) == [tmp_path / "absent.xyz"]


def test_an_empty_folder_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "x.png").touch()
    with pytest.raises(UsageError, match=f"no images in folder '{tmp_path}'") as caught:
        expand([tmp_path])
    assert caught.value.fix == "read subfolders"
