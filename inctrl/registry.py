"""Looking a name up in a visible table, with help when it is not there."""

import difflib
from collections.abc import Iterable, Mapping
from importlib.metadata import entry_points
from typing import TypeVar, cast

from inctrl.errors import UsageError

T = TypeVar("T")


def lookup(table: Mapping[str, T], name: str, kind: str) -> T:
    """The entry called `name`; UsageError with the nearest name and the whole list otherwise."""
    if name in table:
        return table[name]
    raise unknown(name, table, kind)


def unknown(name: str, names: Iterable[str], kind: str) -> UsageError:
    """The error for a name that no table has."""
    known = sorted(names)
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    listed = ", ".join(known) or "none"
    return UsageError(f"unknown {kind} {name!r}{hint} (known: {listed})")


def lookup_extended(table: Mapping[str, T], group: str, name: str, kind: str) -> T:
    """`lookup` in the table, then among what installed packages add under the entry-point group.

    Only the one asked for is loaded, so that a broken package breaks nothing else.
    """
    outside = {point.name: point for point in entry_points(group=group)}
    if name in table or name not in outside:
        return lookup({**dict.fromkeys(outside), **table}, name, kind)  # type: ignore[return-value]
    return cast(T, outside[name].load())
