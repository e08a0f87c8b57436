"""What SQLite and the file system refuse, as the errors that users meet."""

import contextlib
import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from inctrl.errors import Busy, InvalidFile, NoSpace, UsageError
from inctrl.files.whole import FULL, unwritable

LITTLE = 1_000_000
"""Bytes free below which a failed write is put down to the full disk."""


@contextlib.contextmanager
def sqlite_errors(path: Path) -> Iterator[None]:
    """Turn what SQLite refuses into one line; a broken constraint stays what it is (a bug)."""
    try:
        yield
    except sqlite3.IntegrityError:
        raise
    except UnicodeEncodeError:
        raise UsageError("a name that is not valid Unicode cannot be in the store") from None
    except sqlite3.Error as error:
        raise refusal(error, path) from error


def refusal(error: sqlite3.Error, path: Path) -> Exception:
    """The error to raise instead; `error` itself where it tells of a bug."""
    primary = primary_code(error)
    if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return Busy("the store is busy with other writes; try again", retry_after=1.0)
    if primary in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return InvalidFile(
            f"store file {str(path)!r} is damaged ({error}); put a copy of it back, or import "
            "exported sets into a new store"
        )
    if primary == sqlite3.SQLITE_FULL:
        return NoSpace(FULL)
    if primary in (
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_PERM,
    ):
        return NoSpace(FULL) if _no_room(path.parent) else unwritable(path, str(error))
    return error


def primary_code(error: sqlite3.Error) -> int:
    """SQLite's code without the extension; 0 where the module itself raised."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _no_room(folder: Path) -> bool:
    """Whether the disk is full, to whoever is not its superuser."""
    try:
        if not os.access(folder, os.W_OK):
            return False
        return shutil.disk_usage(folder).free < LITTLE
    except OSError:
        return False
