"""The SQLite file of a store: transactions and migrations, shared by threads and processes.

WAL with synchronous=FULL: what was committed is there after a kill and after a power cut.
"""

import contextlib
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from inctrl.errors import InvalidFile, OutputError
from inctrl.files.private import close_to_others
from inctrl.store.connections import Connections, Held, read_alone
from inctrl.store.sqlite_errors import primary_code, sqlite_errors

FILE = "store.sqlite3"
BUSY_SECONDS = 30.0
"""How long a write waits for the writes of others before it is refused as Busy."""


def now() -> str:
    """UTC in ISO 8601 to the millisecond; sorts as time does."""
    return ago()


def ago(*, days: float = 0, hours: float = 0) -> str:
    """`now`, so long before."""
    moment = datetime.now(UTC) - timedelta(days=days, hours=hours)
    return moment.isoformat(timespec="milliseconds")


def insert(
    db: sqlite3.Connection, table: str, row: Mapping[str, object], *, once: bool = False
) -> None:
    """Add a row by the names of its columns; `once` leaves what is there already."""
    verb, marks = "INSERT OR IGNORE" if once else "INSERT", ", ".join("?" * len(row))
    db.execute(f"{verb} INTO {table} ({', '.join(row)}) VALUES ({marks})", tuple(row.values()))


class Database:
    """One SQLite file in `folder`; `migrations` bring it from each schema version to the next."""

    def __init__(
        self, folder: Path, migrations: Sequence[str], *, busy_seconds: float = BUSY_SECONDS
    ) -> None:
        self.path = folder / FILE
        self._busy_seconds = busy_seconds
        self._connections = Connections(self._open)
        self._migrate(migrations)
        # By name: opening the file to change it would take SQLite's locks from this process. A
        # log that is made later has the rights of the file.
        for path in (self.path, *(Path(f"{self.path}-{log}") for log in ("wal", "shm"))):
            close_to_others(path)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All that is written inside is kept, or none of it; writers come one at a time.

        Inside another transaction of the same thread it is part of that one: it is kept if the
        outer is, and taken back alone where its own exception is caught.
        """
        with sqlite_errors(self.path), self._connections.lent() as (held, connection):
            if held.depth and not held.writing:
                raise RuntimeError("a transaction cannot begin inside of read()")
            verbs = _inner(held.depth) if held.depth else _OUTER
            with _between(held, connection, verbs):
                yield connection

    @contextlib.contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """Queries that all see the same state; inside of a transaction also its own writes."""
        with sqlite_errors(self.path), contextlib.ExitStack() as stack:
            try:
                held, connection = stack.enter_context(self._connections.lent())
            except sqlite3.OperationalError as error:
                yield stack.enter_context(read_alone(self.path, error))
                return
            if held.depth:
                yield connection
                return
            with _between(held, connection, _READ):
                yield connection

    @property
    def inside(self) -> bool:
        """Whether this thread is inside of a transaction or a read."""
        with sqlite_errors(self.path), self._connections.lent() as (held, _):
            return held.depth > 0

    def close(self) -> None:
        """Close the connections of all threads; used again, it opens again."""
        with sqlite_errors(self.path):
            self._connections.close()

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path,
            timeout=self._busy_seconds,
            isolation_level=None,
            check_same_thread=False,  # a thread's connection is closed by another at the end
        )
        try:
            self._enter_wal(connection)
            for setting in ("synchronous = FULL", "foreign_keys = ON", "temp_store = MEMORY"):
                connection.execute(f"PRAGMA {setting}")
        except BaseException:
            connection.close()
            raise
        return connection

    def _enter_wal(self, connection: sqlite3.Connection) -> None:
        deadline = time.monotonic() + self._busy_seconds
        while True:
            try:
                (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
                break
            except sqlite3.OperationalError as error:
                # Two that create the store at once: SQLite does not wait here by itself.
                busy = primary_code(error) == sqlite3.SQLITE_BUSY
                if not busy or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
        if mode != "wal":
            raise OutputError(
                f"the disk of {str(self.path)!r} does not let processes share a store "
                "(a network disk?); choose a local folder"
            )

    def _migrate(self, migrations: Sequence[str]) -> None:
        with self.read() as db:
            if self._schema(db, migrations) == len(migrations):
                return
        with self.transaction() as db:
            for script in migrations[self._schema(db, migrations) :]:
                for statement in _statements(script):
                    db.execute(statement)
            db.execute(f"PRAGMA user_version = {len(migrations)}")

    def _schema(self, db: sqlite3.Connection, migrations: Sequence[str]) -> int:
        """The schema version of the file: how many migrations it has seen."""
        version: int = db.execute("PRAGMA user_version").fetchone()[0]
        (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if version > len(migrations):
            raise InvalidFile(
                f"store file {str(self.path)!r} is of a newer inctrl (schema {version}, this one "
                f"knows up to {len(migrations)}); upgrade inctrl"
            )
        if tables and not version:
            raise InvalidFile(
                f"{str(self.path)!r} is a database of another program", fix="use another store"
            )
        return version


_Verbs = tuple[str, str, str]
_OUTER: _Verbs = ("BEGIN IMMEDIATE", "COMMIT", "ROLLBACK")
_READ: _Verbs = ("BEGIN", "COMMIT", "ROLLBACK")


def _inner(depth: int) -> _Verbs:
    name = f"inner{depth}"
    return f"SAVEPOINT {name}", f"RELEASE {name}", f"ROLLBACK TO {name}"


@contextlib.contextmanager
def _between(held: Held, connection: sqlite3.Connection, verbs: _Verbs) -> Iterator[None]:
    begin, keep, take_back = verbs
    connection.execute(begin)
    before = held.writing
    held.depth, held.writing = held.depth + 1, begin != "BEGIN"
    try:
        yield
        connection.execute(keep)
    except BaseException:
        # After a full disk SQLite may have taken the whole transaction back by itself.
        if connection.in_transaction:
            connection.execute(take_back)
        raise
    finally:
        held.depth, held.writing = held.depth - 1, before


def _statements(script: str) -> Iterator[str]:
    """The statements of a script; one of a trigger holds semicolons of its own."""
    statement = ""
    for part in script.split(";"):
        statement += f"{part};"
        if sqlite3.complete_statement(statement):
            if statement.strip(" \n;"):
                yield statement
            statement = ""
