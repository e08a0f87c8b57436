"""Normal sets: what a version is, what makes the next one, and what many writers do to each."""

import errno
import hashlib
import json
import os
import re
import sqlite3
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from store_samples import picture, pictures, score

from inctrl.errors import Busy, Conflict, InvalidFile, NoSpace, NotStored, UsageError
from inctrl.images import Picture, digest, shared_window, stored_digest
from inctrl.store import KeptShots, Store, open_store, parse_name, parse_reference, versions
from inctrl.store.names import image_name
from inctrl.store.verify import verify
from inctrl.views import Views


def names(store: Store, name: str = "bottle", version: int | None = None) -> list[str]:
    return [shot.name for shot in store.sets.get(name, version).shots]


def test_a_set_is_kept_with_its_images_in_order(store: Store) -> None:
    made = store.sets.create("bottle", pictures(3, 1, 2), item="bottle cap", note="line 4")
    assert (made.name, made.version, made.item) == ("bottle", 1, "bottle cap")
    assert (made.note, made.origin) == ("line 4", "create")
    assert [shot.name for shot in made.shots] == ["3.png", "1.png", "2.png"]
    with open_store(store.folder) as again:
        assert again.sets.get("bottle") == again.sets.get("bottle", 1) == made
        for kept, given_one in zip(again.sets.pictures(made), pictures(3, 1, 2), strict=True):
            assert np.array_equal(kept.pixels, given_one.pixels)
            assert kept.name == given_one.name


def test_a_shot_has_the_identity_and_size_of_its_image(store: Store) -> None:
    wide = Picture(np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3), "wide.png")
    (shot,) = store.sets.create("bottle", [wide]).shots
    assert (shot.sha256, shot.height, shot.width) == (digest(wide.pixels), 4, 6)
    assert hashlib.sha256(store.blobs.path(shot.blob).read_bytes()).hexdigest() == shot.blob


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32, np.float64])
def test_deep_images_are_kept_as_they_are_read_back(store: Store, dtype: type) -> None:
    pixels = (np.arange(48).reshape(6, 8) * 1000).astype(dtype) / dtype(1)
    made = store.sets.create("deep", [Picture(pixels.astype(dtype), "deep.tiff")])
    (kept,) = store.sets.pictures(made)
    assert np.array_equal(kept.pixels, pixels)
    # 64 bits are kept in 32, and the identity is that of what is kept.
    assert made.shots[0].sha256 == stored_digest(kept)
    assert store.sets.add("deep", [kept]) == made


def test_equal_images_count_once_under_the_first_name(store: Store) -> None:
    store.sets.create("bottle", [picture(1, "first.png"), picture(1, "second.png"), picture(2)])
    assert names(store) == ["first.png", "2.png"]


def test_a_set_needs_an_image_and_a_free_name(store: Store) -> None:
    with pytest.raises(UsageError, match="at least one normal image"):
        store.sets.create("bottle", [])
    with pytest.raises(NotStored, match="no set 'bottle'"):
        store.sets.get("bottle")
    store.sets.create("bottle", pictures(1))
    with pytest.raises(Conflict, match="'bottle' already"):
        store.sets.create("bottle", pictures(2))
    assert names(store) == ["1.png"]


def test_a_set_that_is_not_there_is_told_with_the_name_that_was_meant(store: Store) -> None:
    store.sets.create("magnetic_tile", pictures(1))
    said = "no set 'magnetic_tle'; did you mean 'magnetic_tile'?"
    for ask in (store.sets.get, store.sets.log, store.sets.remove, store.feedback.list):
        with pytest.raises(NotStored, match=re.escape(said)):
            ask("magnetic_tle")
    with pytest.raises(NotStored, match="list the sets"):
        store.sets.get("zebra")


def test_adding_makes_a_version_and_leaves_the_former_as_it_was(store: Store) -> None:
    first = store.sets.create("bottle", pictures(1, 2))
    second = store.sets.add("bottle", pictures(2, 3), note="more", origin="false_alarm")
    assert (second.version, second.note, second.origin) == (2, "more", "false_alarm")
    assert names(store) == ["1.png", "2.png", "3.png"]
    assert store.sets.get("bottle", 1) == first
    assert store.sets.versions("bottle") == (first, second)


