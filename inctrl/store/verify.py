"""Looking a store over: every hash, every reference, every version number."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from inctrl.errors import InvalidFile
from inctrl.store.records import given_numbers, read_record
from inctrl.store.store import Store

USERS = """
SELECT blob, 'image', printf('%s@%d image %s', set_name, added, name) FROM shots
UNION ALL SELECT blob, 'image', printf('%s defect %s', set_name, name) FROM feedback
  WHERE blob IS NOT NULL
UNION ALL SELECT blob, 'context', printf('%s@%d context %s', set_name, version, key) FROM contexts
"""
"""Each blob with what needs it; the version given for an image is the one that added it."""


@dataclass(frozen=True)
class Finding:
    """Something that is not as it was written."""

    kind: Literal["database", "reference", "version", "image", "context", "orphan"]
    what: str
    detail: str


def verify(store: Store) -> tuple[Finding, ...]:
    """All that is damaged or missing; nothing where the store is sound."""
    found: list[Finding] = []
    for look in (_database, _versions, _blobs):
        try:
            found.extend(look(store))
        except InvalidFile as error:  # the database cannot be read on
            found.append(Finding("database", store.database.path.name, str(error)))
    return tuple(found)


def orphans(store: Store) -> tuple[Finding, ...]:
    """Blobs that nothing names and temporary files: what `Store.sweep` removes in time.

    A write that was killed may leave them, and one under way has them for a moment: no fault.
    """
    kept = store.referenced()
    return tuple(
        Finding("orphan", path.name, "nothing names it") for path in store.blobs.orphans(kept)
    )


def _database(store: Store) -> Iterator[Finding]:
    file = store.database.path.name
    with store.database.read() as db:
        checked = db.execute("PRAGMA integrity_check").fetchall()
        dangling = db.execute("PRAGMA foreign_key_check").fetchall()
    for (line,) in checked:
        if line != "ok":
            yield Finding("database", file, str(line))
    for table, row, parent, _ in dangling:
        yield Finding("reference", f"{table} row {row}", f"what it refers to in {parent} is gone")


def _versions(store: Store) -> Iterator[Finding]:
    with store.database.read() as db:
        sets = db.execute("SELECT name, first, latest FROM sets ORDER BY name").fetchall()
        for name, first, latest in sets:
            record = read_record(db, name)
            numbers = [version.version for version in record.versions]
            faults = [f"version {n} is missing" for n in sorted({first, latest} - set(numbers))]
            for fault in (*faults, *record.faults()):
                yield Finding("version", name, fault)
            given = given_numbers(db, name)
            for version in record.versions:
                if given.get(version.version) != version.digest:
                    yield Finding(
                        "version", f"{name}@{version.version}", "its number stands for another"
                    )


def _blobs(store: Store) -> Iterator[Finding]:
    with store.database.read() as db:
        users = db.execute(USERS).fetchall()
    checked: dict[str, str] = {}
    for blob, kind, what in users:
        if blob not in checked:
            checked[blob] = _damage(store, blob)
        if checked[blob]:
            yield Finding(kind, what, checked[blob])


def _damage(store: Store, blob: str) -> str:
    """What is wrong with a blob, in words; empty where nothing is, or nobody needs it any more."""
    try:
        store.blobs.read(blob)
    except InvalidFile as error:
        return str(error) if blob in store.referenced() else ""
    return ""
