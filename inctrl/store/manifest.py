"""The manifest of an exported set: its versions, shots and feedback, as JSON.

{"format": "inctrl-normal-set", "format_version": 1, "set": {...}, "versions": [...],
 "shots": [...], "feedback": [...]}; a shot's file is images/BLOB.png or .tiff, BLOB its sha256.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, get_args

from inctrl.errors import InvalidFile, UsageError
from inctrl.files.plain import document
from inctrl.store.feedback import FeedbackRow, Kind
from inctrl.store.names import image_name, parse_name, plain_words
from inctrl.store.records import SetRecord, ShotRecord, VersionRecord
from inctrl.store.shots import Shot
from inctrl.store.versions import Origin

NAME = "manifest.json"
FORMAT, VERSION = "inctrl-normal-set", 1
UPGRADES: Mapping[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}
"""From a format version to the next, for the files of former releases."""
HIGHEST = 10**9
MOST_BYTES = 64 * 10**6
MOST_WORK = 2 * 10**8
"""Versions by shots, all of which are looked at."""
HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Manifest:
    """What an exported file holds, besides the images themselves."""

    set: SetRecord
    feedback: tuple[FeedbackRow, ...]

    @property
    def images(self) -> dict[str, Shot]:
        """By blob: a shot of which it is the file."""
        shots = [record.shot for record in self.set.shots]
        shots += [row.shot for row in self.feedback if row.shot is not None]
        return {shot.blob: shot for shot in shots}


def write(manifest: Manifest) -> bytes:
    record = manifest.set
    return document(
        {
            "format": FORMAT,
            "format_version": VERSION,
            "set": {
                "name": record.name,
                "item": record.item,
                "created": record.created,
                "changed": record.changed,
            },
            "versions": [asdict(version) for version in record.versions],
            "shots": [
                {**asdict(shot.shot), "added": shot.added, "dropped": shot.dropped}
                for shot in record.shots
            ],
            "feedback": [asdict(row) for row in manifest.feedback],
        }
    )


def read(data: bytes, source: str) -> Manifest:
    """InvalidFile, naming the source, for what is not a manifest in every part."""
    try:
        content = json.loads(data)
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise ValueError("it is not of an exported set")
        version = _number(content["format_version"])
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise InvalidFile(f"{NAME} in {source!r} is no manifest ({_reason(error)})") from None
    if version > VERSION:
        raise InvalidFile(
            f"{source!r} was exported by a newer inctrl (format {version}, this one reads up to "
            f"{VERSION}); upgrade inctrl"
        )
    try:
        for step in range(version, VERSION):
            content = UPGRADES[step](content)
        manifest = _manifest(content)
        work = len(manifest.set.versions) * len(manifest.set.shots)
        faults = ["it has too many versions"] if work > MOST_WORK else manifest.set.faults()
        if faults:
            raise ValueError(faults[0])
    except (AttributeError, KeyError, TypeError, ValueError, UsageError) as error:
        raise InvalidFile(f"{NAME} in {source!r} is damaged ({_reason(error)})") from None
    return manifest


def _manifest(content: dict[str, Any]) -> Manifest:
    about = content["set"]
    record = SetRecord(
        name=parse_name(_text(about["name"])),
        item=_words(about["item"], "item"),
        created=_time(about["created"]),
        changed=_time(about["changed"]),
        versions=tuple(_version(row) for row in content["versions"]),
        shots=tuple(
            ShotRecord(_shot(row), _number(row["added"]), _optional(row["dropped"], _number))
            for row in content["shots"]
        ),
    )
    return Manifest(record, tuple(_feedback(row, record.name) for row in content["feedback"]))


def _version(row: dict[str, Any]) -> VersionRecord:
    return VersionRecord(
        version=_number(row["version"]),
        created=_time(row["created"]),
        note=_words(row["note"], "note", 2000),
        origin=_one_of(row["origin"], get_args(Origin)),
        digest=_hash(row["digest"]),
    )


def _shot(row: dict[str, Any]) -> Shot:
    name = _text(row["name"])
    if image_name(name) != name:
        raise ValueError(f"{name!a} is no name of an image")
    return Shot(
        sha256=_hash(row["sha256"]),
        blob=_hash(row["blob"]),
        name=name,
        height=_number(row["height"]),
        width=_number(row["width"]),
    )


def _feedback(row: dict[str, Any], name: str) -> FeedbackRow:
    kind: Any = _one_of(row["kind"], get_args(Kind))
    shot = _optional(row["shot"], _shot)
    sha256 = _hash(row["sha256"])
    if (kind == "defect") != (shot is not None) or (shot and shot.sha256 != sha256):
        raise ValueError("a confirmed defect needs its image, and nothing else has one")
    return FeedbackRow(
        id=_id(row["id"]),
        set=name,
        kind=kind,
        created=_time(row["created"]),
        undone=_optional(row["undone"], _time),
        sha256=sha256,
        version_before=_optional(row["version_before"], _number),
        version_after=_optional(row["version_after"], _number),
        shot=shot,
    )


def _optional(value: Any, read_one: Callable[[Any], Any]) -> Any:
    return None if value is None else read_one(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!a:.60} is no text")
    return value


def _number(value: Any) -> int:
    if type(value) is not int or not 0 < value <= HIGHEST:
        raise ValueError(f"{value!a:.60} is no number from 1 on")
    return value


def _hash(value: Any) -> str:
    if not HASH.fullmatch(_text(value)):
        raise ValueError(f"{value!a:.80} is no sha256")
    return str(value)


def _id(value: Any) -> str:
    if not re.fullmatch("[0-9a-f]{32}", _text(value)):
        raise ValueError(f"{value!a:.60} is no id")
    return str(value)


def _time(value: Any) -> str:
    if datetime.fromisoformat(_text(value)).tzinfo is None or len(value) > 40:
        raise ValueError(f"{value!a:.60} is no time with a zone")
    return str(value)


def _words(value: Any, what: str, longest: int = 200) -> str:
    if plain_words(_text(value), what, longest) != value:
        raise ValueError(f"the {what} holds characters that are not kept")
    return str(value)


def _one_of(value: Any, known: Any) -> str:
    if value not in known:
        raise ValueError(f"{value!a:.60} is not known here")
    return str(value)


def _reason(error: Exception) -> str:
    return f"no {error}" if isinstance(error, KeyError) else " ".join(str(error).split())
