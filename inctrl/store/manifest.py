"""The manifest of an exported set: its versions, shots and feedback, as JSON.

{"format": "inctrl-normal-set", "format_version": 2, "set": {...}, "versions": [...],
 "shots": [...], "feedback": [...]}; a shot's file is images/BLOB.png or .tiff, BLOB its sha256.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, FailFast, TypeAdapter, ValidationError

from inctrl.errors import InvalidFile, UsageError
from inctrl.files.plain import document
from inctrl.store.feedback import FeedbackRow
from inctrl.store.names import HIGHEST
from inctrl.store.records import SetRecord
from inctrl.store.shots import Shot
from inctrl.views import AS_THEY_ARE

NAME = "manifest.json"
FORMAT, VERSION = "inctrl-normal-set", 2


def _seen_as_they_are(content: dict[str, Any]) -> dict[str, Any]:
    """Sets of the first format say nothing of how they are seen."""
    versions = content.get("versions")
    if isinstance(versions, list):
        views = vars(AS_THEY_ARE)
        content["versions"] = [v | views if isinstance(v, dict) else v for v in versions]
    return content


UPGRADES: Mapping[int, Callable[[dict[str, Any]], dict[str, Any]]] = {1: _seen_as_they_are}
"""From a format version to the next, for the files of former releases."""
MOST_BYTES = 64 * 10**6
MOST_WORK = 2 * 10**8
"""Versions by shots, all of which are looked at."""


def _sound(row: FeedbackRow) -> FeedbackRow:
    shot = row.shot
    if (row.kind == "defect") != (shot is not None) or (shot and shot.sha256 != row.sha256):
        raise ValueError("a confirmed defect needs its image, and nothing else has one")
    return row


@dataclass(frozen=True)
class Manifest(SetRecord):
    """What an exported file holds, besides the images themselves."""

    feedback: Annotated[
        tuple[Annotated[FeedbackRow, AfterValidator(_sound)], ...],
        FailFast(),
    ]

    @property
    def pictures(self) -> list[Shot]:
        """The shots, and the confirmed defects."""
        return [*self.shots, *(row.shot for row in self.feedback if row.shot is not None)]

    @property
    def images(self) -> dict[str, Shot]:
        """By blob: a picture of which it is the file."""
        return {shot.blob: shot for shot in self.pictures}


_CONTENT = TypeAdapter(Manifest)


def write(manifest: Manifest) -> bytes:
    return document({"format": FORMAT, "format_version": VERSION, **vars(manifest)})


def read(data: bytes, source: str) -> Manifest:
    """InvalidFile, naming the source, for what is not a manifest in every part."""
    try:
        content = json.loads(data)
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise ValueError("it is not of an exported set")
        version = content.get("format_version")
        if type(version) is not int or not 0 < version <= HIGHEST:
            raise ValueError(f"{version!a:.60} is no format version")
    except (ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise InvalidFile(f"{NAME} in {source!r} is no manifest ({reason})") from None
    if version > VERSION:
        raise InvalidFile(
            f"{source!r} was exported by a newer inctrl (format {version}, this one reads up to "
            f"{VERSION}); upgrade inctrl"
        )
    try:
        for step in range(version, VERSION):
            content = UPGRADES[step](content)
        manifest = _CONTENT.validate_python(content)
        work = len(manifest.versions) * len(manifest.shots)
        faults = ["it has too many versions"] if work > MOST_WORK else manifest.faults()
        if faults:
            raise ValueError(faults[0])
    except (ValueError, UsageError) as error:
        raise InvalidFile(f"{NAME} in {source!r} is damaged ({_reason(error)})") from None
    return manifest


def _reason(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return " ".join(str(error).split())
    first = error.errors(include_url=False)[0]
    where = ".".join(map(str, first["loc"]))
    known = {
        "missing": f"no {where!r}",
        "literal_error": f"{first['input']!a:.60} is not known here",
        "value_error": str(first.get("ctx", {}).get("error")),
        **dict.fromkeys(
            ("int_type", "greater_than", "less_than_equal"),
            f"{first['input']!a:.60} is no number from 1 on",
        ),
    }
    return " ".join(known.get(first["type"], f"{where}: {first['msg']}").split())
