"""Normal sets: named, in numbered versions that never change."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from inctrl.errors import Conflict, NotStored, UsageError
from inctrl.files.recent import Recent
from inctrl.images import Picture, Window, shared_window
from inctrl.store.blobs import Blobs
from inctrl.store.database import Database, insert, now
from inctrl.store.names import LONGEST_NOTE, parse_name, plain_words
from inctrl.store.shots import KeptShots, Shot, hold, keep, picture_of
from inctrl.store.versions import (
    Origin,
    SetVersion,
    VersionSummary,
    has_set,
    last_number,
    new_version,
    no_set,
    read_summaries,
    read_version,
)
from inctrl.views import AS_THEY_ARE, Orientation, Tiles, Views

WINDOWS = 256
"""Versions whose brightness windows stay in memory."""


@dataclass(frozen=True)
class Summary:
    """A set at its latest version."""

    name: str
    item: str
    version: int
    shots: int
    created: str
    changed: str
    orientation: Orientation
    tiles: Tiles

    @property
    def views(self) -> Views:
        return Views(self.orientation, self.tiles)


@dataclass(frozen=True)
class Difference:
    """What one version has and another has not."""

    added: tuple[Shot, ...]
    removed: tuple[Shot, ...]
    kept: tuple[Shot, ...]


class NormalSets:
    """The normal sets of a store."""

    def __init__(self, database: Database, blobs: Blobs) -> None:
        self._database = database
        self._blobs = blobs
        self._windows = Recent[Window | None](WINDOWS)

    def keep(self, pictures: Iterable[Picture]) -> KeptShots:
        """Write images that `create` and `add` then take: the slow part, without any lock.

        Who calls those inside of a transaction keeps the images before it.
        """
        return keep(self._blobs, pictures)

    def create(
        self,
        name: str,
        pictures: Iterable[Picture] | KeptShots,
        *,
        item: str = "object",
        note: str = "",
        views: Views = AS_THEY_ARE,
    ) -> SetVersion:
        """A new set; equal images count once. Conflict where there is one of this name."""
        parse_name(name)
        item = plain_words(item, "item") or "object"
        note = plain_words(note, "note", LONGEST_NOTE)
        self._refuse_taken(name)  # before the work; again below
        kept = self._kept(pictures)
        if not kept:
            raise UsageError(f"set {name!r} needs at least one normal image")
        with self._database.transaction() as db:
            self._refuse_taken(name)
            hold(self._blobs, kept)
            moment, version = now(), last_number(db, name) + 1
            row = {"name": name, "item": item, "first": version, "latest": version}
            insert(db, "sets", {**row, "created": moment, "changed": moment})
            return new_version(db, name, version, note, "create", views, kept, moment)

    def add(
        self,
        name: str,
        pictures: Iterable[Picture] | KeptShots,
        *,
        note: str = "",
        origin: Origin = "add",
        base: int | None = None,
    ) -> SetVersion:
        """A new version with more shots, or the latest where it has them all.

        base    the version that the caller takes for the latest; Conflict where it is not
        """
        note = plain_words(note, "note", LONGEST_NOTE)
        self.get(name)
        kept = self._kept(pictures)
        with self._database.transaction() as db:
            latest = self._latest(name, base)
            known = {shot.sha256 for shot in latest.shots}
            new = tuple(shot for shot in kept if shot.sha256 not in known)
            if not new:
                return latest
            hold(self._blobs, kept)
            return new_version(db, name, latest.version + 1, note, origin, latest.views, new)

    def drop(
        self,
        name: str,
        sha256s: Collection[str],
        *,
        note: str = "",
        origin: Origin = "drop",
        base: int | None = None,
    ) -> SetVersion:
        """A new version without these shots; the last shot of a set stays."""
        note = plain_words(note, "note", LONGEST_NOTE)
        gone = set(sha256s)
        with self._database.transaction() as db:
            latest = self._latest(name, base)
            known = {shot.sha256 for shot in latest.shots}
            if not gone:
                return latest
            if gone - known:
                raise NotStored(f"{latest.reference!r} has no shot {min(gone - known)!r}")
            if gone == known:
                raise UsageError(
                    f"these are all the shots of {name!r}, and one must stay; "
                    "remove the set instead"
                )
            version = latest.version + 1
            db.executemany(
                "UPDATE shots SET dropped = ? WHERE set_name = ? AND sha256 = ? "
                "AND dropped IS NULL",
                [(version, name, sha256) for sha256 in sorted(gone)],
            )
            return new_version(db, name, version, note, origin, latest.views)

    def change(
        self,
        name: str,
        *,
        orientation: Orientation | None = None,
        tiles: Tiles | None = None,
        note: str = "",
        base: int | None = None,
    ) -> SetVersion:
        """A new version that is seen in another way, or the latest where it is seen so already."""
        note = plain_words(note, "note", LONGEST_NOTE)
        with self._database.transaction() as db:
            latest = self._latest(name, base)
            views = Views(orientation or latest.orientation, tiles or latest.tiles)
            if views == latest.views:
                return latest
            return new_version(db, name, latest.version + 1, note, "change", views)

    def get(self, name: str, version: int | None = None) -> SetVersion:
        """A version, the latest by default; NotStored where there is none."""
        with self._database.read() as db:
            return read_version(db, parse_name(name), version)

    def versions(self, name: str) -> tuple[SetVersion, ...]:
        """All versions, the oldest first."""
        with self._database.read() as db:
            rows = read_summaries(db, parse_name(name), None, -1)
            return tuple(read_version(db, name, row.version) for row in reversed(rows))

    def log(
        self, name: str, before: int | None = None, limit: int = 50
    ) -> tuple[VersionSummary, ...]:
        """The versions, the newest first, without their shots; from the one below `before` on."""
        with self._database.read() as db:
            return read_summaries(db, parse_name(name), before, limit)

    def diff(self, name: str, a: int, b: int) -> Difference:
        """What version b has more than a, less, and both."""
        with self._database.read() as db:
            before, after = (read_version(db, parse_name(name), v).shots for v in (a, b))
        old, new = ({shot.sha256 for shot in shots} for shots in (before, after))
        return Difference(
            added=tuple(shot for shot in after if shot.sha256 not in old),
            removed=tuple(shot for shot in before if shot.sha256 not in new),
            kept=tuple(shot for shot in after if shot.sha256 in old),
        )

    def remove(self, name: str) -> None:
        """Remove a set with its versions, contexts and feedback; scores in the history stay.

        Its version numbers are never given again.
        """
        with self._database.transaction() as db:
            if not db.execute("DELETE FROM sets WHERE name = ?", (parse_name(name),)).rowcount:
                raise no_set(db, name)

    def pictures(self, version: SetVersion) -> list[Picture]:
        """The shots decoded; InvalidFile, naming the first that is damaged."""
        return [self._picture(version, shot) for shot in version.shots]

    def picture(self, version: SetVersion, sha256: str) -> Picture:
        """One of the shots decoded; NotStored where the version has none such."""
        for shot in version.shots:
            if shot.sha256 == sha256:
                return self._picture(version, shot)
        raise NotStored(f"{version.reference!r} has no shot {sha256!r}")

    def window(self, version: SetVersion) -> Window | None:
        """The brightness window of a version's deep shots; worked out once, one by one."""
        pictures = (self._picture(version, shot) for shot in version.shots)
        return self._windows.get(version.digest, lambda: shared_window(pictures))

    def _picture(self, version: SetVersion, shot: Shot) -> Picture:
        return picture_of(self._blobs, shot, repr(version.reference))

    def _kept(self, pictures: Iterable[Picture] | KeptShots) -> tuple[Shot, ...]:
        return (pictures if isinstance(pictures, KeptShots) else self.keep(pictures)).shots

    def _latest(self, name: str, base: int | None) -> SetVersion:
        latest = self.get(name)
        if base is not None and base != latest.version:
            raise Conflict(
                f"set {name!r} is at version {latest.version} by now, not {base}; look at it again"
            )
        return latest

    def _refuse_taken(self, name: str) -> None:
        with self._database.read() as db:
            if has_set(db, name):
                raise Conflict(f"there is a set {name!r} already; add to it, or choose a new name")

    def list(self, after: str = "", limit: int = 50) -> tuple[Summary, ...]:
        """Sets by name, from the one behind `after` on."""
        with self._database.read() as db:
            rows = db.execute(
                "SELECT name, item, latest, (SELECT count(*) FROM shots WHERE set_name = sets.name "
                "AND dropped IS NULL), sets.created, changed, orientation, tiles FROM sets "
                "JOIN versions ON set_name = name AND version = latest WHERE name > ? "
                "ORDER BY name LIMIT ?",
                (after, limit),
            )
            return tuple(Summary(*row) for row in rows)
