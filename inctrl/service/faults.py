"""What is wrong with a field of a request, in words that say what to send instead."""

import json
import re
from collections.abc import Mapping
from typing import Any

from inctrl.files import names
from inctrl.registry import meant

LONGEST = 80
"""Characters of what was sent that are shown."""
PERCENT = re.compile(r"(\d+(?:[.,]\d+)?)\s*%")
COMMA = re.compile(r"(-?\d*),(\d+)")
NUMBERS = ("float_parsing", "int_parsing", "float_type", "int_type", "int_from_float")


def message(found: Mapping[str, Any]) -> str:
    """Of one error as pydantic tells it, in its words where there are none better."""
    kind, given, field = found["type"], found.get("input"), found["loc"][-1]
    told = ""
    if kind == "missing":
        told = "is missing"
    elif kind == "json_invalid":
        told = f"the body is no JSON ({found['ctx']['error']}, at {field})"
    elif kind == "string_pattern_mismatch" and field in ("set", "name"):
        told = _name(str(given), reference=names.REFERENCE in str(found["ctx"]["pattern"]))
    elif kind in NUMBERS and isinstance(given, str):
        told = _whole(given) if kind.startswith("int") else _number(given)
    elif kind in ("list_type", "tuple_type"):
        told = _list(given)
    elif field == "alpha" and kind == "less_than_equal":
        told = _share(given)
    elif kind == "union_tag_invalid":
        known = re.findall("'([^']*)'", str(found["ctx"]["expected_tags"]))
        tag = str(found["ctx"]["tag"])[:LONGEST]
        told = f"unknown kind {tag!r}{meant(tag, known)} (known: {', '.join(known)})"
    elif kind == "union_tag_not_found":
        told = f"{found['ctx']['discriminator'].strip(chr(39))!r} is missing: it says which"
    words = told or str(found["msg"])
    return words.removeprefix("Value error, ")


def _name(given: str, *, reference: bool) -> str:
    if not reference and "@" in given:
        return "name the set as NAME, without @VERSION"
    more = ", or NAME@VERSION" if reference else ""
    return (
        f"{given[:LONGEST]!r} is no name of a set; use 1 to 64 of a-z 0-9 . _ - and begin with a "
        f"letter or digit{more}"
    )


def _number(given: str) -> str:
    shown = f"{given[:LONGEST]!r} is no number"
    if comma := COMMA.fullmatch(given.strip()):
        return f"{shown}; write a point: {comma[1] or 0}.{comma[2]}"
    if percent := PERCENT.fullmatch(given.strip()):
        return f"{shown}; write {float(percent[1].replace(',', '.')) / 100:g}"
    return shown


def _whole(given: str) -> str:
    return f"{given[:LONGEST]!r} is no whole number"


def _list(given: object) -> str:
    """What is no list; a single value is shown as one of it."""
    single = isinstance(given, str | int | float) and len(str(given)) < LONGEST
    return f"is no list{f'; write [{json.dumps(given)}]' if single else ''}"


def _share(given: object) -> str:
    try:
        value = float(str(given))
    except ValueError:
        return ""
    percent = f"; for {value:g} % write {value / 100:g}" if 1 <= value <= 50 else ""
    return f"{value:g} is not in (0, 0.5]{percent}"
