"""Writes of several threads in one transaction: each kept or refused by itself."""

import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from inctrl.errors import Conflict
from inctrl.store.database import Database
from inctrl.store.together import Together, Write


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(tmp_path, ("CREATE TABLE words (word TEXT PRIMARY KEY);",))


def says(word: str, also: Callable[[], object] = lambda: None) -> Write:
    def write(db: sqlite3.Connection) -> None:
        db.execute("INSERT INTO words VALUES (?)", (word,))
        also()

    return write


def words(database: Database) -> list[str]:
    with database.read() as db:
        return [word for (word,) in db.execute("SELECT word FROM words ORDER BY word")]


def meanwhile(together: Together, *writes: Write) -> list[Future[None]]:
    """Runs writes that all come while another one is being kept."""
    begun, go_on = threading.Event(), threading.Event()

    def slow() -> None:
        begun.set()
        assert go_on.wait(10)

    with ThreadPoolExecutor(1 + len(writes)) as pool:
        first = pool.submit(together.run, says("first", slow))
        assert begun.wait(10)
        others = [pool.submit(together.run, write) for write in writes]
        while len(together._waiting) < len(writes):
            time.sleep(0.001)
        go_on.set()
        first.result()
    return others


def test_those_that_wait_are_kept_by_one_of_them(database: Database) -> None:
    threads: list[int] = []
    writes = [says(w, lambda: threads.append(threading.get_ident())) for w in ("a", "b", "c")]
    for other in meanwhile(Together(database), *writes):
        other.result()
    assert words(database) == ["a", "b", "c", "first"]
    assert len(threads) == 3
    assert len(set(threads)) == 1


def test_one_that_fails_takes_back_its_own_part_alone(database: Database) -> None:
    def refuse() -> None:
        raise Conflict("taken")

    kept, refused, last = meanwhile(Together(database), says("a"), says("b", refuse), says("c"))
    kept.result()
    last.result()
    with pytest.raises(Conflict, match="taken"):
        refused.result()
    assert words(database) == ["a", "c", "first"]


def test_where_the_transaction_is_lost_all_are_told(database: Database) -> None:
    def lose(db: sqlite3.Connection) -> None:
        db.execute("ROLLBACK")
        raise OSError("the disk is full")

    for other in meanwhile(Together(database), says("a"), lose, says("b")):
        with pytest.raises(OSError, match="disk is full"):
            other.result()
    assert words(database) == ["first"]


def test_within_a_transaction_it_is_part_of_that(database: Database) -> None:
    together = Together(database)
    with pytest.raises(Conflict), database.transaction():  # noqa: PT012
        together.run(says("a"))
        raise Conflict("no")
    assert words(database) == []
    together.run(says("b"))
    assert words(database) == ["b"]
