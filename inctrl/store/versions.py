"""Versions of a normal set as rows, read and written inside of a transaction of the caller.

A shot is kept once for a set, with the version that added it and the one that dropped it: version
v holds those with added <= v < dropped, in the order of their coming.
"""

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from inctrl.errors import NotStored, UsageError
from inctrl.registry import meant
from inctrl.store.database import insert, now
from inctrl.store.names import Note, Number, Sha256, TileCount, Time
from inctrl.store.shots import Shot, ShotRecord
from inctrl.views import AS_THEY_ARE, Orientation, Tiles, Views

Origin = Literal["create", "add", "drop", "change", "false_alarm", "undo", "import"]
MOST_SHOTS = 10_000
"""Shots of one version."""

SCHEMA = """
CREATE TABLE sets (
  name TEXT PRIMARY KEY,
  item TEXT NOT NULL,
  first INTEGER NOT NULL,
  latest INTEGER NOT NULL,
  created TEXT NOT NULL,
  changed TEXT NOT NULL
);
CREATE TABLE versions (
  set_name TEXT NOT NULL REFERENCES sets (name) ON DELETE CASCADE,
  version INTEGER NOT NULL,
  created TEXT NOT NULL,
  note TEXT NOT NULL,
  origin TEXT NOT NULL,
  digest TEXT NOT NULL,
  PRIMARY KEY (set_name, version)
);
CREATE TABLE shots (
  set_name TEXT NOT NULL REFERENCES sets (name) ON DELETE CASCADE,
  position INTEGER NOT NULL,
  sha256 TEXT NOT NULL,
  blob TEXT NOT NULL,
  name TEXT NOT NULL,
  height INTEGER NOT NULL,
  width INTEGER NOT NULL,
  added INTEGER NOT NULL,
  dropped INTEGER,
  PRIMARY KEY (set_name, position)
);
CREATE UNIQUE INDEX shots_once ON shots (set_name, sha256) WHERE dropped IS NULL;
CREATE INDEX shots_by_blob ON shots (blob);
-- Every version number ever given, of removed sets too, and what it stood for.
CREATE TABLE numbers (
  set_name TEXT NOT NULL,
  version INTEGER NOT NULL,
  digest TEXT NOT NULL,
  PRIMARY KEY (set_name, version)
);
"""
VIEWS = """
ALTER TABLE versions ADD COLUMN orientation TEXT NOT NULL DEFAULT 'fixed';
-- Of no type, so that a number and 'auto' come back as what they are.
ALTER TABLE versions ADD COLUMN tiles NOT NULL DEFAULT 1;
"""
"""A migration: sets of before are seen as they were."""


@dataclass(frozen=True)
class SetVersion:
    """A normal set as it is under one number, forever.

    digest   over its item, its shots and how they are seen
    """

    name: str
    version: int
    item: str
    shots: tuple[Shot, ...]
    created: str
    note: str
    origin: Origin
    digest: str
    orientation: Orientation = "fixed"
    tiles: Tiles = 1

    @property
    def reference(self) -> str:
        return f"{self.name}@{self.version}"

    @property
    def views(self) -> Views:
        return Views(self.orientation, self.tiles)


@dataclass(frozen=True)
class VersionRecord:
    """What a version is besides its shots, in the order of its columns."""

    version: Number
    created: Time
    note: Note
    origin: Origin
    digest: Sha256
    orientation: Orientation
    tiles: TileCount

    @property
    def views(self) -> Views:
        return Views(self.orientation, self.tiles)


@dataclass(frozen=True)
class VersionSummary(VersionRecord):
    """A version by the number of its shots."""

    shots: int


def version_digest(item: str, sha256s: Sequence[str], views: Views = AS_THEY_ARE) -> str:
    """sha256 over the item, the identities of the shots in order, and how they are seen.

    Where they are seen as they are, as a whole, it is that of the item and the shots alone.
    """
    content: list[object] = [item, list(sha256s)]
    if views != AS_THEY_ARE:
        content += [views.orientation, views.tiles]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def has_set(db: sqlite3.Connection, name: str) -> bool:
    return db.execute("SELECT 1 FROM sets WHERE name = ?", (name,)).fetchone() is not None


