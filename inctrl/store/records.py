"""A set with all its versions as one value: what is exported, imported and compared."""

import itertools
import sqlite3
from dataclasses import dataclass
from typing import Annotated

from pydantic import FailFast

from inctrl.errors import Conflict
from inctrl.store.database import insert
from inctrl.store.names import ItemWords, SetName, Time
from inctrl.store.shots import ShotRecord
from inctrl.store.versions import (
    MOST_SHOTS,
    VersionRecord,
    insert_shots,
    insert_version,
    last_number,
    no_set,
    version_digest,
)


@dataclass(frozen=True)
class SetHead:
    """What a set is besides its versions."""

    name: SetName
    item: ItemWords
    created: Time
    changed: Time


@dataclass(frozen=True)
class SetRecord:
    """A set from its first to its latest version; the shots in the order of their coming."""

    set: SetHead
    versions: Annotated[tuple[VersionRecord, ...], FailFast()]
    shots: Annotated[tuple[ShotRecord, ...], FailFast()]

    def identities(self, version: int) -> list[str]:
        """The shots of a version, in order."""
        return [
            shot.sha256
            for shot in self.shots
            if shot.added <= version and (shot.dropped is None or shot.dropped > version)
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
                found.append(f"image {shot.name!r} is in no version")
        for version in self.versions:
            shots = self.identities(version.version)
            if not 0 < len(shots) <= MOST_SHOTS or len(set(shots)) < len(shots):
                found.append(f"version {version.version} has no shots, too many or one twice")
            elif version_digest(self.set.item, shots, version.views) != version.digest:
                found.append(f"version {version.version} is not what it was made of")
        return found


def read_record(db: sqlite3.Connection, name: str) -> SetRecord:
    """NotStored where there is no such set."""
    found = db.execute("SELECT item, created, changed FROM sets WHERE name = ?", (name,)).fetchone()
    if found is None:
        raise no_set(db, name)
    versions = db.execute(
        "SELECT version, created, note, origin, digest, orientation, tiles FROM versions "
        "WHERE set_name = ? ORDER BY version",
        (name,),
    ).fetchall()
    shots = db.execute(
        "SELECT sha256, blob, name, height, width, added, dropped FROM shots WHERE set_name = ? "
        "ORDER BY position",
        (name,),
    ).fetchall()
    return SetRecord(
        SetHead(name, *found),
        tuple(VersionRecord(*row) for row in versions),
        tuple(ShotRecord(*row) for row in shots),
    )


def write_record(db: sqlite3.Connection, record: SetRecord) -> None:
    """Insert a set that is not there, with its version numbers.

    Conflict where one of the numbers has stood for other images.
    """
    _refuse_other_meaning(db, record)
    first, latest = record.versions[0].version, record.versions[-1].version
    insert(db, "sets", {**vars(record.set), "first": first, "latest": latest})
    for version in record.versions:
        insert_version(db, record.set.name, version, again=True)
    insert_shots(db, record.set.name, record.shots)


def given_numbers(db: sqlite3.Connection, name: str) -> dict[int, str]:
    """Every version number that the name ever had, and the digest that it stands for."""
    rows = db.execute("SELECT version, digest FROM numbers WHERE set_name = ?", (name,))
    return dict(rows.fetchall())


def _refuse_other_meaning(db: sqlite3.Connection, record: SetRecord) -> None:
    name, last = record.set.name, last_number(db, record.set.name)
    given = given_numbers(db, name)
    other = [v.version for v in record.versions if given.get(v.version, v.digest) != v.digest]
    if other or last > record.versions[-1].version:
        number = other[0] if other else last
        raise Conflict(
            f"'{name}@{number}' once was another set in this store, and a version number is never "
            "given twice; import it under another name"
        )
