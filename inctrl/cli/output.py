"""What commands print, and the folder they write to where none is given.

A reader that leaves early (`| head`) and a stream that was closed (`>&-`) end no run.
"""

import contextlib
import io
import itertools
import json
import os
import sys
from pathlib import Path
from typing import IO, Any

from inctrl.files.whole import PARTIAL


class Lasting(io.FileIO):
    """What is written once nobody reads any more goes nowhere."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            to_nowhere(self.fileno())
            return super().write(data)


def prepare_streams() -> None:
    """Let no stream fail: not closed, not without a reader, not for a name it cannot encode."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        stream = getattr(sys, name)
        if stream is None:  # Python found it closed, and the next file opened would take its place
            to_nowhere(number)
        if number and (stream is None or _has_file(stream)):
            raw = io.BufferedWriter(Lasting(number, "wb", closefd=False))
            encoding = stream.encoding if stream else "utf-8"
            by_line = name == "stderr" or os.isatty(number)
            fresh = io.TextIOWrapper(raw, encoding, "backslashreplace", line_buffering=by_line)
            setattr(sys, name, fresh)


def flush_streams() -> None:
    """Before the end; what cannot be written was told, or nobody is there to be told."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            to_nowhere(stream.fileno())


def to_nowhere(number: int) -> None:
    """Let a descriptor, open or not, swallow what is written."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    if nowhere != number:
        os.dup2(nowhere, number)
        os.close(nowhere)


def say(text: str) -> None:
    """Write to stdout, at once."""
    sys.stdout.write(text)
    sys.stdout.flush()


def say_json(document: Any) -> None:
    """Escaped to ASCII, which every terminal and pipe can carry."""
    say(json.dumps(document, indent=1) + "\n")


def next_free(folder: Path) -> Path:
    """FOLDER-1, or the first number that no run has taken."""
    numbered = (folder.with_name(f"{folder.name}-{number}") for number in itertools.count(1))
    return next(
        free
        for free in numbered
        if not free.exists() and not free.with_name(f"{free.name}{PARTIAL}").exists()
    )


def _has_file(stream: IO[str]) -> bool:
    with contextlib.suppress(OSError):
        return stream.fileno() >= 0
    return False