def test_adding_what_is_known_makes_no_version(store: Store) -> None:
    first = store.sets.create("bottle", pictures(1, 2))
    assert store.sets.add("bottle", [picture(2, "renamed.png")], note="again") == first
    assert store.sets.add("bottle", []) == first
    assert store.sets.versions("bottle") == (first,)


def test_a_base_that_is_not_the_latest_is_a_conflict(store: Store) -> None:
    store.sets.create("bottle", pictures(1, 2))
    store.sets.add("bottle", pictures(3), base=1)
    with pytest.raises(Conflict, match="at version 2 by now, not 1"):
        store.sets.add("bottle", pictures(4), base=1)
    with pytest.raises(Conflict, match="at version 2 by now, not 1"):
        store.sets.drop("bottle", [picture_sha(1)], base=1)
    assert len(store.sets.versions("bottle")) == 2


def picture_sha(seed: int) -> str:
    return stored_digest(picture(seed))


def test_dropping_makes_a_version_and_the_last_shot_stays(store: Store) -> None:
    store.sets.create("bottle", pictures(1, 2, 3))
    second = store.sets.drop("bottle", [picture_sha(2)], note="scratched")
    assert (second.version, second.note, second.origin) == (2, "scratched", "drop")
    assert names(store) == ["1.png", "3.png"]
    assert names(store, version=1) == ["1.png", "2.png", "3.png"]
    with pytest.raises(NotStored, match="'bottle@2' has no shot"):
        store.sets.drop("bottle", [picture_sha(2)])
    with pytest.raises(UsageError, match="one must stay"):
        store.sets.drop("bottle", [picture_sha(1), picture_sha(3)])
    assert store.sets.drop("bottle", []) == second
    # What was dropped may come again, at the end.
    store.sets.add("bottle", pictures(2))
    assert names(store) == ["1.png", "3.png", "2.png"]
    assert names(store, version=2) == ["1.png", "3.png"]
    # Dropped again, it stays in the versions that had it.
    store.sets.drop("bottle", [picture_sha(2)])
    assert [len(v.shots) for v in store.sets.versions("bottle")] == [3, 2, 3, 2]
    assert verify(store) == ()


def test_the_log_has_the_newest_versions_first_without_their_shots(store: Store) -> None:
    store.sets.create("bottle", pictures(1, 2, 3))
    store.sets.add("bottle", pictures(4), note="more")
    store.sets.drop("bottle", [store.sets.get("bottle").shots[0].sha256])
    store.sets.create("other", pictures(7))
    log = store.sets.log("bottle")
    for one, version in zip(log, reversed(store.sets.versions("bottle")), strict=True):
        given = (version.version, version.created, version.note, version.origin, version.digest)
        assert (one.version, one.created, one.note, one.origin, one.digest) == given
        assert one.shots == len(version.shots)
    assert store.sets.log("bottle", limit=2) == log[:2]
    assert store.sets.log("bottle", before=2) == log[2:]
    with pytest.raises(NotStored, match="no set 'nut'"):
        store.sets.log("nut")


def test_images_kept_before_make_a_set_and_a_version(store: Store) -> None:
    kept = [store.sets.keep([one]) for one in pictures(1, 2, 1)]
    both = KeptShots.joined(kept)
    assert [shot.name for shot in both.shots] == ["1.png", "2.png"]
    with store.database.transaction():
        first = store.sets.create("bottle", kept[0])
        second = store.sets.add("bottle", both)
    assert (first.shots, second.shots) == (kept[0].shots, both.shots)
    with pytest.raises(UsageError, match="at least one"):
        store.sets.create("none", KeptShots())


def test_images_that_were_swept_before_they_were_used_are_asked_for_again(store: Store) -> None:
    store.sets.create("bottle", pictures(1))
    kept = store.sets.keep(pictures(2))
    store.sweep(older_than=0)
    for use in (store.sets.create, store.sets.add):
        with pytest.raises(Busy, match="try again"):
            use("bottle" if use == store.sets.add else "new", kept)
    assert names(store) == ["1.png"]


