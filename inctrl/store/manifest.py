"""The manifest of an exported set: its versions, shots and feedback, as JSON.

{"format": "inctrl-normal-set", "format_version": 1, "set": {...}, "versions": [...],
 "shots": [...], "feedback": [...]}; a shot's file is images/BLOB.png or .tiff, BLOB its sha256.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, FailFast, Field, ValidationError, model_validator

from inctrl.errors import InvalidFile, UsageError
from inctrl.files.names import ID, SHA256
from inctrl.files.plain import document
from inctrl.store.feedback import FeedbackRow, Kind
from inctrl.store.names import image_name, parse_name, plain_words
from inctrl.store.records import SetRecord, ShotRecord, VersionRecord
from inctrl.store.shots import Shot
from inctrl.store.versions import LONGEST_NOTE, Origin

NAME = "manifest.json"
FORMAT, VERSION = "inctrl-normal-set", 1
UPGRADES: Mapping[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}
"""From a format version to the next, for the files of former releases."""
HIGHEST = 10**9
MOST_BYTES = 64 * 10**6
MOST_WORK = 2 * 10**8
"""Versions by shots, all of which are looked at."""


def _pattern(pattern: str, what: str) -> AfterValidator:
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


def _image_name(text: str) -> str:
    if image_name(text) != text:
        raise ValueError(f"{text!a:.80} is no name of an image")
    return text


Number = Annotated[int, Field(strict=True, gt=0, le=HIGHEST)]
Sha256 = Annotated[str, _pattern(SHA256, "sha256")]
Time = Annotated[str, AfterValidator(_time)]


class _Set(BaseModel):
    name: Annotated[str, AfterValidator(parse_name)]
    item: Annotated[str, _words("item", 200)]
    created: Time
    changed: Time


class _Version(BaseModel):
    version: Number
    created: Time
    note: Annotated[str, _words("note", LONGEST_NOTE)]
    origin: Origin
    digest: Sha256


class _Shot(BaseModel):
    sha256: Sha256
    blob: Sha256
    name: Annotated[str, AfterValidator(_image_name)]
    height: Number
    width: Number


class _SetShot(_Shot):
    added: Number
    dropped: Number | None


class _Feedback(BaseModel):
    id: Annotated[str, _pattern(ID, "id")]
    kind: Kind
    created: Time
    undone: Time | None
    sha256: Sha256
    version_before: Number | None
    version_after: Number | None
    shot: _Shot | None

    @model_validator(mode="after")
    def _defects_alone_have_images(self) -> "_Feedback":
        shot = self.shot
        if (self.kind == "defect") != (shot is not None) or (shot and shot.sha256 != self.sha256):
            raise ValueError("a confirmed defect needs its image, and nothing else has one")
        return self


class _Content(BaseModel):
    """What a manifest holds besides its format; a list is read up to its first fault."""

    set: _Set
    versions: Annotated[list[_Version], FailFast()]
    shots: Annotated[list[_SetShot], FailFast()]
    feedback: Annotated[list[_Feedback], FailFast()]

    def manifest(self) -> "Manifest":
        record = SetRecord(
            **dict(self.set),
            versions=tuple(VersionRecord(**dict(row)) for row in self.versions),
            shots=tuple(ShotRecord(_shot(row), row.added, row.dropped) for row in self.shots),
        )
        rows = (
            FeedbackRow(**{**dict(row), "set": record.name, "shot": row.shot and _shot(row.shot)})
            for row in self.feedback
        )
        return Manifest(record, tuple(rows))


def _shot(row: _Shot) -> Shot:
    return Shot(row.sha256, row.blob, row.name, row.height, row.width)


@dataclass(frozen=True)
class Manifest:
    """What an exported file holds, besides the images themselves."""

    set: SetRecord
    feedback: tuple[FeedbackRow, ...]

    @property
    def shots(self) -> list[Shot]:
        """Those of the versions, and the confirmed defects."""
        defects = [row.shot for row in self.feedback if row.shot is not None]
        return [record.shot for record in self.set.shots] + defects

    @property
    def images(self) -> dict[str, Shot]:
        """By blob: a shot of which it is the file."""
        return {shot.blob: shot for shot in self.shots}


def write(manifest: Manifest) -> bytes:
    record = manifest.set
    return document(
        {
            "format": FORMAT,
            "format_version": VERSION,
            "set": {name: getattr(record, name) for name in _Set.model_fields},
            "versions": record.versions,
            "shots": [
                {**vars(shot.shot), "added": shot.added, "dropped": shot.dropped}
                for shot in record.shots
            ],
            "feedback": manifest.feedback,
        }
    )


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
        manifest = _Content.model_validate(content).manifest()
        work = len(manifest.set.versions) * len(manifest.set.shots)
        faults = ["it has too many versions"] if work > MOST_WORK else manifest.set.faults()
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
