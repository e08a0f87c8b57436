"""Transactions, migrations and what is told when SQLite or the disk refuse."""

import gc
import os
import shutil
import sqlite3
import threading
import time
from pathlib import Path

import pytest
from store_samples import fill, picture, pictures, small_disk

from inctrl.errors import Busy, Conflict, InvalidFile, NoSpace, OutputError
from inctrl.store import Store, open_store
from inctrl.store.database import FILE, Database
from inctrl.store.verify import verify

TABLE = "CREATE TABLE words (word TEXT PRIMARY KEY);"


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(tmp_path, (TABLE,), busy_seconds=0.2)


def words(database: Database) -> list[str]:
    with database.read() as db:
        return [word for (word,) in db.execute("SELECT word FROM words ORDER BY word")]


def say(database: Database, *given: str) -> None:
    with database.transaction() as db:
        db.executemany("INSERT INTO words VALUES (?)", [(word,) for word in given])


def say_and_stop(database: Database, word: str) -> None:
    with database.transaction():
        say(database, word)
        assert word in words(database)
        raise ValueError("stop")


def test_a_transaction_is_kept_whole_or_not_at_all(database: Database) -> None:
    say(database, "kept")
    with pytest.raises(ValueError, match="stop"):
        say_and_stop(database, "lost")
    assert words(database) == ["kept"]


def test_an_inner_transaction_is_taken_back_with_the_outer(database: Database) -> None:
    with pytest.raises(ValueError, match="stop"), database.transaction():
        say_and_stop(database, "inner")
    assert words(database) == []


def test_an_inner_transaction_that_fails_is_taken_back_alone(database: Database) -> None:
    with database.transaction():
        say(database, "outer")
        with pytest.raises(sqlite3.IntegrityError):
            say(database, "inner", "outer")
        say(database, "later")
    assert words(database) == ["later", "outer"]


def test_a_read_sees_one_state_while_another_thread_writes(database: Database) -> None:
    with database.read() as db:
        before = db.execute("SELECT count(*) FROM words").fetchone()
        writer = threading.Thread(target=say, args=(database, "new"))
        writer.start()
        writer.join()
        assert db.execute("SELECT count(*) FROM words").fetchone() == before == (0,)
    assert words(database) == ["new"]


def test_a_transaction_inside_of_a_read_is_a_bug_that_is_told(database: Database) -> None:
    with database.read(), pytest.raises(RuntimeError, match="inside of read"):
        say(database, "late")


def test_every_thread_writes_with_wal_full_sync_and_foreign_keys(database: Database) -> None:
    found = []

    def look() -> None:
        with database.read() as db:
            for setting in ("journal_mode", "synchronous", "foreign_keys"):
                found.extend(db.execute(f"PRAGMA {setting}").fetchone())

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    look()
    assert found == ["wal", 2, 1] * 2