def test_one_shot_is_read_alone(store: Store) -> None:
    made = store.sets.create("bottle", pictures(1, 2))
    store.blobs.path(made.shots[0].blob).write_bytes(b"rot")
    assert np.array_equal(store.sets.picture(made, made.shots[1].sha256).pixels, picture(2).pixels)
    with pytest.raises(InvalidFile, match="1.png"):
        store.sets.picture(made, made.shots[0].sha256)
    with pytest.raises(NotStored, match="'bottle@1' has no shot"):
        store.sets.picture(made, "0" * 64)


def test_the_window_of_a_version_is_that_of_its_deep_shots(store: Store) -> None:
    deep = [Picture(np.full((6, 8), 100 * n, np.uint16), f"{n}") for n in range(1, 4)]
    made = store.sets.create("deep", [*deep, picture(1)])
    assert store.sets.window(made) == shared_window(deep)
    more = store.sets.add("deep", [Picture(np.full((6, 8), 900, np.uint16), "9")])
    assert store.sets.window(more) != store.sets.window(made) == shared_window(deep)
    assert store.sets.window(store.sets.create("flat", pictures(1, 2))) is None


def test_the_difference_of_two_versions(store: Store) -> None:
    store.sets.create("bottle", pictures(1, 2))
    store.sets.add("bottle", pictures(3))
    store.sets.drop("bottle", [picture_sha(1)])
    difference = store.sets.diff("bottle", 1, 3)
    given = [[s.name for s in part] for part in vars(difference).values()]
    assert given == [["3.png"], ["1.png"], ["2.png"]]
    back = store.sets.diff("bottle", 3, 1)
    assert (back.added, back.removed) == (difference.removed, difference.added)


def test_the_digest_is_over_the_item_and_the_ordered_images(store: Store) -> None:
    made = store.sets.create("bottle", pictures(1, 2), item="cap")
    document = json.dumps(["cap", [picture_sha(1), picture_sha(2)]]).encode()
    assert made.digest == hashlib.sha256(document).hexdigest()
    digests = {
        made.digest,
        store.sets.create("order", pictures(2, 1), item="cap").digest,
        store.sets.create("item", pictures(1, 2), item="lid").digest,
    }
    assert len(digests) == 3
    renamed = [picture(1, "a.png"), picture(2, "b.png")]
    assert store.sets.create("names", renamed, item="cap").digest == made.digest


def test_a_set_says_how_it_is_seen_and_every_version_of_it_too(store: Store) -> None:
    assert store.sets.create("bottle", pictures(1, 2)).views == Views("fixed", 1)
    made = store.sets.create("screw", pictures(1, 2), views=Views("any", "auto"))
    assert (made.orientation, made.tiles) == ("any", "auto")
    store.sets.add("screw", pictures(3))
    store.sets.drop("screw", [picture_sha(1)])
    changed = store.sets.change("screw", tiles=4, note="small burrs")
    assert (changed.version, changed.origin, changed.note) == (4, "change", "small burrs")
    assert changed.views == Views("any", 4)
    assert names(store, "screw") == names(store, "screw", 3) == ["2.png", "3.png"]
    seen = [v.views for v in store.sets.versions("screw")]
    assert seen == [Views("any", "auto")] * 3 + [Views("any", 4)]
    assert [v.views for v in store.sets.log("screw")] == seen[::-1]
    assert [(s.name, s.orientation, s.tiles) for s in store.sets.list()] == [
        ("bottle", "fixed", 1),
        ("screw", "any", 4),
    ]
    assert verify(store) == ()


def test_a_change_to_what_is_so_makes_no_version(store: Store) -> None:
    made = store.sets.create("screw", pictures(1), views=Views("any", 2))
    assert store.sets.change("screw", orientation="any", tiles=2) == made
    assert store.sets.change("screw") == made
    with pytest.raises(Conflict, match="at version 1 by now, not 7"):
        store.sets.change("screw", orientation="fixed", base=7)
    with pytest.raises(NotStored, match="no set 'nut'"):
        store.sets.change("nut", tiles=2)


