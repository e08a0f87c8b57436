import errno
import os
from pathlib import Path

import pytest

from inctrl.data.folders import WITHIN, expand, images_in, look, subfolders
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


def test_a_path_that_may_not_be_looked_at_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusing(_: Path) -> bool:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "is_dir", refusing)
    with pytest.raises(UsageError, match=r"closed/x' cannot be read \(Permission denied\)"):
        expand([tmp_path / "closed/x"])


def test_an_empty_folder_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "x.png").touch()
    with pytest.raises(UsageError, match=f"no images in folder '{tmp_path}'") as caught:
        expand([tmp_path])
    assert caught.value.fix == "read subfolders"


def make(folder: Path, *names: str) -> Path:
    """A folder with empty files; what is in them is not looked at here."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def below(folder: Path) -> list[str]:
    return [str(path.relative_to(folder)) for path in images_in(folder, recursive=True)]


def notes(folder: Path, *, recursive: bool = True) -> str:
    return "\n".join(look(folder, recursive=recursive).notes).replace(str(folder), "DIR")


def test_a_linked_folder_is_read_like_any_other(tmp_path: Path) -> None:
    queries = make(tmp_path / "queries", "b.png")
    (queries / "a").symlink_to(make(tmp_path / "store", "1.png", "deep/2.png"))
    assert below(queries) == ["a/1.png", "a/deep/2.png", "b.png"]
    assert notes(queries) == ""


def test_links_within_linked_folders_are_followed(tmp_path: Path) -> None:
    make(tmp_path / "two", "2.png")
    (make(tmp_path / "one", "1.png") / "next").symlink_to("../two")
    (make(tmp_path / "queries") / "x").mkdir(parents=True)
    (tmp_path / "queries" / "x" / "one").symlink_to(tmp_path / "one")
    assert below(tmp_path / "queries") == ["x/one/1.png", "x/one/next/2.png"]


@pytest.mark.parametrize("target", [".", "..", "../..", "/"])
def test_a_link_to_a_folder_around_it_is_told_and_not_followed(tmp_path: Path, target: str) -> None:
    (make(tmp_path / "q", "sub/1.png", "../beside.png") / "sub" / "back").symlink_to(target)
    assert below(tmp_path / "q") == ["sub/1.png"]
    assert "link 'DIR/sub/back' leads back to a folder around it" in notes(tmp_path / "q")


def test_a_linked_folder_that_leads_back_to_the_first_ends(tmp_path: Path) -> None:
    queries, store = make(tmp_path / "q", "1.png"), make(tmp_path / "store", "2.png")
    (queries / "store").symlink_to(store)
    (store / "queries").symlink_to(queries)
    (store / "up").symlink_to(tmp_path)
    assert below(queries) == ["1.png", "store/2.png"]
    assert "2 links lead back to folders around them" in notes(queries)


def test_two_links_to_each_other_lead_nowhere(tmp_path: Path) -> None:
    (make(tmp_path / "q", "1.png") / "a").symlink_to("b")
    (tmp_path / "q" / "b").symlink_to("a")
    assert below(tmp_path / "q") == ["1.png"]
    assert "2 links lead nowhere, such as 'DIR/a'" in notes(tmp_path / "q")


def test_a_folder_reached_twice_is_read_once_under_its_own_name(tmp_path: Path) -> None:
    queries = make(tmp_path / "q", "z/1.png")
    for name in ("a", "b"):
        (queries / name).symlink_to("z")
    assert below(queries) == ["z/1.png"]
    assert "2 links such as 'DIR/a' lead to what is read already" in notes(queries)


def test_a_folder_whose_part_is_read_already_gives_the_rest(tmp_path: Path) -> None:
    make(tmp_path / "all", "1.png", "part/2.png")
    (make(tmp_path / "q", "0.png") / "a").symlink_to(tmp_path / "all" / "part")
    (tmp_path / "q" / "b").symlink_to(tmp_path / "all")
    assert below(tmp_path / "q") == ["0.png", "a/2.png", "b/1.png"]


def test_folders_that_share_images_give_them_once_and_files_as_often_as_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    queries, file = make(tmp_path / "q", "a/1.png", "2.png"), tmp_path / "q" / "2.png"
    (tmp_path / "link").symlink_to(queries)
    found = expand([queries, queries / "a", tmp_path / "link", file, file], recursive=True)
    assert found == [file, queries / "a/1.png", file, file]
    assert "is in a folder given before, and counts once" in caplog.text
    assert "2 images such as" in caplog.text


def test_an_empty_folder_may_be_left_in_to_be_reported(tmp_path: Path) -> None:
    full, empty = make(tmp_path / "full", "1.png"), tmp_path / "empty"
    empty.mkdir()
    assert expand([empty, full], keep_empty=True) == [empty, full / "1.png"]


@pytest.mark.parametrize("recursive", [False, True])
def test_a_file_reached_twice_is_one_image(tmp_path: Path, recursive: bool) -> None:
    (make(tmp_path, "b.png") / "a.png").symlink_to("b.png")
    assert images_in(tmp_path, recursive=recursive) == [tmp_path / "b.png"]
    told = notes(tmp_path, recursive=recursive)
    assert told == "'DIR/a.png' is a link to what is read already, and counts once"


def test_a_broken_link_is_named(tmp_path: Path) -> None:
    (make(tmp_path, "1.png") / "moved.png").symlink_to("gone.png")
    assert notes(tmp_path, recursive=False) == "link 'DIR/moved.png' leads nowhere"


def test_a_subfolder_that_may_not_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path, "1.png", "closed/2.png")
    scandir = os.scandir

    def refusing(path: str | Path) -> object:
        if Path(path).name == "closed":
            raise PermissionError(errno.EACCES, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    assert below(tmp_path) == ["1.png"]
    assert "folder 'DIR/closed' cannot be read" in notes(tmp_path)
    with pytest.raises(UsageError, match=r"closed' cannot be read \(Permission denied\)"):
        images_in(tmp_path / "closed")


def test_nothing_is_read_outside_of_the_data_that_a_service_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside, root = (
        make(tmp_path / "out", "secret.png"),
        make(tmp_path / "root", "q/1.png", "in/2.png"),
    )
    (root / "q" / "folder").symlink_to(outside)
    (root / "q" / "image.png").symlink_to(outside / "secret.png")
    (root / "q" / "near").symlink_to("../in")
    (root / "away").symlink_to(outside)
    monkeypatch.setenv(WITHIN, str(root))
    assert below(root / "q") == ["1.png", "near/2.png"]
    assert "2 links lead out of the data root and are not followed" in notes(root / "q")
    assert images_in(root / "away") == []
    assert subfolders(root) == [root / "in", root / "q"]


@pytest.mark.parametrize(
    "name",
    [
        *("@eaDir", ".thumbnails", ".git", "__MACOSX", "#recycle", "$RECYCLE.BIN", ".Trash-1000"),
        *("System Volume Information", "lost+found", ".ipynb_checkpoints", ".old"),
    ],
)
def test_folders_of_thumbnails_and_bins_are_left_out_and_told(tmp_path: Path, name: str) -> None:
    make(tmp_path, "1.png", f"sub/{name}/1.png", f"sub/{name}/deep/2.jpg")
    assert below(tmp_path) == ["1.png"]
    assert f"left out {'hidden ' if name == '.old' else ''}folder" in notes(tmp_path)
    assert f"{name}'" in notes(tmp_path)
    assert "(2 images); name it to have it read" in notes(tmp_path)
    assert [path.name for path in images_in(tmp_path / "sub" / name)] == ["1.png"]
    assert subfolders(tmp_path / "sub") == []


def test_nothing_is_said_of_folders_without_images(tmp_path: Path) -> None:
    make(tmp_path, "1.png", ".git/HEAD", "__MACOSX/._1.png", "._1.png", "Thumbs.db", ".DS_Store")
    assert below(tmp_path) == ["1.png"]
    assert notes(tmp_path) == ""


@pytest.mark.parametrize(
    "files",
    [
        ("scores.json", "report.html", "overlays/0001_a.png"),
        ("cells/.parts/x", "examples/a-0.png"),
        ("context.json", "context.safetensors", "shots/0000.png"),
    ],
)
def test_what_runs_have_written_is_left_out_and_told(
    tmp_path: Path, files: tuple[str, ...]
) -> None:
    make(tmp_path, "parts/a.png", *(f"parts/runs/one/{name}" for name in files))
    make(tmp_path, "parts/runs/two.partial/overlays/0001_a.png")
    assert below(tmp_path) == ["parts/a.png"]
    assert "left out 2 folders that runs have written, such as 'DIR/parts/runs/one'" in notes(
        tmp_path
    )
    pictures = images_in((tmp_path / "parts/runs/one" / files[-1]).parent)
    assert len(pictures) == 1


def test_a_folder_of_runs_alone_is_empty_and_the_error_does_not_send_one_deeper(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make(tmp_path, *(f"runs/1/{name}" for name in ("scores.json", "report.html", "overlays/1.png")))
    for recursive in (False, True):
        caplog.clear()
        with pytest.raises(UsageError, match="no images in folder") as caught:
            expand([tmp_path], recursive=recursive)
        assert caught.value.fix is None
        assert "which a run has written" in caplog.text


def test_what_an_empty_folder_holds_instead_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make(tmp_path, "a.heic")
    with pytest.raises(UsageError, match="no images in folder"):
        expand([tmp_path])
    assert caplog.text.count("1 .heic") == 1


def test_files_that_are_no_images_by_name_are_counted(tmp_path: Path) -> None:
    beside = ("notes.txt", "list.csv", "LICENSE", "1.xmp", "parts.xlsx", "parts.zip")
    make(tmp_path, "1.png", "a.HEIC", "b.heic", "c.raw", *beside)
    [told] = look(tmp_path).notes
    assert ": 2 .heic, 1 .raw; convert them" in told
    assert "txt" not in told


def test_hidden_images_are_counted(tmp_path: Path) -> None:
    make(tmp_path, "1.png", ".2.png", ".3.png")
    assert notes(tmp_path).startswith("left out 2 hidden images, such as 'DIR/.2.png'")