def test_a_write_that_waits_too_long_is_busy(database: Database) -> None:
    other = sqlite3.connect(database.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    started = time.monotonic()
    with pytest.raises(Busy, match="try again") as refused:
        say(database, "waiting")
    assert 0.15 < time.monotonic() - started < 5
    assert refused.value.retry_after > 0
    other.execute("ROLLBACK")
    other.close()
    say(database, "then")
    assert words(database) == ["then"]


def test_a_store_that_another_is_just_making_is_waited_for(tmp_path: Path) -> None:
    """There SQLite does not wait by itself."""
    other = sqlite3.connect(tmp_path / FILE, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Busy):
        Database(tmp_path, (TABLE,), busy_seconds=0.1)
    done = threading.Timer(0.2, other.execute, args=("COMMIT",))
    done.start()
    assert words(Database(tmp_path, (TABLE,), busy_seconds=20)) == []
    done.join()
    other.close()


def open_files(path: Path) -> int:
    links = list(Path("/proc/self/fd").iterdir())
    return sum(link.is_symlink() and link.readlink() == path for link in links)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts open files in /proc")
def test_connections_end_with_their_threads_and_with_close(database: Database) -> None:
    for i in range(20):
        thread = threading.Thread(target=say, args=(database, f"{i:02}"))
        thread.start()
        thread.join()
    gc.collect()
    # SQLite keeps the file of a closed connection for the next one while another is open.
    assert len(database._connections._all()) == 1
    assert open_files(database.path) <= 2
    database.close()
    assert open_files(database.path) == 0
    assert len(words(database)) == 20


def in_child(work: "object") -> int:
    child = os.fork()
    if not child:
        code = 1
        try:
            work()  # type: ignore[operator]
            code = 0
        finally:
            os._exit(code)
    return child


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_many_processes_may_create_the_store_at_once(tmp_path: Path) -> None:
    children = [
        in_child(lambda i=i: open_store(tmp_path / "new").sets.create(f"s{i}", [picture(i)]))
        for i in range(8)
    ]
    assert {os.waitpid(child, 0)[1] for child in children} == {0}
    with open_store(tmp_path / "new") as store:
        assert [summary.name for summary in store.sets.list()] == [f"s{i}" for i in range(8)]
        assert verify(store) == ()


def test_a_former_schema_is_brought_up_to_date_with_its_content(tmp_path: Path) -> None:
    say(Database(tmp_path, (TABLE,)), "old")
    newer = Database(tmp_path, (TABLE, "ALTER TABLE words ADD COLUMN said INTEGER DEFAULT 7;"))
    with newer.read() as db:
        assert db.execute("SELECT * FROM words").fetchall() == [("old", 7)]


def test_a_migration_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    say(Database(tmp_path, (TABLE,)), "old")
    with pytest.raises(sqlite3.OperationalError):
        Database(tmp_path, (TABLE, "CREATE TABLE more (x); CREATE TABLE words (x);"))
    with Database(tmp_path, (TABLE,)).read() as db:
        assert db.execute("SELECT name FROM sqlite_master WHERE name = 'more'").fetchall() == []


def test_a_trigger_in_a_migration_is_one_statement(tmp_path: Path) -> None:
    trigger = (
        "CREATE TRIGGER twice AFTER INSERT ON words BEGIN "
        "DELETE FROM words WHERE word = 'a;b'; DELETE FROM words WHERE word = 'c'; END;"
    )
    database = Database(tmp_path, (TABLE + trigger,))
    say(database, "a;b", "c", "d")
    assert words(database) == ["d"]


def test_a_newer_store_is_refused_in_a_line(tmp_path: Path) -> None:
    Database(tmp_path, (TABLE, TABLE.replace("words", "more")))
    with pytest.raises(InvalidFile, match=r"newer inctrl \(schema 2, .* 1\); upgrade"):
        Database(tmp_path, (TABLE,))


def test_a_database_of_another_program_is_refused_and_left_alone(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / FILE) as other:
        other.execute("CREATE TABLE theirs (x)")
    other.close()
    with pytest.raises(InvalidFile, match="another program"):
        Database(tmp_path, (TABLE,))
    with sqlite3.connect(tmp_path / FILE) as other:
        assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("theirs",)]
    other.close()


@pytest.mark.parametrize("at", [0, 4096])
def test_a_damaged_file_is_named(tmp_path: Path, at: int) -> None:
    with open_store(tmp_path) as store:
        store.sets.create("bottle", pictures(1, 2))
    with (tmp_path / FILE).open("r+b") as file:
        file.seek(at)
        file.write(b"\xff" * 4096 * 60)
    with pytest.raises(InvalidFile, match=FILE):
        open_store(tmp_path).sets.get("bottle")


