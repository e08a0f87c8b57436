"""Finished cells on disk, so that an evaluation goes on where it was stopped.

    OUT/cells/KEY.json        a cell; KEY is a hash of all that it depends on
    OUT/examples/KEY.json     its examples, if it has any, and OUT/examples/KEY-0.png, ...
    OUT/results.json, ...     written at the end

Every file is written under another name and renamed, so that it is there as a whole or not at
all, and any number of processes may work in one folder: they write the same bytes.
"""

import contextlib
import hashlib
import json
import os
import socket
import time
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from inctrl.errors import OutputError
from inctrl.evaluation.results import Cell, Example
from inctrl.files.whole import write_file, writing

VERSION = 2
CELLS, EXAMPLES, PARTS = "cells", "examples", "cells/.parts"
ABANDONED = 60
"""Seconds after which a half-written file, the work of a moment, belongs to a process long gone."""


@dataclass(frozen=True)
class Kept:
    """The folder of an evaluation.

    files   names of what is written at the end; whatever else lies there is not ours
    """

    out: Path
    files: tuple[str, ...]

    def check(self) -> None:
        """OutputError where the folder holds anything that no evaluation wrote."""
        with writing(self.out):
            if self.out.exists() and not self.out.is_dir():
                raise OutputError(f"{str(self.out)!r} is a file, not a folder; choose another")
            found = {p.name for p in self.out.iterdir()} if self.out.exists() else set()
            foreign = found - {CELLS, EXAMPLES, *self.files}
            if foreign or (found and CELLS not in found):
                raise OutputError(
                    f"{str(self.out)!r} holds {min(foreign or found)!r}, which no evaluation has "
                    "written; choose another folder"
                )

    def open(self) -> None:
        """Make the folder, after `check`."""
        self.check()
        with writing(self.out):
            for folder in (PARTS, EXAMPLES):
                (self.out / folder).mkdir(parents=True, exist_ok=True)
        self._clear()

    def read(
        self, key: str, contender: str, *, examples: bool
    ) -> tuple[Cell, tuple[Example, ...]] | None:
        """A finished cell, with its examples if they are wanted; None where anything is amiss."""
        try:
            stored = _checked(self.out / CELLS / f"{key}.json")
            shown = tuple(self._examples(key, contender)) if examples else ()
            threshold = float("inf") if stored["threshold"] is None else stored["threshold"]
            for name in ("shots", "scores", "p_values", "verdicts"):
                stored[name] = tuple(stored[name])
            return Cell(**{**stored, "threshold": threshold, "contender": contender}), shown
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write(self, key: str, cell: Cell, examples: tuple[Example, ...] | None) -> None:
        """Keep a cell; it comes last, so that a cell that is there has its examples."""
        if examples is not None:
            for i, example in enumerate(examples):
                self._put(f"{EXAMPLES}/{key}-{i}.png", example.png)
            self._put(f"{EXAMPLES}/{key}.json", _sealed([_row(e) for e in examples]))
        stored = asdict(replace(cell, contender=""))
        # JSON has no infinity.
        stored["threshold"] = cell.threshold if cell.threshold < float("inf") else None
        self._put(f"{CELLS}/{key}.json", _sealed(stored))

    def finish(self, files: Mapping[str, bytes]) -> None:
        """Write what the whole evaluation comes to."""
        for name, data in files.items():
            self._put(name, data)
        self._clear()

    def _clear(self) -> None:
        """Remove what killed processes left half-written."""
        with writing(self.out):
            for part in (self.out / PARTS).iterdir():
                with contextlib.suppress(FileNotFoundError):  # its process has just renamed it
                    if _abandoned(part):
                        part.unlink()

    def _examples(self, key: str, contender: str) -> "list[Example]":
        found = []
        for i, row in enumerate(_checked(self.out / EXAMPLES / f"{key}.json")):
            png = (self.out / EXAMPLES / f"{key}-{i}.png").read_bytes()
            if hashlib.sha256(png).hexdigest() != row.pop("sha256"):
                raise ValueError(f"example {i} of {key} is damaged")
            limit = float("inf") if row["threshold"] is None else row["threshold"]
            found.append(Example(**{**row, "threshold": limit}, contender=contender, png=png))
        return found

    def _put(self, name: str, data: bytes) -> None:
        # Its name tells the machine and the process, see _abandoned.
        part = self.out / PARTS / f"{socket.gethostname()}~{os.getpid()}~{uuid.uuid4().hex}"
        write_file(self.out / name, data, partial=part)


def _abandoned(part: Path) -> bool:
    """Whether nobody is writing a file any more: its process is gone, or it is old."""
    host, _, rest = part.name.partition("~")
    number = rest.partition("~")[0]
    # Elsewhere than on POSIX, signal 0 is no mere question.
    if os.name == "posix" and host == socket.gethostname() and number.isdigit():
        try:
            os.kill(int(number), 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
    return time.time() - part.stat().st_mtime > ABANDONED


def _row(example: Example) -> dict[str, Any]:
    row = {k: v for k, v in vars(example).items() if k not in ("png", "contender")}
    if example.threshold == float("inf"):
        row["threshold"] = None
    return {**row, "sha256": hashlib.sha256(example.png).hexdigest()}


def _sealed(content: object) -> bytes:
    """JSON with a hash of itself."""
    text = json.dumps(content, sort_keys=True)
    seal = hashlib.sha256(text.encode()).hexdigest()
    return f'{{"version": {VERSION}, "sha256": "{seal}", "content": {text}}}\n'.encode()


def _checked(path: Path) -> Any:
    """The content of a sealed file; ValueError where it is not as it was written."""
    data = path.read_bytes()
    stored = json.loads(data)
    if not isinstance(stored, dict) or _sealed(stored.get("content")) != data:
        raise ValueError(f"{path.name} is damaged")
    return stored["content"]
