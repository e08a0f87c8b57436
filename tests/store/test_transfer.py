"""Sets from store to store; what is hostile or damaged is refused before anything is written."""

import hashlib
import io
import json
import os
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import PIL.PngImagePlugin
import pytest
from store_samples import fill, picture, pictures, small_disk

from inctrl.errors import Conflict, InvalidFile, NoSpace, NotStored, OutputError, UsageError
from inctrl.images import Picture
from inctrl.store import Store, archive, open_store
from inctrl.store.transfer import export_set, import_set
from inctrl.store.verify import verify
from inctrl.store.versions import version_digest
from inctrl.views import AS_THEY_ARE, Views

HERE = Path(__file__).parent


@pytest.fixture
def other(tmp_path: Path) -> Store:
    return open_store(tmp_path / "other")


def fill_with_bottle(store: Store) -> None:
    """Three versions, a deep image, a defect, an undone one and a false alarm."""
    deep = Picture(np.arange(64, dtype=np.float32).reshape(8, 8), "deep.tiff")
    store.sets.create("bottle", [*pictures(1, 2), deep], item="bottle cap", note="first")
    store.sets.add("bottle", pictures(3), origin="false_alarm")
    store.feedback.record("bottle", store.sets.get("bottle").shots[-1].sha256, 1, 2)
    store.sets.drop("bottle", [store.sets.get("bottle").shots[0].sha256], note="bad")
    store.feedback.confirm("bottle", picture(9))
    store.feedback.undo(store.feedback.confirm("bottle", picture(8)))


