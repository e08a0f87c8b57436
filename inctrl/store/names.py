"""Names: of sets and files, strictly; of images and items, whatever of them is harmless."""

import re
import unicodedata
from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from inctrl.errors import UsageError
from inctrl.files import names
from inctrl.views import tiles_of

LONGEST = 200
"""Characters kept of the name of an image."""
LONGEST_NOTE = 2000
HIGHEST = 10**9


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


def _matching(pattern: str, what: str) -> AfterValidator:
    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(f"{text!a:.80} is no {what}")
        return text

    return AfterValidator(check)


def _words(what: str, longest: int) -> AfterValidator:
    def check(text: str) -> str:
        if plain_words(text, what, longest) != text:
            raise ValueError(f"the {what} holds characters that are not kept")
        return text

    return AfterValidator(check)


def _time(text: str) -> str:
    if datetime.fromisoformat(text).tzinfo is None or len(text) > 40:
        raise ValueError(f"{text!a:.60} is no time with a zone")
    return text


def _same_image_name(text: str) -> str:
    if image_name(text) != text:
        raise ValueError(f"{text!a:.80} is no name of an image")
    return text


# What the fields of a record may hold; checked where one is read from a file.
SetName = Annotated[str, AfterValidator(parse_name)]
ImageName = Annotated[str, AfterValidator(_same_image_name)]
ItemWords = Annotated[str, _words("item", LONGEST)]
Note = Annotated[str, _words("note", LONGEST_NOTE)]
Sha256 = Annotated[str, _matching(names.SHA256, "sha256")]
Id = Annotated[str, _matching(names.ID, "id")]
Time = Annotated[str, AfterValidator(_time)]
Number = Annotated[int, Field(strict=True, gt=0, le=HIGHEST)]
TileCount = Annotated[
    Annotated[int, Field(strict=True)] | Literal["auto"], AfterValidator(tiles_of)
]


def _shown(text: str) -> str:
    return ascii(text if len(text) <= 80 else f"{text[:77]}...")
