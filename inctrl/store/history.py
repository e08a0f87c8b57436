"""Scores as they were given, with all that explains them later: limit, set version, model."""

import base64
import binascii
import hashlib
import json
import math
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from inctrl.errors import Conflict, NotStored, UsageError
from inctrl.store.database import Database, ago, insert
from inctrl.store.names import image_name, plain_words
from inctrl.store.together import Together

SCHEMA = """
CREATE TABLE documents (digest TEXT PRIMARY KEY, document TEXT NOT NULL);
CREATE TABLE scores (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  created TEXT NOT NULL,
  set_name TEXT,
  version INTEGER,
  item TEXT NOT NULL,
  query_sha256 TEXT NOT NULL,
  query_name TEXT NOT NULL,
  score REAL,
  threshold REAL,
  p_value REAL,
  verdict TEXT NOT NULL,
  identity TEXT NOT NULL REFERENCES documents (digest),
  calibration TEXT NOT NULL REFERENCES documents (digest)
);
CREATE INDEX scores_by_set ON scores (set_name, number);
CREATE INDEX scores_by_time ON scores (created);
CREATE INDEX scores_by_identity ON scores (identity);
CREATE INDEX scores_by_calibration ON scores (calibration);
"""
_COLUMNS = (
    "scores.id, created, set_name, version, item, query_sha256, query_name, score, threshold, "
    "p_value, verdict, i.document, c.document"
)
_FROM = (
    "FROM scores JOIN documents AS i ON i.digest = identity "
    "JOIN documents AS c ON c.digest = calibration"
)


@dataclass(frozen=True)
class ScoreRecord:
    """One score; set and version are None where the shots came with the query.

    id             uuid4, 32 hex digits
    created        ISO 8601 in UTC
    score, threshold, p_value    NaN where there is none
    identity       the model: backbone, detector, adapter and their hashes
    calibration    what the limit was made of
    """

    id: str
    created: str
    set: str | None
    version: int | None
    item: str
    query_sha256: str
    query_name: str
    score: float
    threshold: float
    p_value: float
    verdict: str
    identity: dict[str, Any]
    calibration: dict[str, Any]


@dataclass(frozen=True)
class ScorePage:
    """Some records, the newest first; `next` asks for those behind them, None at the end."""

    records: tuple[ScoreRecord, ...]
    next: str | None


class History:
    """The scores that were given; they stay when their set is removed."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._together = Together(database)

    def add(self, records: Iterable[ScoreRecord]) -> None:
        """Keep all of them, durably, or, where an id is taken, none.

        Those of several threads share a transaction: each waits for the disk once.
        """
        given = list(records)

        def write(db: sqlite3.Connection) -> None:
            for record in given:
                _insert(db, record)

        self._together.run(write)

    def get(self, id: str) -> ScoreRecord:
        """NotStored where there is none."""
        with self._database.read() as db:
            row = db.execute(f"SELECT {_COLUMNS} {_FROM} WHERE scores.id = ?", (id,)).fetchone()
        if row is None:
            raise NotStored(f"there is no score {id!r}; it may be older than what is kept")
        return _record(row)

    def list(self, set: str | None = None, after: str | None = None, limit: int = 50) -> ScorePage:
        """The newest first, of one set if asked; `after` is the `next` of the page before."""
        where, values = ["TRUE"], list[object]()
        if set is not None:
            where, values = [*where, "set_name = ?"], [*values, set]
        if after is not None:
            where, values = [*where, "number < ?"], [*values, _position(after)]
        with self._database.read() as db:
            rows = db.execute(
                f"SELECT number, {_COLUMNS} {_FROM} WHERE {' AND '.join(where)} "
                "ORDER BY number DESC LIMIT ?",
                (*values, limit + 1),
            ).fetchall()
        page = rows[:limit]
        following = _cursor(page[-1][0]) if page and len(rows) > limit else None
        return ScorePage(tuple(_record(row[1:]) for row in page), following)

    def prune(self, days: float) -> int:
        """Remove those older than so many days; gives how many."""
        with self._database.transaction() as db:
            removed = db.execute("DELETE FROM scores WHERE created < ?", (ago(days=days),)).rowcount
            db.execute(
                "DELETE FROM documents WHERE digest NOT IN (SELECT identity FROM scores) "
                "AND digest NOT IN (SELECT calibration FROM scores)"
            )
        return removed


def _insert(db: sqlite3.Connection, record: ScoreRecord) -> None:
    if db.execute("SELECT 1 FROM scores WHERE id = ?", (record.id,)).fetchone():
        raise Conflict(f"there is a score {record.id!r} already")
    row = {
        **vars(record),
        "set_name": record.set,
        "created": _in_utc(record.created),
        "item": plain_words(record.item, "item"),
        "query_name": image_name(record.query_name),
        "identity": _document(db, record.identity),
        "calibration": _document(db, record.calibration),
    }
    del row["set"]
    insert(db, "scores", row)


def _in_utc(created: str) -> str:
    """The one form that sorts as time does."""
    moment = datetime.fromisoformat(created)
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")


def _document(db: sqlite3.Connection, content: dict[str, Any]) -> str:
    """Keep a document once; its digest."""
    text = json.dumps(content, sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()
    db.execute("INSERT OR IGNORE INTO documents VALUES (?, ?)", (digest, text))
    return digest


def _record(row: tuple[Any, ...]) -> ScoreRecord:
    figures = [math.nan if figure is None else figure for figure in row[7:10]]
    documents = [json.loads(document) for document in row[11:]]
    return ScoreRecord(*(*row[:7], *figures, row[10], *documents))


def _cursor(number: int) -> str:
    return base64.urlsafe_b64encode(f"n{number}".encode()).decode().rstrip("=")


def _position(cursor: str) -> int:
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        number = int(text[1:19])
    except (ValueError, binascii.Error):
        number = 0
    if _cursor(number) != cursor:
        raise UsageError(f"{cursor[:40]!a} is no cursor; take the `next` of the page before")
    return number
