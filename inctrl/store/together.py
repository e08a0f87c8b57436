"""Writes of several threads that wait for the disk at once: one transaction, one sync.

While one is being made durable those that come meanwhile wait, and whoever is next takes all of
them along. Each is kept or refused by itself, and returns when the disk has it, as if alone.
"""

import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from inctrl.store.database import Database

Write = Callable[[sqlite3.Connection], object]


@dataclass(eq=False)
class _Waiting:
    """A write; `turn` comes when it is done, or when it is to be done with all that wait."""

    write: Write
    turn: threading.Event = field(default_factory=threading.Event)
    error: BaseException | None = None
    done: bool = False


class Together:
    """Runs writes to one database; any number of threads may share it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._waiting: list[_Waiting] = []
        self._busy = False

    def run(self, write: Write) -> None:
        """Keep all that `write` writes, durably, or nothing; raises what it raises.

        Inside a transaction of the same thread it is part of that one.
        """
        if self._database.inside:
            with self._database.transaction() as db:
                write(db)
            return
        mine = _Waiting(write)
        with self._lock:
            self._waiting.append(mine)
            waits, self._busy = self._busy, True
        if waits:
            mine.turn.wait()
        if not mine.done:
            self._keep_all()
        if mine.error is not None:
            raise mine.error

    def _keep_all(self) -> None:
        """Whoever came meanwhile has the next turn: nobody works for others without end."""
        with self._lock:
            taken, self._waiting = self._waiting, []
        try:
            with self._database.transaction() as db:
                for one in taken:
                    self._attempt(one, db)
        except BaseException as error:
            for one in taken:
                one.error = one.error or error
        with self._lock:
            self._busy = bool(self._waiting)
            for one in self._waiting[:1]:
                one.turn.set()
        for one in taken:
            one.done = True
            one.turn.set()

    def _attempt(self, one: _Waiting, db: sqlite3.Connection) -> None:
        """One of them; only its own part is taken back where it fails."""
        try:
            with self._database.transaction():
                one.write(db)
        except Exception as error:
            one.error = error
            if not db.in_transaction:  # a full disk: SQLite has taken back the others' too
                raise
