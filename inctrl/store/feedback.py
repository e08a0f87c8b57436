"""What people said of results: false alarms, and defects that were confirmed."""

import sqlite3
import uuid
from dataclasses import dataclass, replace
from typing import Any, Literal

from inctrl.errors import Conflict, NotStored
from inctrl.images import Picture
from inctrl.store.blobs import Blobs
from inctrl.store.database import Database, insert, now
from inctrl.store.names import Id, Number, Sha256, Time, parse_name
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

    id: Id
    set: str
    kind: Kind
    created: Time
    undone: Time | None
    sha256: Sha256
    version_before: Number | None
    version_after: Number | None
    shot: Shot | None


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
            known = _known(db, name, "defect", shot.sha256)
            if known is not None:
                return known
            hold(self._blobs, [shot])
            return _add(db, name, "defect", shot.sha256, None, None, shot)

    def record(self, name: str, sha256: str, version_before: int, version_after: int) -> str:
        """Note a false alarm: the image `sha256` became normal with `version_after`.

        Gives the id. Where nothing became of it because it was noted before (the versions are
        the same), that is the id of before.
        """
        parse_name(name)
        with self._database.transaction() as db:
            _refuse_absent(db, name)
            known = _known(db, name, "false_alarm", sha256)
            if known is not None and version_before == version_after:
                return known
            return _add(db, name, "false_alarm", sha256, version_before, version_after, None)

    def get(self, id: str) -> FeedbackRow:
        """NotStored where there is none."""
        with self._database.read() as db:
            return _get(db, id)

    def list(self, name: str) -> tuple[FeedbackRow, ...]:
        """All of a set, the oldest first, the undone included."""
        return self.newest(name, limit=-1)[::-1]

    def newest(
        self, name: str, after: str | None = None, limit: int = 50
    ) -> tuple[FeedbackRow, ...]:
        """The newest of a set first, from the one behind the id `after` on; all below limit 0."""
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


def _known(db: sqlite3.Connection, name: str, kind: Kind, sha256: str) -> str | None:
    """The id of the last such judgement that was not undone."""
    found = db.execute(
        "SELECT id FROM feedback WHERE set_name = ? AND kind = ? AND sha256 = ? "
        "AND undone IS NULL ORDER BY number DESC LIMIT 1",
        (name, kind, sha256),
    ).fetchone()
    return found and str(found[0])


def _add(
    db: sqlite3.Connection,
    name: str,
    kind: Kind,
    sha256: str,
    before: int | None,
    after: int | None,
    shot: Shot | None,
) -> str:
    """A new row; its id."""
    row = FeedbackRow(uuid.uuid4().hex, name, kind, now(), None, sha256, before, after, shot)
    _insert(db, row)
    return row.id


def _insert(db: sqlite3.Connection, row: FeedbackRow) -> None:
    """Add a row as it is; the shot's identity is the row's own."""
    values = {**vars(row), "set_name": row.set, **(vars(row.shot) if row.shot else {})}
    insert(db, "feedback", {name: v for name, v in values.items() if name not in ("set", "shot")})


def _refuse_absent(db: sqlite3.Connection, name: str) -> None:
    if not has_set(db, name):
        raise no_set(db, name)


def _get(db: sqlite3.Connection, id: str) -> FeedbackRow:
    row = db.execute(f"SELECT {COLUMNS} FROM feedback WHERE id = ?", (id,)).fetchone()  # noqa: S608
    if row is None:
        raise NotStored(f"there is no feedback {id!r}")
    return _row(row)


def _row(row: tuple[Any, ...]) -> FeedbackRow:
    blob, name, height, width = row[8:]
    shot = None if blob is None else Shot(row[5], blob, name, height, width)
    return FeedbackRow(*(*row[:8], shot))
