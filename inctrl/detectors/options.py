"""Options of detectors: from names and values as users give them to a checked dataclass."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

from inctrl.errors import UsageError
from inctrl.registry import unknown

OptionsT = TypeVar("OptionsT")
SWITCH = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False}


def parse_options(kind: type[OptionsT], given: Mapping[str, Any], owner: str) -> OptionsT:
    """An options dataclass from names and values, each checked and brought to its type."""
    types: dict[str, type] = {f.name: type(f.default) for f in fields(kind)}  # type: ignore[arg-type]
    parsed: dict[str, Any] = {}
    for name, found in given.items():
        value = str(found)
        if name not in types:
            raise unknown(name, types, f"option of {owner}")
        wanted = types[name]
        try:
            parsed[name] = SWITCH[value.lower()] if wanted is bool else wanted(value)
        except (TypeError, ValueError, KeyError):
            kinds = "true or false" if wanted is bool else f"a {wanted.__name__}"
            raise UsageError(f"option {name}={value!r} of {owner} is not {kinds}") from None
    return kind(**parsed)


def refuse_outside(
    name: str, value: float, low: float, high: float, *, open_low: bool = False
) -> None:
    """UsageError where an option does not lie in [low, high], or (low, high]."""
    inside = low < value <= high if open_low else low <= value <= high
    if not inside:
        bracket = "(" if open_low else "["
        raise UsageError(f"option {name}={value:g} is not in {bracket}{low:g}, {high:g}]")


def refuse_unlisted(name: str, value: str, known: tuple[str, ...]) -> None:
    """UsageError where an option is none of the known words."""
    if value not in known:
        raise unknown(value, known, name)
