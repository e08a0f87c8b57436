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


def with_entry_points(table: Mapping[str, T], group: str) -> dict[str, T]:
    """The table, and what installed packages add to it under the entry-point group.

    Ours win over outsiders of the same name.
    """
    outside = {point.name: cast(T, point.load()) for point in entry_points(group=group)}
    return {**outside, **table}
