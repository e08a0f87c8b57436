"""Reading a database file where no log can be made beside it: on a full or a read-only disk."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from inctrl.errors import Busy
from inctrl.store.refusals import primary_code

CANNOT_WRITE = (
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_FULL,
)


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
