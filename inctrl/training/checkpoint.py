"""The folder of a training that may be killed at any moment: its checkpoint and its log.

A file is written whole, to a temporary name, and renamed. A checkpoint names all that the result
depends on, and another training's is refused. What else lies in the folder is never touched.
"""

import contextlib
import io
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from inctrl.errors import Conflict, InvalidFile, OutputError, UsageError
from inctrl.files.lock import lock
from inctrl.files.whole import PARTIAL, write_file, writing

CHECKPOINT, LOG, LOCK, FEATURES = "checkpoint.pt", "log.jsonl", "lock", "features-"
OURS = (CHECKPOINT, LOG, LOCK, f"{CHECKPOINT}{PARTIAL}", f"{LOG}{PARTIAL}")


def open_folder(folder: Path) -> None:
    """Make the folder; OutputError where it holds anything that no training has written."""
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        foreign = [p.name for p in sorted(folder.iterdir()) if not _ours(p)]
    if foreign:
        raise OutputError(
            f"{str(folder)!r}, where a training is kept until it is done, holds {foreign[0]!r}, "
            "which no training has written; move it away, or choose another name or folder"
        )


def remove_folder(folder: Path) -> None:
    """Remove what a training has written, and the folder if nothing else lies there."""
    for path in filter(_ours, folder.iterdir()):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # it is not empty
        folder.rmdir()


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other trainings out of the folder; Conflict where one is at work there."""
    with writing(folder):
        held = lock(folder / LOCK)
    if held is None:
        raise Conflict(
            f"another training is at work in {str(folder)!r}; wait for it, or choose "
            "another name or folder"
        )
    try:
        yield
    finally:
        os.close(held)


def save(folder: Path, identity: str, step: int, states: Mapping[str, Any]) -> None:
    """`states` holds state dicts, tensors, numbers and plain containers of them.

    identity   all that the result depends on, as JSON: the hash of each part by its name
    """
    stream = io.BytesIO()
    torch.save({"states": dict(states), "step": step, "identity": identity}, stream)
    _put(folder, CHECKPOINT, stream.getvalue())


def load(folder: Path, identity: str) -> tuple[int, dict[str, Any]] | None:
    """Steps done and the states; None where none was saved, UsageError for another training's."""
    file = folder / CHECKPOINT
    if not file.is_file():
        return None
    try:
        stored = torch.load(file, map_location="cpu", weights_only=True)
        step, states, other = int(stored["step"]), stored["states"], stored["identity"]
    except Exception:  # the reader raises many types on damaged files
        raise InvalidFile(
            f"{str(file)!r} is damaged; delete {str(folder)!r} to begin anew"
        ) from None
    if other != identity:
        raise UsageError(
            f"{str(file)!r} is of a training with other settings or other data"
            f"{_differing(other, identity)}; delete the folder to begin anew, or choose another"
        )
    return step, states


def _differing(then: str, now: str) -> str:
    """The names of the parts in which two identities differ, where both have parts."""
    try:
        parts: tuple[dict[str, str], dict[str, str]] = json.loads(then), json.loads(now)
        names = [name for name, part in parts[1].items() if parts[0].get(name) != part]
    except (ValueError, TypeError, AttributeError):  # of before they had any
        return ""
    return f" ({', '.join(names)})" if names else ""


def log(folder: Path, row: Mapping[str, Any]) -> None:
    """Add a line to the log; every row has a `step`."""
    with writing(folder), (folder / LOG).open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def read_log(folder: Path) -> list[dict[str, Any]]:
    """The rows logged so far; a last line that a kill has cut is none."""
    file = folder / LOG
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    try:
        return [json.loads(line) for line in lines if line.endswith("}")]
    except ValueError:
        raise InvalidFile(
            f"{str(file)!r} is damaged; delete {str(folder)!r} to begin anew"
        ) from None


def keep_until(folder: Path, step: int) -> None:
    """Drop what was logged after the checkpoint that the training goes on from."""
    kept = [row for row in read_log(folder) if row["step"] <= step]
    _put(folder, LOG, "".join(f"{json.dumps(row)}\n" for row in kept).encode())


def _ours(path: Path) -> bool:
    return path.name in OURS or path.name.startswith(FEATURES)


def _put(folder: Path, name: str, data: bytes) -> None:
    partial = folder / f"{name}{PARTIAL}"
    with writing(folder):
        partial.unlink(missing_ok=True)  # of a killed training
        write_file(folder / name, data, durable=True, partial=partial)
