"""Blobs are written whole, read back as they were, and swept when nothing names them."""

import errno
import hashlib
import os
import time
from pathlib import Path

import pytest

from inctrl.errors import InvalidFile, NoSpace, OutputError
from inctrl.store.blobs import Blobs

DATA = b"an image, say"
SHA256 = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "blobs")


def files(blobs: Blobs) -> list[str]:
    return sorted(path.name for path in blobs.folder.rglob("*") if path.is_file())


def made_old(path: Path, seconds: float = 3700) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then))


def test_a_blob_is_one_file_named_by_its_hash(blobs: Blobs) -> None:
    assert blobs.put(DATA) == blobs.put(DATA) == SHA256
    assert files(blobs) == [SHA256]
    assert blobs.path(SHA256) == blobs.folder / SHA256[:2] / SHA256
    assert blobs.read(SHA256) == DATA
    assert blobs.has(SHA256)
    assert not blobs.has("0" * 64)


def test_a_new_blob_is_durable_before_it_is_told(
    blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = []
    fsync, replace = os.fsync, os.replace

    def record_fsync(handle: int) -> None:
        path = Path(f"/proc/self/fd/{handle}").readlink()
        steps.append(f"sync {path.name if path.is_dir() else f'{path.stat().st_size} bytes'}")
        fsync(handle)

    def record_replace(source: str, target: Path) -> None:
        steps.append("rename")
        assert Path(source).parent == target.parent
        replace(source, target)

    monkeypatch.setattr(os, "fsync", record_fsync)
    monkeypatch.setattr(os, "replace", record_replace)
    blobs.put(DATA)
    assert steps == ["sync blobs", f"sync {len(DATA)} bytes", "rename", f"sync {SHA256[:2]}"]
    steps.clear()
    blobs.put(DATA)  # there already: no file is written or synced
    assert steps == [f"sync {SHA256[:2]}"]
    steps.clear()
    Blobs(blobs.folder).put(DATA)  # another process does not know who made the folder
    assert steps == ["sync blobs", f"sync {SHA256[:2]}"]


@pytest.mark.parametrize("step", ["open", "write", "fsync", "replace"])
@pytest.mark.parametrize(
    ("number", "expected"),
    [(errno.ENOSPC, NoSpace), (errno.EDQUOT, NoSpace), (errno.EROFS, OutputError)],
)
def test_a_step_that_fails_leaves_nothing_behind(
    blobs: Blobs,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    number: int,
    expected: type[Exception],
) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise OSError(number, os.strerror(number))

    class Full:
        """A file on which every write fails."""

        def __init__(self, handle: int, _mode: str) -> None:
            self._handle = handle

        def __enter__(self) -> "Full":
            return self

        def __exit__(self, *error: object) -> None:
            os.close(self._handle)

        write = staticmethod(fail)

    opening = os.open

    def fail_to_make(path: str, flags: int, *args: int) -> int:
        if flags & os.O_CREAT:
            fail()
        return opening(path, flags, *args)

    name, instead = {
        "open": ("open", fail_to_make),
        "write": ("fdopen", Full),
        "fsync": ("fsync", fail),
        "replace": ("replace", fail),
    }[step]
    with monkeypatch.context() as patch:
        patch.setattr(os, name, instead)
        with pytest.raises(expected):
            blobs.put(DATA)
    assert files(blobs) == []
    assert blobs.put(DATA) == SHA256
    assert blobs.read(SHA256) == DATA


def test_a_folder_that_does_not_sync_is_told_though_the_blob_is_whole(
    blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync, calls = os.fsync, []

    def fail_last(handle: int) -> None:
        calls.append(handle)
        if len(calls) == 3:
            raise OSError(errno.ENOSPC, "full")
        fsync(handle)

    monkeypatch.setattr(os, "fsync", fail_last)
    with pytest.raises(NoSpace):
        blobs.put(DATA)
    assert files(blobs) == [SHA256]
    assert blobs.read(SHA256) == DATA


def test_damage_is_found_named_and_healed_by_putting_again(blobs: Blobs) -> None:
    blobs.put(DATA)
    path = blobs.path(SHA256)
    path.write_bytes(bytes([DATA[0] ^ 1]) + DATA[1:])
    with pytest.raises(InvalidFile, match=f"{SHA256} is damaged"):
        blobs.read(SHA256)
    blobs.put(DATA)
    assert blobs.read(SHA256) == DATA
    path.unlink()
    with pytest.raises(InvalidFile, match=f"{SHA256} is missing"):
        blobs.read(SHA256)


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "A" * 64, "0" * 63, "0" * 64 + "\n"])
def test_nothing_but_a_hash_becomes_a_path(blobs: Blobs, name: str) -> None:
    with pytest.raises(InvalidFile):
        blobs.path(name)


def test_a_sweep_takes_old_orphans_and_nothing_else(blobs: Blobs) -> None:
    kept, young, old = (blobs.put(data) for data in (b"kept", b"young", b"old"))
    temporary = blobs.path(old).with_name(f"{old}.0.partial")
    former = blobs.path(old).with_name("write.tmp")  # of a release before
    fresh = blobs.path(old).with_name("fresh.partial")
    foreign = blobs.path(old).with_name("notes.txt")
    for path in (temporary, former, fresh, foreign):
        path.write_bytes(b"x")
    for path in (blobs.path(kept), blobs.path(old), temporary, former, foreign):
        made_old(path)
    assert blobs.sweep({kept}) == 3
    assert files(blobs) == sorted([kept, young, "fresh.partial", "notes.txt"])


def test_a_blob_put_again_counts_as_new(blobs: Blobs) -> None:
    blobs.put(DATA)
    made_old(blobs.path(SHA256))
    blobs.put(DATA)
    assert blobs.sweep(set()) == 0
    assert blobs.has(SHA256)
    made_old(blobs.path(SHA256), 3500)
    assert blobs.sweep(set()) == 0
    made_old(blobs.path(SHA256), 3601)
    assert blobs.sweep(set()) == 1
