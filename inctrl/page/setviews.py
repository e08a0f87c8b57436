"""Sets of the store as pieces of the page."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from inctrl.images import develop, shared_window
from inctrl.page.html import render
from inctrl.reporting.pictures import thumbnail
from inctrl.reporting.words import plural
from inctrl.store import SetVersion, Shot, Store, Summary
from inctrl.store.verify import Finding

LISTED = 1000
"""Sets that a list shows."""
MOST_SHOWN = 24
"""Images of a version that are shown; decoding thousands would keep a person waiting."""
MOST_VERSIONS = 200
"""The newest versions are shown and can be compared."""


@dataclass(frozen=True)
class Small:
    """A shot and a data URI of it."""

    name: str
    picture: str


def set_html(store: Store, name: str | None) -> str:
    """A set at its latest version, with its history; words of what to do where there is none."""
    if not name:
        return render("noset")
    latest = store.sets.get(name)
    return render(
        "set",
        latest=latest,
        shots=small(store, latest, latest.shots),
        versions=store.sets.log(name, limit=MOST_VERSIONS),
        most=MOST_VERSIONS,
        feedback=store.feedback.newest(name, limit=MOST_SHOWN),
    )


def difference_html(store: Store, name: str | None, before: int | None, after: int | None) -> str:
    """What came and what went between two versions, in pictures."""
    if not name or before is None or after is None:
        return ""
    found = store.sets.diff(name, before, after)
    old, new = store.sets.get(name, before), store.sets.get(name, after)
    return render(
        "difference",
        before=old,
        after=new,
        kept=len(found.kept),
        added=small(store, new, found.added),
        removed=small(store, old, found.removed),
        more_added=max(0, len(found.added) - MOST_SHOWN),
        more_removed=max(0, len(found.removed) - MOST_SHOWN),
    )


def verify_html(faults: Sequence[Finding], orphans: Sequence[Finding]) -> str:
    """Whether every byte is as it was written."""
    return render("verified", faults=faults, loose=len(orphans))


def small(store: Store, version: SetVersion, shots: Sequence[Shot]) -> list[Small]:
    """Some images of a version, the first of them, in one brightness window."""
    some = replace(version, shots=tuple(shots[:MOST_SHOWN]))
    pictures = store.sets.pictures(some)
    window = shared_window(pictures)
    return [Small(p.name, thumbnail(develop(p, window))) for p in pictures]


def numbers(store: Store, name: str | None) -> list[tuple[str, int]]:
    """Label and number of each version, the newest first."""
    if not name:
        return []
    found = store.sets.log(name, limit=MOST_VERSIONS)
    return [(f"@{one.version}  ({one.shots} images)", one.version) for one in found]


def set_choices(store: Store) -> list[tuple[str, str]]:
    """Label and name of every set, by name."""
    return [(_label(one), one.name) for one in store.sets.list(limit=LISTED)]


def _label(one: Summary) -> str:
    about = (f"version {one.version}", plural(one.shots, "image"), one.views.brief)
    return f"{one.name}  ({', '.join(filter(None, about))})"