def test_the_same_images_seen_in_another_way_are_another_set(store: Store) -> None:
    ways = (Views(), Views("any", 1), Views("fixed", 2), Views("fixed", "auto"), Views("any", 2))
    made = [
        store.sets.create(f"set{n}", pictures(1), item="cap", views=views)
        for n, views in enumerate(ways)
    ]
    assert len({one.digest for one in made}) == len(ways)


def test_a_store_of_before_opens_and_its_sets_are_seen_as_they_were(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        made = store.sets.create("bottle", pictures(1, 2))
        with store.database.transaction() as db:
            for column in ("orientation", "tiles"):
                db.execute(f"ALTER TABLE versions DROP COLUMN {column}")
            db.execute("PRAGMA user_version = 1")
    with open_store(tmp_path) as store:
        assert store.sets.get("bottle") == made
        assert made.views == Views("fixed", 1)
        assert store.sets.change("bottle", tiles="auto").version == 2
        assert verify(store) == ()


def test_a_removed_set_is_gone_but_for_its_numbers_and_scores(store: Store) -> None:
    store.sets.create("bottle", pictures(1))
    store.sets.add("bottle", pictures(2))
    store.contexts.put("key", "bottle", 2, {}, b"tensors")
    store.defect_scores.remember("key", "0" * 64, 0.5)
    defect = store.feedback.confirm("bottle", picture(9))
    store.history.add([score("1")])
    store.sets.remove("bottle")
    for gone in (
        lambda: store.sets.get("bottle"),
        lambda: store.sets.remove("bottle"),
        lambda: store.sets.add("bottle", pictures(1)),
        lambda: store.feedback.get(defect),
    ):
        with pytest.raises(NotStored):
            gone()
    assert store.sets.list() == ()
    assert store.contexts.get("key") is None
    assert store.defect_scores.known("key") == {}
    assert store.history.get("1").set == "bottle"
    assert verify(store) == ()
    assert store.sets.create("bottle", pictures(5)).version == 3
    assert [v.version for v in store.sets.versions("bottle")] == [3]
    with pytest.raises(NotStored, match="no version 2; the latest is 3"):
        store.sets.get("bottle", 2)
    assert verify(store) == ()


@pytest.mark.parametrize("version", [0, -1, 2, 10**30])
def test_a_version_that_never_was_is_not_stored(store: Store, version: int) -> None:
    store.sets.create("bottle", pictures(1))
    with pytest.raises(NotStored, match=f"no version {version}; the latest is 1"):
        store.sets.get("bottle", version)


def test_sets_are_listed_by_name_page_by_page(store: Store) -> None:
    for i, name in enumerate(["nut", "bolt", "cap"]):
        store.sets.create(name, pictures(i), item=f"a {name}")
    store.sets.add("cap", pictures(7, 8))
    page = store.sets.list(limit=2)
    assert [(s.name, s.item, s.version, s.shots) for s in page] == [
        ("bolt", "a bolt", 1, 1),
        ("cap", "a cap", 2, 3),
    ]
    assert page[1].created == store.sets.get("cap", 1).created
    assert page[1].changed == store.sets.get("cap", 2).created
    assert [s.name for s in store.sets.list(after="cap")] == ["nut"]


def test_a_version_has_a_highest_number_of_shots(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(versions, "MOST_SHOTS", 3)
    store.sets.create("bottle", pictures(1, 2, 3))
    with pytest.raises(UsageError, match="4 shots, over 3"):
        store.sets.add("bottle", pictures(4))
    store.sets.drop("bottle", [picture_sha(1)])
    assert len(store.sets.add("bottle", pictures(4)).shots) == 3


def test_a_damaged_image_is_named_and_the_rest_can_be_read(store: Store) -> None:
    made = store.sets.create("bottle", pictures(1, 2))
    other = store.sets.create("nut", pictures(1))
    path = store.blobs.path(made.shots[1].blob)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InvalidFile, match=r"image '2\.png' of 'bottle@1' is lost"):
        store.sets.pictures(made)
    assert len(store.sets.pictures(other)) == 1
    # Giving the image again heals it.
    assert store.sets.add("bottle", pictures(2)) == made
    assert len(store.sets.pictures(made)) == 2


# What is left of a write that fails


@pytest.mark.parametrize("step", range(16))
def test_a_write_that_fails_at_any_step_leaves_the_store_as_it_was(
    store: Store, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """Of each of four images: sync its folder's parent, sync it, rename, sync its folder."""
    before = store.sets.create("bottle", pictures(1))
    calls, fsync, replace = [], os.fsync, os.replace

    def failing(call):  # type: ignore[no-untyped-def]
        def instead(*args):  # type: ignore[no-untyped-def]
            calls.append(call)
            if len(calls) == step + 1:
                raise OSError(errno.ENOSPC, "No space left on device")
            return call(*args)

        return instead

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing(fsync))
        patch.setattr(os, "replace", failing(replace))
        with pytest.raises(NoSpace):
            store.sets.add("bottle", pictures(2, 3, 4, 5))
    assert len(calls) == step + 1
    assert store.sets.versions("bottle") == (before,)
    assert verify(store) == ()
    assert list(store.folder.rglob("*.partial")) == []
    assert len(store.sets.add("bottle", pictures(2, 3, 4, 5)).shots) == 5


@pytest.mark.parametrize(
    ("verb", "table"),
    [("INSERT", "shots"), ("UPDATE", "sets"), ("INSERT", "numbers"), ("INSERT", "versions")],
)
def test_a_row_that_fails_takes_all_rows_back(store: Store, verb: str, table: str) -> None:
    before = store.sets.create("bottle", pictures(1))
    with store.database.transaction() as db:
        db.execute(
            f"CREATE TEMP TRIGGER fail BEFORE {verb} ON main.{table} "
            "BEGIN SELECT RAISE(ABORT, 'fault'); END"
        )
    with pytest.raises(sqlite3.IntegrityError, match="fault"):
        store.sets.add("bottle", pictures(2))
    with store.database.transaction() as db:
        db.execute("DROP TRIGGER temp.fail")
    assert store.sets.versions("bottle") == (before,)
    assert verify(store) == ()
    assert store.sets.add("bottle", pictures(2)).version == 2


def test_a_blob_swept_between_its_writing_and_its_row_is_not_named(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = store.blobs.put

    def put_and_lose(data: bytes) -> str:
        sha256 = put(data)
        store.blobs.path(sha256).unlink()
        return sha256

    object.__setattr__(store.blobs, "put", put_and_lose)
    with pytest.raises(Busy, match="try again"):
        store.sets.create("bottle", pictures(1))
    object.__setattr__(store.blobs, "put", put)
    assert store.sets.list() == ()
    assert store.sets.create("bottle", pictures(1)).version == 1


def test_a_sweep_keeps_all_that_is_named(store: Store) -> None:
    store.sets.create("bottle", pictures(1, 2))
    store.sets.create("gone", pictures(2, 3))
    store.sets.drop("bottle", [picture_sha(1)])  # still named by version 1
    store.feedback.confirm("bottle", picture(8))
    store.contexts.put("key", "bottle", 1, {}, b"tensors")
    store.sets.remove("gone")
    assert store.sweep() == 0
    assert store.sweep(older_than=0) == 1
    assert verify(store) == ()
    assert len(store.sets.pictures(store.sets.get("bottle", 1))) == 2
    assert len(list(store.blobs.orphans(store.referenced()))) == 0


# Many writers


def test_threads_that_add_at_once_lose_nothing(store: Store) -> None:
    store.sets.create("bottle", pictures(0))
    given_out: list[int] = []

    def add(start: int) -> None:
        for i in range(5):
            given_out.append(store.sets.add("bottle", pictures(start + i)).version)

    threads = [threading.Thread(target=add, args=(100 * (n + 1),)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(given_out) == list(range(2, 42))
    assert len(names(store)) == 41


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_processes_that_add_at_once_lose_nothing(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        store.sets.create("bottle", pictures(0))
    children = []
    for n in range(8):
        child = os.fork()
        if not child:
            code = 1
            try:
                with open_store(tmp_path) as store:
                    given = [
                        store.sets.add("bottle", pictures(100 * (n + 1) + i)).version
                        for i in range(10)
                    ]
                (tmp_path / f"{n}.json").write_text(json.dumps(given))
                code = 0
            finally:
                os._exit(code)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 8
    given = [v for n in range(8) for v in json.loads((tmp_path / f"{n}.json").read_text())]
    assert sorted(given) == list(range(2, 82))
    with open_store(tmp_path) as store:
        expected = [0, *(100 * (n + 1) + i for n in range(8) for i in range(10))]
        shots = store.sets.get("bottle").shots
        assert {shot.sha256 for shot in shots} == set(map(picture_sha, expected))
        assert [len(v.shots) for v in store.sets.versions("bottle")] == list(range(1, 82))
        assert verify(store) == ()


# Names


@given(st.text(max_size=80))
def test_a_name_is_what_it_may_be_or_refused(text: str) -> None:
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    fits = 0 < len(text) <= 64 and text[0] in letters and set(text) <= set(letters + "._-")
    if fits:
        assert parse_name(text) == text
    else:
        with pytest.raises(UsageError, match="no name of a set") as refused:
            parse_name(text)
        assert str(refused.value).isprintable()


@given(st.from_regex(r"[a-z0-9][a-z0-9._-]{0,63}", fullmatch=True), st.integers(1, 10**9 - 1))
def test_a_reference_is_a_name_with_or_without_a_version(name: str, version: int) -> None:
    assert parse_reference(name) == (name, None)
    assert parse_reference(f"{name}@{version}") == (name, version)


@pytest.mark.parametrize(
    "text",
    [
        *("a@", "a@0", "a@-1", "a@1.0", "a@1e3", "a@ 1", "a@1\n", "a@٣", "@1", "a@1@2"),
        *("", "A", "../a", "a/b", ".a", "-a", "a b", "a\n", "a\x00", "ä", "con/..", "a" * 65),
        "a@" + "9" * 10,
    ],
)
def test_other_references_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_reference(text)


@given(st.text(alphabet=st.characters(), max_size=300))
def test_an_image_name_is_a_plain_base_name(text: str) -> None:
    name = image_name(text)
    assert 0 < len(name) <= 200
    assert not set(name) & set("/\\\n\r\x00\x1b\u202e\u2028")
    assert image_name(name) == name
    name.encode()


def test_image_names_lose_their_folders_and_controls() -> None:
    assert image_name("/home/me/good 1.png") == "good 1.png"
    assert image_name("C:\\me\\gut-ä.png") == "gut-ä.png"
    assert image_name("a\x1b[31mb\u202egnp.\udcff\n") == "a[31mbgnp."
    assert image_name("x" * 300) == "x" * 200
    assert image_name("/") == image_name("\n") == "image"


def test_the_folders_of_an_image_are_not_kept(store: Store) -> None:
    store.sets.create("bottle", [picture(1, "/home/me/secret/good.png")], note="a\x1bb\nc")
    assert names(store) == ["good.png"]
    assert store.sets.get("bottle").note == "a b c"
    store.close()
    assert b"secret" not in b"".join(
        path.read_bytes() for path in store.folder.rglob("*") if path.is_file()
    )


def test_too_many_words_are_refused(store: Store) -> None:
    with pytest.raises(UsageError, match="item has 201 characters"):
        store.sets.create("bottle", pictures(1), item="x" * 201)
    with pytest.raises(UsageError, match="note has 2001 characters"):
        store.sets.create("bottle", pictures(1), note="x" * 2001)
    assert store.sets.list() == ()


@pytest.mark.parametrize("name", ["Bottle", "../etc", "a b", ""])
def test_every_door_refuses_a_wrong_name(store: Store, name: str) -> None:
    for door in (
        lambda: store.sets.create(name, pictures(1)),
        lambda: store.sets.add(name, pictures(1)),
        lambda: store.sets.drop(name, ["0" * 64]),
        lambda: store.sets.get(name),
        lambda: store.sets.versions(name),
        lambda: store.sets.diff(name, 1, 2),
        lambda: store.sets.remove(name),
        lambda: store.feedback.list(name),
    ):
        with pytest.raises(UsageError, match="no name of a set"):
            door()
