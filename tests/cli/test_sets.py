"""`inctrl sets`, as it is typed."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from inctrl.cli import main, sets
from inctrl.store import open_store


@pytest.fixture(autouse=True)
def at_hand(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("INCTRL_STORE", str(tmp_path / "store"))
    if sets not in main.COMMANDS:
        monkeypatch.setattr(main, "COMMANDS", (*main.COMMANDS, sets))


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder with 1.png to 4.png, and deeper/5.png."""
    folder = tmp_path / "good"
    (folder / "deeper").mkdir(parents=True)
    for i in range(1, 6):
        pixels = np.random.default_rng(i).integers(0, 256, (12, 16, 3), dtype=np.uint8)
        PIL.Image.fromarray(pixels).save(folder / ("deeper" if i == 5 else "") / f"{i}.png")
    return folder


def run(*argv: object) -> int:
    return main.run(["sets", *map(str, argv)])


def said(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


def test_a_set_is_made_then_added_to(images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("add", "bottle", images / "1.png", images / "2.png", "--item", "bottle cap") == 0
    assert said(capsys) == ["bottle@1: 2 shots (2 new)"]
    assert run("add", "bottle", images, "--note", "more of them") == 0
    assert said(capsys) == ["bottle@2: 4 shots (2 new)"]
    assert run("add", "bottle", images) == 0
    assert said(capsys) == ["bottle@2: 4 shots (0 new)"]
    assert run("add", "bottle", images, "--recursive") == 0
    assert said(capsys) == ["bottle@3: 5 shots (1 new)"]


def test_no_store_is_made_to_say_that_it_has_no_set(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    query, store = tmp_path / "query.png", tmp_path / "nowhere"
    PIL.Image.fromarray(np.zeros((12, 16, 3), np.uint8)).save(query)
    words = ["detect", query, "--set", "bottle", "--store", store, "--out", tmp_path / "out"]
    assert main.run([str(word) for word in words]) == 2
    assert "holds no store" in capsys.readouterr().err
    assert not store.exists()


def test_an_unreadable_image_is_left_out_in_a_line_and_the_rest_kept(
    images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (images / "0.png").write_text("no image")
    assert run("add", "bottle", images) == 4
    shown = capsys.readouterr()
    assert shown.out == "bottle@1: 4 shots (4 new)\n"
    assert shown.err.startswith(f"inctrl: left out: '{images / '0.png'}' is not an image")
    assert shown.err.count("\n") == 1
    assert run("add", "nut", images / "0.png") == 4
    assert "set 'nut' was not made" in capsys.readouterr().err
    assert run("show", "nut") == 2


def test_the_item_of_a_set_stays(images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("add", "bottle", images / "1.png", "--item", "cap")
    assert run("add", "bottle", images / "2.png", "--item", "lid") == 2
    assert "shows 'cap', which stays so" in capsys.readouterr().err
    assert run("add", "bottle", images / "2.png", "--item", "cap") == 0


def test_a_set_says_how_it_is_seen_and_a_change_is_a_version(
    images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("add", "screw", images, "--orientation", "any", "--item", "screw") == 0
    assert run("change", "screw", "--tiles", "auto", "--note", "burrs") == 0
    assert said(capsys)[1] == "screw@2: 4 shots\tany way round, tiles auto"
    run("show", "screw")
    words = "parts lie any way round; each image seen in tiles, by its size"
    assert f"seen     {words}" in said(capsys)
    run("show", "screw@1", "--json")
    shown = json.loads(capsys.readouterr().out)
    assert (shown["orientation"], shown["tiles"]) == ("any", 1)
    run("list")
    assert said(capsys)[0].split("\t")[-1] == "any way round, tiles auto"
    run("add", "bottle", images)
    run("list")
    assert said(capsys)[-2].split("\t")[-1].startswith("changed ")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("add", "--orientation", "up"), "up"),
        (("change", "--tiles", "99"), "tiles '99' is not 'auto' or a number from 1 to"),
        (("change",), "nothing to change; give --orientation or --tiles"),
        (("add", "--tiles", "2"), "--tiles 1; omit both, and use `inctrl sets change bottle`"),
    ],
)
def test_what_cannot_be_said_of_a_set_is_told(
    images: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], says: str
) -> None:
    run("add", "bottle", images / "1.png")
    paths = [images / "2.png"] if words[0] == "add" else []
    assert run(words[0], "bottle", *paths, *words[1:]) == 2
    assert says in capsys.readouterr().err


def test_sets_are_listed(images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("list") == 0
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "`inctrl sets add` makes one" in shown.err
    assert run("list", "--quiet") == 0
    assert capsys.readouterr().err == ""
    run("add", "nut", images / "1.png")
    run("add", "bottle", images, "--item", "bottle cap")
    capsys.readouterr()
    assert run("list") == 0
    first, second = said(capsys)
    assert first.split("\t")[:3] == ["bottle@1", "4 shots", "bottle cap"]
    assert second.split("\t")[:3] == ["nut@1", "1 shot", "object"]
    assert run("list", "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["schema"] == "inctrl/sets/1"
    assert [(s["name"], s["version"], s["shots"]) for s in shown["sets"]] == [
        ("bottle", 1, 4),
        ("nut", 1, 1),
    ]


def test_more_sets_than_a_page_are_all_listed(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_store(tmp_path / "store") as store:
        from inctrl.decoding import decode

        picture = decode(images / "1.png")
        for i in range(60):
            store.sets.create(f"s{i:02}", [picture])
    run("list")
    assert [line.split("@")[0] for line in said(capsys)] == [f"s{i:02}" for i in range(60)]


def test_a_version_is_shown_with_what_was_said_of_it(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("add", "bottle", images / "1.png", "--item", "cap", "--note", "line 4")
    run("add", "bottle", images / "2.png")
    with open_store(tmp_path / "store") as store:
        from inctrl.decoding import decode

        defect = store.feedback.confirm("bottle", decode(images / "3.png"))
        alarm = store.feedback.record("bottle", "0" * 64, 1, 2)
        store.feedback.undo(alarm)
        digest = store.sets.get("bottle", 1).digest
        sha256 = store.sets.get("bottle", 1).shots[0].sha256
    capsys.readouterr()
    assert run("show", "bottle@1") == 0
    lines = said(capsys)
    assert lines[0] == "bottle@1: 1 shot of cap"
    assert lines[1].endswith("by create")
    assert lines[2:6] == [
        "note     line 4",
        f"digest   {digest}",
        "versions 1 to 2",
        f"  {sha256[:12]}  16 x 12  1.png",
    ]
    assert lines[6].startswith(f"defect {defect}")
    assert lines[6].endswith("3.png")
    assert lines[7].startswith(f"false alarm {alarm}")
    assert "@1 -> @2, undone" in lines[7]
    assert run("show", "bottle", "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["version"], shown["versions"], len(shown["shots"])) == (2, [1, 2], 2)
    assert [row["kind"] for row in shown["feedback"]] == ["defect", "false_alarm"]


def test_images_are_dropped_by_name_or_hash(
    images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("add", "bottle", images)
    capsys.readouterr()
    run("show", "bottle", "--json")
    hashes = {s["name"]: s["sha256"] for s in json.loads(capsys.readouterr().out)["shots"]}
    assert run("drop", "bottle", "1.png", hashes["2.png"][:8], "--note", "dull") == 0
    assert said(capsys) == ["bottle@2: 2 shots (2 dropped)"]
    assert run("drop", "bottle", "1.png") == 2
    assert "'bottle@2' has no shot '1.png'" in capsys.readouterr().err
    assert run("drop", "bottle", hashes["3.png"][:5]) == 2
    assert run("drop", "bottle", "3.png", "4.png") == 2
    assert "one must stay" in capsys.readouterr().err


def test_a_name_of_several_images_asks_for_the_hash(
    images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (images / "deeper" / "5.png").rename(images / "deeper" / "1.png")
    run("add", "bottle", images, "--recursive")
    assert run("drop", "bottle", "1.png") == 2
    assert "name of several shots; give one of" in capsys.readouterr().err


def test_versions_are_compared(images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("add", "bottle", images / "1.png", images / "2.png")
    run("add", "bottle", images / "3.png")
    run("drop", "bottle", "1.png")
    capsys.readouterr()
    assert run("diff", "bottle", 1, 3) == 0
    lines = said(capsys)
    assert [(line[0], line.split()[-1]) for line in lines[:2]] == [("+", "3.png"), ("-", "1.png")]
    assert lines[2] == "1 shot in both"
    assert run("diff", "bottle", 1, 3, "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert [[s["name"] for s in shown[key]] for key in ("added", "removed", "kept")] == [
        ["3.png"],
        ["1.png"],
        ["2.png"],
    ]
    assert run("diff", "bottle", 1, 9) == 2
    assert "no version 9; the latest is 3" in capsys.readouterr().err


def test_a_sound_store_is_clean_and_damage_ends_with_5(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("add", "bottle", images)
    capsys.readouterr()
    assert run("verify") == 0
    assert said(capsys) == [f"clean: {tmp_path / 'store'}"]
    with open_store(tmp_path / "store") as store:
        path = store.blobs.path(store.sets.get("bottle").shots[2].blob)
        store.blobs.put(b"unused")
    assert run("verify") == 0
    assert "1 unused files, which are no fault" in capsys.readouterr().out
    path.write_bytes(path.read_bytes()[::-1])
    assert run("verify") == 5
    shown = capsys.readouterr()
    assert shown.out.startswith("image\tbottle@1 image 3.png\tblob ")
    assert shown.err == f"inctrl: 1 findings in {tmp_path / 'store'}\n"
    (tmp_path / "store" / "store.sqlite3").write_bytes(b"\xff" * 20_000)
    assert run("verify") == 5
    assert "store.sqlite3' is damaged" in capsys.readouterr().err


def test_a_set_travels_to_another_store(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("add", "bottle", images)
    file = tmp_path / "bottle.zip"
    assert run("export", "bottle", file) == 0
    assert run("export", "bottle", file) == 7
    assert "there already" in capsys.readouterr().err
    assert run("export", "bottle", file, "--overwrite") == 0
    other = ("--store", tmp_path / "other")
    capsys.readouterr()
    assert run("import", file, *other) == 0
    assert said(capsys) == ["bottle@1: 4 shots"]
    assert run("import", file, "--name", "copy", *other) == 0
    assert said(capsys) == ["copy@1: 4 shots"]
    assert run("add", "bottle", images / "deeper", *other) == 0
    assert run("import", file, *other) == 6
    assert "another set 'bottle' already" in capsys.readouterr().err
    file.write_bytes(b"no zip")
    assert run("import", file, *other) == 5


def test_a_set_is_removed_when_that_is_meant(
    images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("add", "bottle", images)
    assert run("remove", "bottle") == 2
    assert "say so with --yes" in capsys.readouterr().err
    assert run("show", "bottle") == 0
    assert run("remove", "bottle", "--yes") == 0
    assert run("show", "bottle") == 2
    assert run("remove", "bottle", "--yes") == 2
    run("add", "bottle", images / "1.png")
    assert "bottle@2: 1 shot (1 new)" in capsys.readouterr().out


@pytest.mark.parametrize(
    "command", [("show", "x"), ("verify",), ("export", "x", "x.zip"), ("remove", "x", "--yes")]
)
def test_reading_makes_no_store(
    command: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*command, "--store", tmp_path / "typo") == 2
    assert "holds no store; `inctrl sets add` makes one" in capsys.readouterr().err
    assert run("list", "--store", tmp_path / "typo") == 2
    assert not (tmp_path / "typo").exists()


def test_a_wrong_name_is_one_line(images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in (("add", "Bottle", images), ("show", "bottle@x"), ("remove", "a/b", "--yes")):
        run("add", "bottle", images)
        capsys.readouterr()
        assert run(*command) == 2
        assert capsys.readouterr().err.count("\n") == 1


def test_no_torch_is_needed(images: Path) -> None:
    code = (
        "import sys; from inctrl.cli import sets; import argparse; "
        "p = argparse.ArgumentParser(); sets.register(p.add_subparsers()); "
        "assert 'numpy' not in sys.modules; "
        f"a = p.parse_args(['sets', 'add', 'bottle', {str(images)!r}]); a.run(a); "
        "assert not {'torch', 'fastapi', 'gradio'} & set(sys.modules)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == "bottle@1: 4 shots (4 new)\n"