def test_a_full_disk_is_told_and_nothing_is_half_written(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk, open_store(disk / "store") as store:
        store.sets.create("bottle", pictures(1, 2))
        ballast = fill(disk)
        with pytest.raises(NoSpace, match="disk is full; free some space"):
            store.sets.add("bottle", [picture(3, side=64)])
        with pytest.raises(NoSpace, match="disk is full; free some space"):
            store.jobs.add("folder", {"long": "x" * 3_000_000})
        assert [shot.name for shot in store.sets.get("bottle").shots] == ["1.png", "2.png"]
        assert len(store.sets.pictures(store.sets.get("bottle"))) == 2
        assert store.jobs.list() == ()
        assert verify(store) == ()
        assert list(store.folder.rglob("*.partial")) == []
        ballast.unlink()
        assert len(store.sets.add("bottle", pictures(3)).shots) == 3
        store.jobs.add("folder", {"long": "x" * 1_000_000})


def test_a_full_disk_inside_of_an_inner_transaction_takes_back_the_outer(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        database = Database(disk, (TABLE,))
        ballast = fill(disk)
        with pytest.raises(NoSpace):
            say_and_stop(database, "x" * 5_000_000)
        assert words(database) == []
        ballast.unlink()
        say(database, "then")
        assert words(database) == ["then"]
        database.close()


@pytest.mark.parametrize("why", ["full", "read-only"])
def test_a_disk_without_room_for_a_log_can_be_read(tmp_path: Path, why: str) -> None:
    with small_disk(tmp_path / "disk") as disk:
        with open_store(disk / "store") as store:
            store.sets.create("bottle", pictures(1, 2))
        assert not (disk / "store" / f"{FILE}-shm").exists()
        if why == "full":
            ballast = fill(disk)
        elif os.system(f"mount -o remount,ro {disk}"):  # noqa: S605
            pytest.skip("the disk cannot be made read-only here")
        with open_store(disk / "store") as store:
            assert len(store.sets.pictures(store.sets.get("bottle"))) == 2
            with pytest.raises(NoSpace if why == "full" else OutputError):
                store.sets.add("bottle", [picture(3, side=64)])
            with pytest.raises(NoSpace if why == "full" else OutputError):
                store.jobs.add("folder", {})
            if why == "full":
                ballast.unlink()
                assert store.sets.add("bottle", pictures(3)).version == 2


def test_a_full_disk_with_a_log_shows_no_older_state(tmp_path: Path) -> None:
    """The file alone would lack what only the log of a killed process holds."""
    with open_store(tmp_path / "store") as store:
        store.sets.create("bottle", pictures(1))
    with small_disk(tmp_path / "disk") as disk, open_store(tmp_path / "store") as store:
        store.sets.add("bottle", pictures(2))
        (disk / "store").mkdir()
        for name in (FILE, f"{FILE}-wal"):
            shutil.copy(store.folder / name, disk / "store" / name)
        assert (disk / "store" / f"{FILE}-wal").stat().st_size
        (disk / "store" / "blobs").mkdir()
        ballast = fill(disk)
        with pytest.raises(NoSpace, match="disk is full"):
            open_store(disk / "store")
        ballast.unlink()
        with open_store(disk / "store") as copy:
            assert copy.sets.get("bottle") == store.sets.get("bottle")


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="cannot be written"):
        open_store(tmp_path / "file" / "store")


def test_the_folder_is_for_its_owner_alone(store: Store) -> None:
    assert store.folder.stat().st_mode & 0o777 == 0o700
    assert store.blobs.folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(os.name == "nt", reason="no such rights")
def test_what_is_in_a_folder_of_the_user_is_closed_to_others_and_the_folder_stays(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    folder.chmod(0o755)

    def rights() -> dict[str, int]:
        return {p.name: p.stat().st_mode & 0o777 for p in folder.rglob("*")}

    before = os.umask(0)
    try:
        for _ in range(2):
            with open_store(folder) as store:
                store.sets.create("bottle", pictures(1))
                found = rights()
                assert {"store.sqlite3", "store.sqlite3-wal", "store.sqlite3-shm"} <= set(found)
                assert {"blobs", "jobs", "features"} <= set(found)
                assert [name for name, mode in found.items() if mode & 0o077] == []
                assert folder.stat().st_mode & 0o777 == 0o755
                store.sets.remove("bottle")
            for name in ("store.sqlite3", "jobs", "features", "blobs"):  # as of another program
                (folder / name).chmod(0o755)
    finally:
        os.umask(before)


def test_opening_names_the_folder_or_takes_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INCTRL_STORE", str(tmp_path / "chosen"))
    with open_store() as store:
        assert store.folder == tmp_path / "chosen"
    with open_store(tmp_path / "given") as store:
        assert store.folder == tmp_path / "given"


def test_one_thread_makes_a_set_and_another_reads_it(store: Store) -> None:
    store.sets.create("bottle", pictures(1))
    names = []
    thread = threading.Thread(target=lambda: names.append(store.sets.get("bottle").name))
    thread.start()
    thread.join()
    assert names == ["bottle"]
    with pytest.raises(Conflict):
        store.sets.create("bottle", pictures(1))
