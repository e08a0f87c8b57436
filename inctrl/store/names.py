"""Names: of sets and files, strictly; of images and items, whatever of them is harmless."""

import re
import unicodedata

from inctrl.errors import UsageError
from inctrl.files import names

LONGEST = 200
"""Characters kept of the name of an image."""


def parse_name(text: str) -> str:
    """The name of a set, or UsageError."""
    if not re.fullmatch(names.SET, text):
        raise UsageError(
            f"{_shown(text)} is no name of a set; use 1 to 64 of a-z 0-9 . _ - and begin with a "
            "letter or digit"
        )
    return text


def parse_reference(text: str) -> tuple[str, int | None]:
    """`bottle` -> ("bottle", None), the latest version; `bottle@3` -> ("bottle", 3)."""
    name, at, version = text.partition("@")
    if not at:
        return parse_name(name), None
    digits = version.isascii() and version.isdigit() and len(version) < 10
    if not digits or int(version) < 1:
        raise UsageError(f"{_shown(text)} is not NAME@VERSION with a version from 1 on")
    return parse_name(name), int(version)


def image_name(text: str) -> str:
    """The base name without what no terminal or page should show, at most 200 characters."""
    base = re.split(r"[/\\]", text)[-1]
    kept = "".join(c for c in base if unicodedata.category(c)[0] != "C" and c not in "\u2028\u2029")
    return kept.strip()[:LONGEST].strip() or "image"


def plain_words(text: str, what: str, longest: int = LONGEST) -> str:
    """Words for people, on one line; UsageError where there are too many."""
    spaced = "".join(" " if unicodedata.category(c)[0] in "CZ" else c for c in text)
    words = " ".join(spaced.split())
    if len(words) > longest:
        raise UsageError(f"the {what} has {len(words)} characters; at most {longest} are kept")
    return words


def _shown(text: str) -> str:
    return ascii(text if len(text) <= 80 else f"{text[:77]}...")
