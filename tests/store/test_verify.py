"""Looking over: every damage is found, and nothing else."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from store_samples import picture, pictures, score

from inctrl.store import Store, open_store
from inctrl.store.database import FILE
from inctrl.store.verify import Finding, orphans, verify


@pytest.fixture
def full(store: Store) -> Store:
    store.sets.create("bottle", pictures(1, 2))
    store.sets.add("bottle", pictures(3))
    store.sets.add("bottle", pictures(4))
    store.contexts.put("key", "bottle", 2, {}, b"tensors")
    store.feedback.confirm("bottle", picture(9))
    store.history.add([score("1")])
    store.jobs.add("folder", {})
    return store


def test_a_sound_store_has_no_findings(full: Store) -> None:
    assert verify(full) == ()
    assert orphans(full) == ()


def test_one_flipped_bit_in_any_blob_is_found_and_named(full: Store) -> None:
    whats = []
    for blob in sorted(full.referenced()):
        path = full.blobs.path(blob)
        data = path.read_bytes()
        for at in (0, len(data) // 2, len(data) - 1):
            path.write_bytes(data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :])
            (finding,) = verify(full)
            assert "damaged" in finding.detail
        whats.append((finding.kind, finding.what))
        path.write_bytes(data)
    assert sorted(whats) == [
        ("context", "bottle@2 context key"),
        ("image", "bottle defect 9.png"),
        ("image", "bottle@1 image 1.png"),
        ("image", "bottle@1 image 2.png"),
        ("image", "bottle@2 image 3.png"),
        ("image", "bottle@3 image 4.png"),
    ]
    assert verify(full) == ()


def test_a_missing_blob_is_found_for_all_that_need_it(full: Store) -> None:
    full.sets.create("twin", pictures(3))
    full.blobs.path(full.sets.get("twin").shots[0].blob).unlink()
    findings = verify(full)
    assert [finding.what for finding in findings] == [
        "bottle@2 image 3.png",
        "twin@1 image 3.png",
    ]
    assert all("missing" in finding.detail for finding in findings)


def damaged(store: Store, *statements: str) -> tuple[Finding, ...]:
    """The findings after a change behind the store's back."""
    store.close()
    other = sqlite3.connect(store.database.path)
    for statement in statements:
        other.execute(statement)
    other.commit()
    other.close()
    return verify(store)


@pytest.mark.parametrize(
    ("number", "statement"),
    [(n, f"DELETE FROM versions WHERE version = {n}") for n in (1, 2, 3)],  # noqa: S608
)
def test_a_missing_version_is_found(full: Store, number: int, statement: str) -> None:
    found = damaged(full, statement)
    assert Finding("version", "bottle", f"version {number} is missing") in found


@pytest.mark.parametrize(
    ("statement", "kind", "what"),
    [
        ("DELETE FROM shots WHERE position = 1", "version", "bottle"),
        ("UPDATE shots SET sha256 = 'x' WHERE position = 2", "version", "bottle"),
        ("UPDATE shots SET dropped = 3 WHERE position = 1", "version", "bottle"),
        ("UPDATE sets SET item = 'nut'", "version", "bottle"),
        ("UPDATE versions SET digest = 'x' WHERE version = 2", "version", "bottle"),
        ("UPDATE numbers SET digest = 'x' WHERE version = 2", "version", "bottle@2"),
        ("DELETE FROM numbers WHERE version = 2", "version", "bottle@2"),
        ("UPDATE shots SET blob = 'x' WHERE position = 2", "image", "bottle@1 image 2.png"),
        ("UPDATE contexts SET blob = 'x'", "context", "bottle@2 context key"),
        ("UPDATE contexts SET version = 9", "reference", "contexts row 1"),
        ("UPDATE scores SET identity = 'x'", "reference", "scores row 1"),
        ("UPDATE feedback SET set_name = 'gone'", "reference", "feedback row 1"),
        ("DELETE FROM versions", "version", "bottle"),
    ],
)
def test_rows_that_do_not_fit_are_found(full: Store, statement: str, kind: str, what: str) -> None:
    found = damaged(full, statement)
    assert (kind, what) in [(finding.kind, finding.what) for finding in found]


def test_a_damaged_index_of_the_database_is_found(full: Store) -> None:
    found = damaged(
        full,
        "PRAGMA writable_schema = ON",
        "UPDATE sqlite_master SET sql = 'CREATE INDEX shots_by_blob ON shots (name)' "
        "WHERE name = 'shots_by_blob'",
    )
    assert "database" in [finding.kind for finding in found]


def test_damaged_pages_are_findings_and_no_traceback(full: Store) -> None:
    full.close()
    with (full.folder / FILE).open("r+b") as file:
        file.seek(4096 * 2)
        file.write(b"\xa5" * 4096 * 40)
    found = verify(full)
    assert ("database", FILE) in [(finding.kind, finding.what) for finding in found]


def test_what_nothing_names_is_told_apart_and_is_no_fault(full: Store) -> None:
    orphan = full.blobs.put(b"of a write that was killed")
    temporary = full.blobs.path(orphan).with_name("half.partial")
    temporary.write_bytes(b"half")
    assert verify(full) == ()
    assert {finding.what for finding in orphans(full)} == {orphan, "half.partial"}
    assert {finding.kind for finding in orphans(full)} == {"orphan"}


def test_a_damaged_set_leaves_the_others_readable(full: Store) -> None:
    full.sets.create("nut", pictures(5))
    full.blobs.path(full.sets.get("bottle").shots[0].blob).unlink()
    assert len(full.sets.pictures(full.sets.get("nut"))) == 1
    assert [s.name for s in full.sets.list()] == ["bottle", "nut"]
    assert full.sets.get("bottle").version == 3


def test_verifying_while_others_write_finds_nothing(store: Store, tmp_path: Path) -> None:
    """A set that is removed and swept meanwhile is no damage."""
    store.sets.create("bottle", pictures(1, 2, 3))
    read = store.blobs.read
    steps: list[Callable[[], object]] = [
        lambda: store.sets.remove("bottle"),
        lambda: store.sweep(older_than=0),
    ]

    def read_late(blob: str) -> bytes:
        while steps:
            steps.pop(0)()
        return read(blob)

    object.__setattr__(store.blobs, "read", read_late)
    assert verify(store) == ()
    assert steps == []


def test_a_fresh_store_is_sound(tmp_path: Path) -> None:
    with open_store(tmp_path / "new") as store:
        assert verify(store) == ()
        assert orphans(store) == ()
