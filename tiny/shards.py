"""Captioned images: `captions.jsonl` and, beside it, ZIP shards or folders with the images.

A record names its shard (a ZIP file or a folder) and the file in it, its captions, its source,
and a label where it has one.
"""

import hashlib
import json
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from inctrl.decoding import open_image
from inctrl.errors import UsageError
from inctrl.images import Image

CAPTIONS = "captions.jsonl"
FREE = ("caltech101", "ambientcg", "cocomini")
"""Sources whose terms allow releasing weights trained on them; the others serve evaluation."""


@dataclass(frozen=True)
class Captioned:
    """One image of a shard, what is said of it, and whether it may train released weights."""

    shard: str
    file: str
    source: str
    captions: tuple[str, ...]
    label: str | None
    free: bool

    @property
    def name(self) -> str:
        return f"{self.shard}/{self.file}"


def read_records(folder: Path, sources: Iterable[str] = FREE) -> list[Captioned]:
    """The records of a folder in file order; UsageError names what is missing or malformed.

    sources    those that may be trained on
    """
    path, free = folder / CAPTIONS, frozenset(sources)
    try:
        with path.open(encoding="utf-8") as file:
            lines = list(file)  # `splitlines` would also cut at separators that JSON may hold
    except OSError as error:
        raise UsageError(f"{str(path)!r} cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{str(path)!r} cannot be read (not UTF-8: {error.reason})") from None
    records = []
    for number, line in enumerate(lines, 1):
        try:
            stored = json.loads(line)
            if isinstance(stored["captions"], str):
                raise TypeError("captions must be a list")
            record = Captioned(
                shard=stored["shard"],
                file=stored["file"],
                source=stored["source"],
                captions=tuple(map(str, stored["captions"])),
                label=stored.get("label") or None,
                free=stored["source"] in free,
            )
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{str(path)!r}, line {number}: no record ({error})") from None
        records.append(record)
    return records


def read_images(folder: Path, records: Iterable[Captioned]) -> Iterator[Image]:
    """The images of the records in their order; each shard is opened once."""
    archives: dict[str, zipfile.ZipFile] = {}
    with ExitStack() as stack:
        for record in records:
            shard = folder / record.shard
            try:
                if shard.is_dir():
                    yield open_image(shard / record.file, record.name)
                    continue
                if record.shard not in archives:
                    archives[record.shard] = stack.enter_context(zipfile.ZipFile(shard))
                stored = archives[record.shard].read(record.file)
            except (OSError, KeyError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
                raise UsageError(
                    f"{record.file!r} cannot be read from {str(shard)!r} ({error})"
                ) from None
            yield open_image(stored, record.name)


def share(name: str, salt: str = "") -> float:
    """A number in [0, 1) that belongs to a name: the same on every machine and in every run."""
    digest = hashlib.sha256(f"{salt}:{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def held_out_names(names: Iterable[str], count: int, salt: str) -> frozenset[str]:
    """`count` of the names, chosen by `share`."""
    return frozenset(sorted(set(names), key=lambda name: share(name, salt))[:count])
