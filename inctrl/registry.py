"""Looking a name up in a visible table, with help when it is not there."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import entry_points
from typing import TypeVar, cast

from inctrl.errors import UsageError

T = TypeVar("T")
MOST = 30
"""Names that an error lists before it only counts them."""
LEAST = 4
"""Letters from which a part of a name is taken to mean it."""


def lookup(table: Mapping[str, T], name: str, kind: str) -> T:
    """The entry called `name`; UsageError with the nearest name and the whole list otherwise."""
    if name in table:
        return table[name]
    raise unknown(name, table, kind)


def unknown(name: str, names: Iterable[str], kind: str) -> UsageError:
    """The error for a name that no table has."""
    known = sorted(names)
    return UsageError(f"unknown {kind} {name!r}{meant(name, known)} (known: {listed(known)})")


def meant(name: str, names: Iterable[str]) -> str:
    """'; did you mean NAME?' with the nearest of the names; empty where none is near."""
    near = nearest(name, names)
    return "" if near is None else f"; did you mean {near!r}?"


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The name that was probably meant, in whatever case it was written."""
    known = {one.casefold(): one for one in sorted(names, reverse=True)}
    wanted = name.casefold()
    if wanted in known:
        return known[wanted]
    swapped = [one for one in known if sorted(one) == sorted(wanted)]
    near = swapped or difflib.get_close_matches(wanted, known, n=1)
    parts = [one for one in known if len(wanted) >= LEAST and wanted in one]
    found = [*near, *(parts if len(parts) == 1 else ())]
    return known[found[0]] if found else None


def listed(names: Sequence[str]) -> str:
    """The names in one line; of very many the first."""
    more = f" and {len(names) - MOST} more" if len(names) > MOST else ""
    return ", ".join(names[:MOST]) + more or "none"


def lookup_extended(table: Mapping[str, T], group: str, name: str, kind: str) -> T:
    """`lookup` in the table, then among what installed packages add under the entry-point group.

    Only the one asked for is loaded, so that a broken package breaks nothing else.
    """
    outside = {point.name: point for point in entry_points(group=group)}
    if name in table or name not in outside:
        return lookup({**dict.fromkeys(outside), **table}, name, kind)  # type: ignore[return-value]
    return cast(T, outside[name].load())
