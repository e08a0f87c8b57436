"""One SQLite connection for each thread, and reading without one where no log can be made.

SQLite's locks do not live through a fork: a child that was forked opens a store of its own.
"""

import contextlib
import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

from inctrl.errors import Busy
from inctrl.store.sqlite_errors import primary_code

CANNOT_WRITE = (
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_FULL,
)


class Held:
    """The connection of one thread, and how many transactions or reads it is inside of."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.connection: sqlite3.Connection | None = None
        self.depth = 0
        self.writing = False

    def close(self) -> None:
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.close()

    def __del__(self) -> None:  # the thread has ended
        self.close()


class Connections:
    """Opens a connection for each thread that asks, and closes it when the thread ends."""

    def __init__(self, open_one: Callable[[], sqlite3.Connection]) -> None:
        self._open_one = open_one
        self._lock = threading.Lock()
        self._every: weakref.WeakSet[Held] = weakref.WeakSet()
        self._local = threading.local()

    @contextlib.contextmanager
    def lent(self) -> Iterator[tuple[Held, sqlite3.Connection]]:
        """This thread's connection, made if need be."""
        held: Held | None = getattr(self._local, "held", None)
        if held is None:
            held = self._local.held = Held()
            with self._lock:
                self._every.add(held)
        with held.lock:
            if held.connection is None:
                held.connection = self._open_one()
            yield held, held.connection

    def close(self) -> None:
        """Close all of them, once they are out of use; whoever asks again gets a new one."""
        for held in self._all():
            with held.lock:
                if not held.depth:
                    held.close()

    def _all(self) -> list[Held]:
        with self._lock:
            return list(self._every)


@contextlib.contextmanager
def read_alone(path: Path, error: sqlite3.Error) -> Iterator[sqlite3.Connection]:
    """A connection to the file as it lies there; raises `error` where that is not all there is.

    The file is all where its log is empty, and stays so unless somebody writes meanwhile: Busy.
    """
    before = _state(path)
    if primary_code(error) not in CANNOT_WRITE or before is None:
        raise error
    connection = sqlite3.connect(
        f"file:{quote(str(path))}?immutable=1", uri=True, isolation_level=None
    )
    try:
        yield connection
    finally:
        connection.close()
    if _state(path) != before:
        raise Busy("the store was written to meanwhile; try again", retry_after=0.1)


def _state(path: Path) -> tuple[int, int] | None:
    """Size and time of a file with an empty log; None where the log is not empty."""
    try:
        if Path(f"{path}-wal").stat().st_size:
            return None
    except FileNotFoundError:
        pass
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_size, found.st_mtime_ns) if found.st_size else None
