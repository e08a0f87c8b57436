"""Jobs as rows: what is to run, runs or has ended, and how; others run them."""

import json
import os
import sqlite3
import uuid
from dataclasses import dataclass
from typing import Any, Literal, get_args

from inctrl.errors import Busy, Conflict, NotStored, UsageError
from inctrl.store.database import Database, ago, insert, now

JobState = Literal["queued", "running", "succeeded", "failed", "cancelled", "interrupted"]
STATES: tuple[JobState, ...] = get_args(JobState)
ENDED: tuple[JobState, ...] = ("succeeded", "failed", "cancelled", "interrupted")
WAIT = 30.0
"""Seconds after which a place in a full queue may be free."""

SCHEMA = """
CREATE TABLE jobs (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  kind TEXT NOT NULL,
  spec TEXT NOT NULL,
  state TEXT NOT NULL,
  created TEXT NOT NULL,
  started TEXT,
  finished TEXT,
  attempts INTEGER NOT NULL DEFAULT 0,
  error TEXT NOT NULL DEFAULT '',
  pid INTEGER,
  lost INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX jobs_by_state ON jobs (state, number);
"""
_COLUMNS = "id, kind, spec, state, created, started, finished, attempts, error, pid, lost"


@dataclass(frozen=True)
class JobRow:
    """A job; times are ISO 8601 in UTC, `pid` that of the process at work on it.

    attempts   times that it was begun, or gone on with
    lost       times that it was broken off unawares since somebody last asked for it
    """

    id: str
    kind: str
    spec: dict[str, Any]
    state: JobState
    created: str
    started: str | None
    finished: str | None
    attempts: int
    error: str
    pid: int | None
    lost: int = 0


class Jobs:
    """queued -> running -> succeeded, failed, cancelled or interrupted; ended ones may requeue."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self, kind: str, spec: dict[str, Any], id: str | None = None, *, most: int | None = None
    ) -> JobRow:
        """A queued job; Conflict where the id is taken, Busy where `most` wait already."""
        id = id or uuid.uuid4().hex
        with self._database.transaction() as db:
            (waiting,) = db.execute("SELECT count(*) FROM jobs WHERE state = 'queued'").fetchone()
            if most is not None and waiting >= most:
                raise Busy(f"too many jobs wait ({waiting}); cancel some or try later", WAIT)
            if db.execute("SELECT 1 FROM jobs WHERE id = ?", (id,)).fetchone():
                raise Conflict(f"there is a job {id!r} already")
            row = {"id": id, "kind": kind, "spec": json.dumps(spec), "state": "queued"}
            insert(db, "jobs", {**row, "created": now()})
            return _get(db, id)

    def get(self, id: str) -> JobRow:
        """NotStored where there is none."""
        with self._database.read() as db:
            return _get(db, id)

    def list(
        self, state: JobState | None = None, after: str | None = None, limit: int = 50
    ) -> tuple[JobRow, ...]:
        """The newest first; `after` is the id of the last one seen. All below limit 0."""
        with self._database.read() as db:
            if after is not None:
                _get(db, after)
            rows = db.execute(
                f"SELECT {_COLUMNS} FROM jobs WHERE (? IS NULL OR state = ?) AND "  # noqa: S608
                "(? IS NULL OR number < (SELECT number FROM jobs WHERE id = ?)) "
                "ORDER BY number DESC LIMIT ?",
                (state, state, after, after, limit),
            )
            return tuple(_row(row) for row in rows)

    def running(self) -> tuple[JobRow, ...]:
        """All in state running, the oldest first."""
        return self.list("running", limit=-1)[::-1]

    def claim(self, pid: int | None = None) -> JobRow | None:
        """Take the oldest queued job: it is now running, for nobody else; None where none is.

        pid    of who takes it (default: this process); `assign` names another later
        """
        with self._database.transaction() as db:
            found = db.execute(
                "SELECT id FROM jobs WHERE state = 'queued' ORDER BY number LIMIT 1"
            ).fetchone()
            if found is None:
                return None
            db.execute(
                "UPDATE jobs SET state = 'running', attempts = attempts + 1, started = ?, "
                "finished = NULL, error = '', pid = ? WHERE id = ?",
                (now(), os.getpid() if pid is None else pid, found[0]),
            )
            return _get(db, found[0])

    def assign(self, id: str, pid: int) -> JobRow:
        """Note the process that runs it."""
        with self._database.transaction() as db:
            if _get(db, id).state != "running":
                raise Conflict(f"job {id!r} is not running")
            db.execute("UPDATE jobs SET pid = ? WHERE id = ?", (pid, id))
            return _get(db, id)

    def finish(self, id: str, state: JobState, error: str = "") -> JobRow:
        """End a queued or running job; Conflict where it has ended already."""
        if state not in ENDED:
            raise UsageError(f"a job does not end as {state!r}; give one of {', '.join(ENDED)}")
        with self._database.transaction() as db:
            was = _get(db, id)
            if was.state in ENDED:
                raise Conflict(f"job {id!r} has ended already ({was.state})")
            db.execute(
                "UPDATE jobs SET state = ?, finished = ?, error = ?, pid = NULL WHERE id = ?",
                (state, now(), error, id),
            )
            return _get(db, id)

    def requeue(self, id: str, *, lost: int | None = None) -> JobRow:
        """Put a job that is not done back into the queue, at its old place.

        lost    what the row shall tell of it from now on; None: what it tells already
        """
        with self._database.transaction() as db:
            if _get(db, id).state == "succeeded":
                raise Conflict(f"job {id!r} has succeeded; add a new one to run it again")
            db.execute(
                "UPDATE jobs SET state = 'queued', finished = NULL, error = '', pid = NULL, "
                "lost = coalesce(?, lost) WHERE id = ?",
                (lost, id),
            )
            return _get(db, id)

    def prune(self, days: float) -> int:
        """Remove those that ended more than so many days ago; gives how many.

        A training that has succeeded stays: its adapter may be in use.
        """
        with self._database.transaction() as db:
            return db.execute(
                "DELETE FROM jobs WHERE finished < ? AND state NOT IN ('queued', 'running') "
                "AND NOT (kind = 'train' AND state = 'succeeded')",
                (ago(days=days),),
            ).rowcount

    def counts(self) -> dict[JobState, int]:
        """How many jobs are in each state, 0 included."""
        with self._database.read() as db:
            found = dict(db.execute("SELECT state, count(*) FROM jobs GROUP BY state").fetchall())
        return {state: found.get(state, 0) for state in STATES}


def _get(db: sqlite3.Connection, id: str) -> JobRow:
    row = db.execute(f"SELECT {_COLUMNS} FROM jobs WHERE id = ?", (id,)).fetchone()  # noqa: S608
    if row is None:
        raise NotStored(f"there is no job {id!r}")
    return _row(row)


def _row(row: tuple[Any, ...]) -> JobRow:
    return JobRow(row[0], row[1], json.loads(row[2]), *row[3:])