@pytest.fixture(scope="module")
def bottle_file(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("exported")
    with open_store(folder / "store") as store:
        fill_with_bottle(store)
        export_set(store, "bottle", folder / "bottle.zip")
    return (folder / "bottle.zip").read_bytes()


@pytest.fixture
def exported(bottle_file: bytes, tmp_path: Path) -> Path:
    """What such a set is exported to."""
    path = tmp_path / "bottle.zip"
    path.write_bytes(bottle_file)
    return path


@pytest.fixture
def bottle(store: Store) -> Store:
    """A store that holds such a set."""
    fill_with_bottle(store)
    return store


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as file:
        return {name: file.read(name) for name in file.namelist()}


def written(path: Path, content: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for name, data in content.items():
            file.writestr(name, data)
    return path


def changed(path: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """The same file with another manifest."""
    content = members(path)
    manifest = json.loads(content["manifest.json"])
    change(manifest)
    content["manifest.json"] = json.dumps(manifest).encode()
    return written(path.with_name("changed.zip"), content)


def refused(other: Store, path: Path, match: str) -> None:
    before = sorted(p for p in other.blobs.folder.rglob("*") if p.is_file())
    with pytest.raises(InvalidFile, match=match) as error:
        import_set(other, path)
    assert "\n" not in str(error.value)
    assert other.sets.list() == ()
    assert sorted(p for p in other.blobs.folder.rglob("*") if p.is_file()) == before == []


def test_an_imported_set_is_the_exported_one(bottle: Store, other: Store, exported: Path) -> None:
    export_set(bottle, "bottle", exported, overwrite=True)
    latest = import_set(other, exported)
    assert latest == other.sets.get("bottle")
    ours, theirs = bottle.sets.versions("bottle"), other.sets.versions("bottle")
    assert [v.origin for v in theirs] == ["create", "false_alarm", "drop"]
    for mine, its in zip(ours, theirs, strict=True):
        assert (mine.version, mine.digest, mine.note, mine.created, mine.item) == (
            *(its.version, its.digest, its.note, its.created, its.item),
        )
        for a, b in zip(bottle.sets.pictures(mine), other.sets.pictures(its), strict=True):
            assert (a.name, a.pixels.dtype) == (b.name, b.pixels.dtype)
            assert np.array_equal(a.pixels, b.pixels)
    assert other.feedback.list("bottle") == bottle.feedback.list("bottle")
    assert [shot.name for shot in other.feedback.defects("bottle")] == ["9.png"]
    assert verify(other) == ()
    assert other.sets.add("bottle", pictures(7)).version == 4


def test_a_set_travels_with_the_way_in_which_it_is_seen(
    bottle: Store, other: Store, exported: Path
) -> None:
    bottle.sets.change("bottle", orientation="any", tiles="auto")
    bottle.sets.change("bottle", tiles=3)
    export_set(bottle, "bottle", exported, overwrite=True)
    assert import_set(other, exported) == bottle.sets.get("bottle")
    seen = [v.views for v in other.sets.versions("bottle")]
    assert seen == [*[AS_THEY_ARE] * 3, Views("any", "auto"), Views("any", 3)]


def test_the_same_set_is_the_same_file(bottle: Store, exported: Path, tmp_path: Path) -> None:
    for name in ("one.zip", "again.zip"):
        export_set(bottle, "bottle", tmp_path / name)
    assert (tmp_path / "again.zip").read_bytes() == (tmp_path / "one.zip").read_bytes()


def test_an_exported_file_is_plain(exported: Path) -> None:
    content = members(exported)
    manifest = json.loads(content.pop("manifest.json"))
    assert (manifest["format"], manifest["format_version"]) == ("inctrl-normal-set", 2)
    assert len(content) == 6
    for name, data in content.items():
        folder, _, file = name.partition("/")
        assert (folder, file[:64]) == ("images", hashlib.sha256(data).hexdigest())
        assert PIL.Image.open(io.BytesIO(data)).format == Path(file).suffix[1:].upper()


def test_an_export_replaces_no_file_unasked(bottle: Store, exported: Path) -> None:
    exported.write_text("mine")
    with pytest.raises(OutputError, match="there already"):
        export_set(bottle, "bottle", exported)
    assert exported.read_text() == "mine"
    export_set(bottle, "bottle", exported, overwrite=True)
    assert zipfile.is_zipfile(exported)


def test_an_export_that_fails_leaves_no_file(bottle: Store, exported: Path, tmp_path: Path) -> None:
    blob = bottle.blobs.path(bottle.sets.get("bottle").shots[0].blob)
    blob.write_bytes(b"damaged")
    with pytest.raises(InvalidFile, match="is damaged"):
        export_set(bottle, "bottle", tmp_path / "new.zip")
    with pytest.raises(NotStored):
        export_set(bottle, "nut", tmp_path / "new.zip")
    blob.unlink()
    bottle.sets.add("bottle", pictures(2))
    with small_disk(tmp_path / "disk") as disk:
        fill(disk)
        with pytest.raises(NoSpace):
            export_set(bottle, "bottle", disk / "new.zip")
        assert [path.name for path in disk.iterdir()] == ["ballast"]
    assert {path.name for path in tmp_path.iterdir() if path.is_file()} == {"bottle.zip"}


def test_importing_again_does_nothing(other: Store, exported: Path) -> None:
    first = import_set(other, exported)
    assert import_set(other, exported) == first
    assert len(other.feedback.list("bottle")) == 3


def test_another_set_of_the_name_is_a_conflict_and_another_name_the_way_out(
    other: Store, exported: Path
) -> None:
    mine = other.sets.create("bottle", pictures(1))
    with pytest.raises(Conflict, match="another set 'bottle' already"):
        import_set(other, exported)
    assert other.sets.versions("bottle") == (mine,)
    assert import_set(other, exported, name="bottle-2").name == "bottle-2"
    assert import_set(other, exported, name="bottle-3").version == 3
    assert [row.set for row in other.feedback.list("bottle-3")] == ["bottle-3"] * 3
    with pytest.raises(UsageError, match="no name of a set"):
        import_set(other, exported, name="../x")
    assert verify(other) == ()


def test_what_was_removed_comes_back_under_its_numbers(bottle: Store, exported: Path) -> None:
    before = bottle.sets.versions("bottle")
    export_set(bottle, "bottle", exported, overwrite=True)
    bottle.sets.remove("bottle")
    import_set(bottle, exported)
    assert bottle.sets.versions("bottle") == before
    assert bottle.sets.add("bottle", pictures(7)).version == 4


def test_a_number_is_not_given_to_other_images(bottle: Store, exported: Path) -> None:
    bottle.sets.add("bottle", pictures(7))
    bottle.sets.remove("bottle")
    with pytest.raises(Conflict, match="'bottle@4' once was another set"):
        import_set(bottle, exported)
    other_images = changed(exported, as_others)
    bottle.sets.create("nut", pictures(1))
    bottle.sets.remove("nut")
    with pytest.raises(Conflict, match="'nut@1' once was another set"):
        import_set(bottle, other_images, name="nut")
    assert bottle.sets.list() == ()


def as_others(manifest: dict[str, Any]) -> None:
    manifest["set"]["created"] = "2020-01-01T00:00:00+00:00"


def test_images_are_kept_as_the_store_encodes_them(other: Store, exported: Path) -> None:
    """A stranger's file with metadata gives its pixels, and nothing else."""
    content = members(exported)
    manifest = json.loads(content["manifest.json"])
    shot = next(s for s in manifest["shots"] if s["name"] == "2.png")
    old = f"images/{shot['blob']}.png"
    buffer = io.BytesIO()
    image = PIL.Image.open(io.BytesIO(content.pop(old)))
    about = PIL.PngImagePlugin.PngInfo()
    about.add_text("comment", "<script>patient</script>")
    image.save(buffer, "PNG", pnginfo=about)
    data = buffer.getvalue()
    assert b"<script>" in data
    shot["blob"] = hashlib.sha256(data).hexdigest()
    content[f"images/{shot['blob']}.png"] = data
    content["manifest.json"] = json.dumps(manifest).encode()
    import_set(other, written(exported.with_name("exif.zip"), content))
    kept = b"".join(p.read_bytes() for p in other.blobs.folder.rglob("*") if p.is_file())
    assert b"<script>" not in kept
    assert len(other.sets.pictures(other.sets.get("bottle"))) == 3


def test_a_file_of_the_first_format_opens(other: Store) -> None:
    """Written by the release that introduced the format; it is never made anew."""
    latest = import_set(other, HERE / "format-1.zip")
    assert (latest.name, latest.version, latest.item) == ("bottle", 3, "bottle cap")
    assert [shot.name for shot in latest.shots] == ["2.png", "deep.tiff", "3.png"]
    assert len(other.sets.pictures(latest)) == 3
    assert len(other.feedback.list("bottle")) == 3
    assert {v.views for v in other.sets.versions("bottle")} == {AS_THEY_ARE}


# Files of others


@pytest.mark.parametrize(
    "name",
    [
        "../evil.png",
        "/etc/evil.png",
        "images/../../evil",
        "C:\\evil.png",
        "images\\evil.png",
        "c:x",
    ],
)
def test_members_that_lead_out_of_the_folder_are_refused(
    other: Store, exported: Path, name: str
) -> None:
    path = written(exported.with_name("evil.zip"), {**members(exported), name: b"x"})
    refused(other, path, "leads out of its folder")


def test_a_name_with_a_hidden_end_is_refused(other: Store, exported: Path) -> None:
    path = written(exported.with_name("evil.zip"), {**members(exported), "images/aXb": b"x"})
    path.write_bytes(path.read_bytes().replace(b"images/aXb", b"images/a\x00b"))
    refused(other, path, "leads out of its folder")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFDIR, stat.S_IFIFO])
def test_links_and_other_files_that_are_not_plain_are_refused(
    other: Store, exported: Path, kind: int
) -> None:
    path = exported.with_name("evil.zip")
    written(path, members(exported))
    with zipfile.ZipFile(path, "a") as file:
        member = zipfile.ZipInfo("images/link")
        member.external_attr = (kind | 0o777) << 16
        file.writestr(member, "/etc/passwd")
    refused(other, path, "a link or no plain file")


def test_a_member_that_unpacks_to_over_100_times_its_size_is_refused(
    other: Store, exported: Path
) -> None:
    path = exported.with_name("bomb.zip")
    written(path, members(exported))
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as file:
        file.writestr("images/bomb", bytes(10_000_000))
    refused(other, path, "over 100 times its size")


def test_members_beyond_the_limits_are_refused(
    other: Store, exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for limit, words in (
        ("MOST_MEMBERS", "holds 7 members, over 3"),
        ("MOST_BYTES", "would unpack to .* bytes, over 3"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(archive, limit, 3)
            refused(other, exported, words)


def test_members_that_share_their_bytes_are_refused(other: Store, exported: Path) -> None:
    """Many entries of the directory at one place unpack to far more than the file."""
    content = members(exported)
    big = os.urandom(200_000)
    path = written(
        exported.with_name("overlap.zip"), {**content, "images/a": big, "images/b": b"x"}
    )
    data = bytearray(path.read_bytes())
    first, second = (
        data.rfind(b"PK\x01\x02", 0, data.rfind(n)) for n in (b"images/a", b"images/b")
    )
    data[second + 16 : second + 28] = data[first + 16 : first + 28]  # crc and sizes
    data[second + 42 : second + 46] = data[first + 42 : first + 46]  # place
    path.write_bytes(data)
    refused(other, path, "lie over each other")


def test_an_undeclared_member_is_refused(other: Store, exported: Path) -> None:
    path = written(exported.with_name("more.zip"), {**members(exported), "run.sh": b"x"})
    refused(other, path, "'run.sh', which its manifest does not name")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_that_comes_twice_is_refused(other: Store, exported: Path) -> None:
    path = exported.with_name("twice.zip")
    written(path, members(exported))
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("manifest.json", "{}")
    refused(other, path, "'manifest.json' twice")


def test_a_missing_image_is_refused(other: Store, exported: Path) -> None:
    content = members(exported)
    content.pop(next(name for name in content if name.endswith(".tiff")))
    refused(other, written(exported.with_name("less.zip"), content), "lacks image")


def test_an_image_with_one_flipped_bit_is_refused(other: Store, exported: Path) -> None:
    content = members(exported)
    name = next(name for name in content if name.endswith(".png"))
    content[name] = content[name][:-9] + bytes([content[name][-9] ^ 1]) + content[name][-8:]
    refused(other, written(exported.with_name("bit.zip"), content), "its bytes have changed")


def test_a_bit_flipped_in_the_file_itself_is_refused(other: Store, exported: Path) -> None:
    data = bytearray(exported.read_bytes())
    at = data.rfind(b"IDAT")
    data[at + 20] ^= 1
    exported.write_bytes(data)
    refused(other, exported, "is damaged")


def test_an_image_that_does_not_decode_is_refused(other: Store, exported: Path) -> None:
    def swap(manifest: dict[str, Any]) -> None:
        manifest["shots"][1]["blob"] = hashlib.sha256(b"no image").hexdigest()

    path = changed(exported, swap)
    content = members(path)
    old = json.loads(members(exported)["manifest.json"])["shots"][1]["blob"]
    content.pop(f"images/{old}.png")
    content[f"images/{hashlib.sha256(b'no image').hexdigest()}.png"] = b"no image"
    refused(other, written(path, content), "an image that cannot be read")


def test_an_image_that_is_not_the_declared_one_is_refused(other: Store, exported: Path) -> None:
    def swap(manifest: dict[str, Any]) -> None:
        a, b = manifest["shots"][0], manifest["shots"][1]
        a["blob"], b["blob"] = b["blob"], a["blob"]

    refused(other, changed(exported, swap), "not the image it is said to be")


def drop_version(manifest: dict[str, Any]) -> None:
    del manifest["versions"][1]


def twice(manifest: dict[str, Any]) -> None:
    """A shot comes again, and the digest of the version says so."""
    manifest["shots"].append({**manifest["shots"][3]})
    order = [s["sha256"] for s in manifest["shots"]]
    manifest["versions"][1]["digest"] = version_digest("bottle cap", order)
    manifest["versions"][2]["digest"] = version_digest("bottle cap", order[1:])


def change(*path: str | int, to: Any) -> Callable[[dict[str, Any]], None]:
    def apply(manifest: Any) -> None:
        for step in path[:-1]:
            manifest = manifest[step]
        manifest[path[-1]] = to

    return apply


@pytest.mark.parametrize(
    ("apply", "words"),
    [
        (drop_version, "version 2 is missing"),
        (change("versions", to=[]), "no version"),
        (change("versions", 0, "version", to=0), "no number"),
        (change("versions", 2, "version", to=10**9), "version 3 is missing"),
        (change("versions", 1, "digest", to="0" * 64), "version 2 is not what it was made of"),
        (change("versions", 1, "origin", to="magic"), "not known here"),
        (change("versions", 1, "note", to="a\nb"), "characters that are not kept"),
        (change("versions", 1, "orientation", to="any"), "version 2 is not what it was made of"),
        (change("versions", 1, "orientation", to="up"), "'up' is not known here"),
        (change("versions", 1, "tiles", to=99), "tiles 99 is not 'auto' or a number from 1 to"),
        (change("set", "item", to="screw"), "version 1 is not what it was made of"),
        (change("set", "name", to="../bottle"), "no name of a set"),
        (change("set", "created", to="yesterday"), "damaged"),
        (change("shots", 0, "sha256", to="x"), "no sha256"),
        (change("shots", 0, "blob", to="../../etc/passwd"), "no sha256"),
        (change("shots", 0, "name", to="<b>\n/x"), "no name of an image"),
        (change("shots", 0, "added", to=True), "no number"),
        (change("shots", 0, "dropped", to=99), "not what it was made of"),
        (change("shots", 3, "added", to=9), "in no version"),
        (change("shots", 0, "height", to=99), "not the image it is said to be"),
        (twice, "or one twice"),
        (change("shots", to=7), "damaged"),
        (change("shots", to=[7] * 300_000), "shots.0: "),
        (change("feedback", 0, "id", to="x"), "no id"),
        (change("feedback", 1, "shot", to=None), "nothing else has one"),
        (change("feedback", 1, "kind", to="false_alarm"), "nothing else has one"),
        (change("format", to="other"), "not of an exported set"),
        (change("format_version", to=3), r"newer inctrl \(format 3"),
        (change("format_version", to="1"), "no manifest"),
    ],
)
def test_a_manifest_that_is_wrong_anywhere_is_refused(
    other: Store, exported: Path, apply: Callable[[dict[str, Any]], None], words: str
) -> None:
    refused(other, changed(exported, apply), words)


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{", b"null", b"\xff", b"[" * 100_000, b'{"set": 1}']
)
def test_what_is_no_manifest_is_refused(other: Store, exported: Path, data: bytes) -> None:
    content = {**members(exported), "manifest.json": data}
    refused(other, written(exported.with_name("bad.zip"), content), "no manifest")


def test_a_manifest_too_large_to_read_is_refused(
    other: Store, exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inctrl.store.manifest.MOST_BYTES", 1000)
    refused(other, exported, "bytes, over 1000")


@pytest.mark.parametrize("keep", [0, 10, 1000, -10])
def test_what_is_no_zip_file_is_refused(other: Store, exported: Path, keep: int) -> None:
    exported.write_bytes(exported.read_bytes()[:keep])
    refused(other, exported, "not a zip file|damaged")


def test_a_file_that_is_not_there_is_told(other: Store, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no file"):
        import_set(other, tmp_path / "none.zip")
    refused(other, tmp_path, "cannot be read")


def test_an_import_cut_short_leaves_no_set(
    other: Store, exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object) -> None:
        raise RuntimeError("cut")

    with monkeypatch.context() as patch:
        patch.setattr(type(other.feedback), "restore", fail)
        with pytest.raises(RuntimeError, match="cut"):
            import_set(other, exported)
    assert other.sets.list() == ()
    assert verify(other) == ()
    assert import_set(other, exported).version == 3