def no_set(db: sqlite3.Connection, name: str) -> NotStored:
    near = meant(name, (known for (known,) in db.execute("SELECT name FROM sets")))
    return NotStored(f"there is no set {name!r}{near or '; list the sets to see their names'}")


def read_version(db: sqlite3.Connection, name: str, version: int | None) -> SetVersion:
    found = db.execute("SELECT item, latest FROM sets WHERE name = ?", (name,)).fetchone()
    if found is None:
        raise no_set(db, name)
    item, latest = found
    number = latest if version is None else version
    row = db.execute(
        "SELECT created, note, origin, digest, orientation, tiles FROM versions "
        "WHERE set_name = ? AND version = ?",
        (name, number if number <= latest else 0),  # SQLite takes no number without end
    ).fetchone()
    if row is None:
        raise NotStored(f"set {name!r} has no version {number}; the latest is {latest}")
    shots = db.execute(
        "SELECT sha256, blob, name, height, width FROM shots WHERE set_name = ? AND added <= ? "
        "AND (dropped IS NULL OR dropped > ?) ORDER BY position",
        (name, number, number),
    )
    return SetVersion(name, number, item, tuple(Shot(*shot) for shot in shots), *row)


def read_summaries(
    db: sqlite3.Connection, name: str, before: int | None, limit: int
) -> tuple[VersionSummary, ...]:
    """Versions of a set, the newest first, from the one below `before` on."""
    if not has_set(db, name):
        raise no_set(db, name)
    rows = db.execute(
        "SELECT version, created, note, origin, digest, orientation, tiles, "
        "(SELECT count(*) FROM shots "
        "WHERE shots.set_name = versions.set_name AND added <= version "
        "AND (dropped IS NULL OR dropped > version)) FROM versions "
        "WHERE set_name = ? AND (? IS NULL OR version < ?) ORDER BY version DESC LIMIT ?",
        (name, before, before, limit),
    )
    return tuple(VersionSummary(*row) for row in rows)


def last_number(db: sqlite3.Connection, name: str) -> int:
    """The highest version number that the name ever had, 0 for a new one."""
    found = db.execute("SELECT max(version) FROM numbers WHERE set_name = ?", (name,)).fetchone()
    return int(found[0] or 0)


def insert_shots(db: sqlite3.Connection, name: str, shots: Iterable[ShotRecord]) -> None:
    """Add shots behind those that a set has had."""
    (last,) = db.execute("SELECT max(position) FROM shots WHERE set_name = ?", (name,)).fetchone()
    for position, shot in enumerate(shots, start=(last or 0) + 1):
        insert(db, "shots", {"set_name": name, "position": position, **vars(shot)})


def insert_version(
    db: sqlite3.Connection, name: str, version: VersionRecord, *, again: bool = False
) -> None:
    """Add a version; `again`: its number may have been given before, to the same shots."""
    number = {"set_name": name, "version": version.version, "digest": version.digest}
    insert(db, "numbers", number, once=again)
    insert(db, "versions", {"set_name": name, **vars(version)})


def new_version(
    db: sqlite3.Connection,
    name: str,
    version: int,
    note: str,
    origin: Origin,
    views: Views,
    shots: Iterable[Shot] = (),
    moment: str | None = None,
) -> SetVersion:
    """Add `shots`, and give those that the set now has a number; `moment` None: now."""
    insert_shots(
        db, name, (ShotRecord(**vars(shot), added=version, dropped=None) for shot in shots)
    )
    moment = moment or now()
    db.execute("UPDATE sets SET latest = ?, changed = ? WHERE name = ?", (version, moment, name))
    (item,) = db.execute("SELECT item FROM sets WHERE name = ?", (name,)).fetchone()
    rows = db.execute(
        "SELECT sha256 FROM shots WHERE set_name = ? AND dropped IS NULL ORDER BY position", (name,)
    )
    present = [sha256 for (sha256,) in rows]
    if len(present) > MOST_SHOTS:
        raise UsageError(f"set {name!r} would have {len(present)} shots, over {MOST_SHOTS}")
    digest = version_digest(item, present, views)
    record = VersionRecord(version, moment, note, origin, digest, views.orientation, views.tiles)
    insert_version(db, name, record)
    return read_version(db, name, version)
