"""What people said of results: false alarms, and defects that were confirmed."""

import sqlite3
import uuid
from dataclasses import dataclass, replace
from typing import Any, Literal

from inctrl.errors import Conflict, NotStored
from inctrl.images import Picture
from inctrl.store.blobs import Blobs
from inctrl.store.database import Database, now
from inctrl.store.names import parse_name
from inctrl.store.shots import KeptShots, Shot, hold, keep, picture_of
from inctrl.store.versions import has_set, no_set

Kind = Literal["false_alarm", "defect"]

SCHEMA = """
CREATE TABLE feedback (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  set_name TEXT NOT NULL REFERENCES sets (name) ON DELETE CASCADE,
  kind TEXT NOT NULL,
  created TEXT NOT NULL,
  undone TEXT,
  sha256 TEXT NOT NULL,
  version_before INTEGER,
  version_after INTEGER,
  blob TEXT,
  name TEXT,
  height INTEGER,
  width INTEGER
);
CREATE INDEX feedback_by_set ON feedback (set_name, number);
"""
COLUMNS = (
    "id, set_name, kind, created, undone, sha256, version_before, version_after, "
    "blob, name, height, width"
)


@dataclass(frozen=True)
class FeedbackRow:
    """One judgement. A false alarm has the versions before and after, a defect its image."""

    id: str
    set: str
    kind: Kind
    created: str
    undone: str | None
    sha256: str
    version_before: int | None = None
    version_after: int | None = None
    shot: Shot | None = None


class Feedback:
    """Judgements by set; they end with the set."""

    def __init__(self, database: Database, blobs: Blobs) -> None:
        self._database = database
        self._blobs = blobs

    def confirm(self, name: str, picture: Picture | KeptShots) -> str:
        """Keep the image of a confirmed defect; gives the id, that of before where it is known.

        Inside of a transaction give it as `NormalSets.keep` kept it.
        """
        parse_name(name)
        kept = picture if isinstance(picture, KeptShots) else keep(self._blobs, [picture])
        (shot,) = kept.shots
        with self._database.transaction() as db:
            _refuse_absent(db, name)
            known = db.execute(
                "SELECT id FROM feedback WHERE set_name = ? AND kind = 'defect' AND sha256 = ? "
                "AND undone IS NULL",
                (name, shot.sha256),
            ).fetchone()
            if known:
                return str(known[0])
            hold(self._blobs, [shot])
            id = uuid.uuid4().hex
            _insert(db, FeedbackRow(id, name, "defect", now(), None, shot.sha256, shot=shot))
            return id

    def record(self, name: str, sha256: str, version_before: int, version_after: int) -> str:
        """Note a false alarm: the image `sha256` became normal with `version_after`.

        Gives the id. Where nothing became of it because it was noted before (the versions are
        the same), that is the id of before.
        """
        parse_name(name)
        with self._database.transaction() as db:
            _refuse_absent(db, name)
            known = db.execute(
                "SELECT id FROM feedback WHERE set_name = ? AND kind = 'false_alarm' "
                "AND sha256 = ? AND undone IS NULL ORDER BY number DESC LIMIT 1",
                (name, sha256),
            ).fetchone()
            if known and version_before == version_after:
                return str(known[0])
            id = uuid.uuid4().hex
            versions = (version_before, version_after)
            _insert(db, FeedbackRow(id, name, "false_alarm", now(), None, sha256, *versions))
            return id

    def get(self, id: str) -> FeedbackRow:
        """NotStored where there is none."""
        with self._database.read() as db:
            return _get(db, id)

    def list(self, name: str) -> tuple[FeedbackRow, ...]:
        """All of a set, the oldest first, the undone included."""
        with self._database.read() as db:
            _refuse_absent(db, parse_name(name))
            rows = db.execute(
                f"SELECT {COLUMNS} FROM feedback WHERE set_name = ? ORDER BY number",  # noqa: S608
                (name,),
            )
            return tuple(_row(row) for row in rows)

    def newest(
        self, name: str, after: str | None = None, limit: int = 50
    ) -> tuple[FeedbackRow, ...]:
        """The newest of a set first, from the one behind the id `after` on."""
        with self._database.read() as db:
            _refuse_absent(db, parse_name(name))
            if after is not None:
                _get(db, after)
            rows = db.execute(
                f"SELECT {COLUMNS} FROM feedback WHERE set_name = ? AND (? IS NULL OR number < "  # noqa: S608
                "(SELECT number FROM feedback WHERE id = ?)) ORDER BY number DESC LIMIT ?",
                (name, after, after, limit),
            )
            return tuple(_row(row) for row in rows)

    def defects(self, name: str) -> tuple[Shot, ...]:
        """The confirmed defects of a set that were not undone."""
        rows = self.list(name)
        return tuple(row.shot for row in rows if row.shot is not None and row.undone is None)

    def picture(self, row: FeedbackRow) -> Picture:
        """The image of a confirmed defect."""
        if row.shot is None:
            raise NotStored(f"feedback {row.id!r} keeps no image of its own")
        return picture_of(self._blobs, row.shot, f"the defects of {row.set!r}")

    def undo(self, id: str) -> FeedbackRow:
        """Mark it undone, once; Conflict the second time.

        A defect counts no more. The new version after a false alarm is up to the caller, best in
        one transaction with this.
        """
        with self._database.transaction() as db:
            if _get(db, id).undone is not None:
                raise Conflict(f"feedback {id!r} has been undone already")
            db.execute("UPDATE feedback SET undone = ? WHERE id = ?", (now(), id))
            return _get(db, id)

    def restore(self, row: FeedbackRow) -> None:
        """Insert a row as it was in another store, under a new id where its own is taken."""
        with self._database.transaction() as db:
            if db.execute("SELECT 1 FROM feedback WHERE id = ?", (row.id,)).fetchone():
                row = replace(row, id=uuid.uuid4().hex)
            _insert(db, row)


def _insert(db: sqlite3.Connection, row: FeedbackRow) -> None:
    """Add a row as it is."""
    shot = row.shot
    image = (shot.blob, shot.name, shot.height, shot.width) if shot else (None,) * 4
    db.execute(
        f"INSERT INTO feedback ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
        (
            *(row.id, row.set, row.kind, row.created, row.undone),
            *(row.sha256, row.version_before, row.version_after, *image),
        ),
    )


def _refuse_absent(db: sqlite3.Connection, name: str) -> None:
    if not has_set(db, name):
        raise no_set(name)


def _get(db: sqlite3.Connection, id: str) -> FeedbackRow:
    row = db.execute(f"SELECT {COLUMNS} FROM feedback WHERE id = ?", (id,)).fetchone()  # noqa: S608
    if row is None:
        raise NotStored(f"there is no feedback {id!r}")
    return _row(row)


def _row(row: tuple[Any, ...]) -> FeedbackRow:
    blob, name, height, width = row[8:]
    shot = None if blob is None else Shot(row[5], blob, name, height, width)
    return FeedbackRow(*(*row[:8], shot))
