"""A set with all its versions as one value: what is exported, imported and compared."""

import itertools
import sqlite3
from dataclasses import dataclass
from typing import Any

from inctrl.errors import Conflict
from inctrl.store.shots import Shot
from inctrl.store.versions import MOST_SHOTS, last_number, no_set, version_digest


@dataclass(frozen=True)
class VersionRecord:
    """What a version is besides its shots, in the order of its columns."""

    version: int
    created: str
    note: str
    origin: str
    digest: str


@dataclass(frozen=True)
class ShotRecord:
    """A shot, the version that added it and the one that dropped it, if any did."""

    shot: Shot
    added: int
    dropped: int | None


@dataclass(frozen=True)
class SetRecord:
    """A set from its first to its latest version; the shots in the order of their coming."""

    name: str
    item: str
    created: str
    changed: str
    versions: tuple[VersionRecord, ...]
    shots: tuple[ShotRecord, ...]

    def identities(self, version: int) -> list[str]:
        """The shots of a version, in order."""
        return [
            record.shot.sha256
            for record in self.shots
            if record.added <= version and (record.dropped is None or record.dropped > version)
        ]

    def faults(self) -> list[str]:
        """What is wrong with it: a number left out, a version that is not what it was made of."""
        numbers = [version.version for version in self.versions]
        if not numbers:
            return ["it has no version"]
        found = [
            f"version {before + 1} is missing"
            for before, after in itertools.pairwise(numbers)
            if after != before + 1
        ]
        first, last = numbers[0], numbers[-1]
        for shot in self.shots:
            end = last + 1 if shot.dropped is None else min(shot.dropped, last)
            if not first <= shot.added < end:
                found.append(f"image {shot.shot.name!r} is in no version")
        for version in self.versions:
            shots = self.identities(version.version)
            if not 0 < len(shots) <= MOST_SHOTS or len(set(shots)) < len(shots):
                found.append(f"version {version.version} has no shots, too many or one twice")
            elif version_digest(self.item, shots) != version.digest:
                found.append(f"version {version.version} is not what it was made of")
        return found


def read_record(db: sqlite3.Connection, name: str) -> SetRecord:
    """NotStored where there is no such set."""
    found = db.execute("SELECT item, created, changed FROM sets WHERE name = ?", (name,)).fetchone()
    if found is None:
        raise no_set(name)
    versions = db.execute(
        "SELECT version, created, note, origin, digest FROM versions WHERE set_name = ? "
        "ORDER BY version",
        (name,),
    ).fetchall()
    shots = db.execute(
        "SELECT sha256, blob, name, height, width, added, dropped FROM shots WHERE set_name = ? "
        "ORDER BY position",
        (name,),
    ).fetchall()
    item, created, changed = found
    return SetRecord(
        name,
        item,
        created,
        changed,
        tuple(VersionRecord(*row) for row in versions),
        tuple(ShotRecord(Shot(*row[:5]), *row[5:]) for row in shots),
    )


def write_record(db: sqlite3.Connection, record: SetRecord) -> None:
    """Insert a set that is not there, with its version numbers.

    Conflict where one of the numbers has stood for other images.
    """
    _refuse_other_meaning(db, record)
    name, first, latest = record.name, record.versions[0].version, record.versions[-1].version
    db.execute(
        "INSERT INTO sets (name, item, first, latest, created, changed) VALUES (?, ?, ?, ?, ?, ?)",
        (name, record.item, first, latest, record.created, record.changed),
    )
    db.executemany(
        "INSERT INTO versions (set_name, version, created, note, origin, digest) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        [(name, *vars(v).values()) for v in record.versions],
    )
    db.executemany(
        "INSERT OR IGNORE INTO numbers VALUES (?, ?, ?)",
        [(name, v.version, v.digest) for v in record.versions],
    )
    db.executemany(
        "INSERT INTO shots (set_name, position, sha256, blob, name, height, width, added, dropped) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (name, i, *vars(s.shot).values(), s.added, s.dropped)
            for i, s in enumerate(record.shots, start=1)
        ],
    )


def _refuse_other_meaning(db: sqlite3.Connection, record: SetRecord) -> None:
    given: dict[Any, Any] = dict(
        db.execute("SELECT version, digest FROM numbers WHERE set_name = ?", (record.name,))
    )
    other = [v.version for v in record.versions if given.get(v.version, v.digest) != v.digest]
    if other or last_number(db, record.name) > record.versions[-1].version:
        number = other[0] if other else last_number(db, record.name)
        raise Conflict(
            f"'{record.name}@{number}' once was another set in this store, and a version number "
            "is never given twice; import it under another name"
        )
