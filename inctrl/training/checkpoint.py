"""Checkpoints and logs of a training that may be killed at any moment.

A checkpoint is written whole, to a temporary name, and renamed. It names all that the result
depends on, and another training's is refused.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from inctrl.errors import UsageError

CHECKPOINT, LOG = "checkpoint.pt", "log.jsonl"


def save(folder: Path, identity: str, step: int, states: Mapping[str, Any]) -> None:
    """`states` holds state dicts, tensors, numbers and plain containers of them."""
    partial = folder / f"{CHECKPOINT}.partial"
    torch.save({"states": dict(states), "step": step, "identity": identity}, partial)
    partial.replace(folder / CHECKPOINT)


def load(folder: Path, identity: str) -> tuple[int, dict[str, Any]] | None:
    """Steps done and the states; None where none was saved, UsageError for another training's."""
    file = folder / CHECKPOINT
    if not file.is_file():
        return None
    stored = torch.load(file, map_location="cpu", weights_only=True)
    if stored["identity"] != identity:
        raise UsageError(
            f"{str(file)!r} is of a training with other settings or other data; "
            "delete the folder to begin anew, or choose another"
        )
    return int(stored["step"]), stored["states"]


def log(folder: Path, row: Mapping[str, Any]) -> None:
    """Add a line to the log; every row has a `step`."""
    with (folder / LOG).open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def read_log(folder: Path) -> list[dict[str, Any]]:
    """The rows logged so far; a line that a kill has cut is none."""
    file = folder / LOG
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    return [json.loads(line) for line in lines if line.endswith("}")]


def keep_until(folder: Path, step: int) -> None:
    """Drop what was logged after the checkpoint that the training goes on from."""
    kept = [row for row in read_log(folder) if row["step"] <= step]
    text = "".join(f"{json.dumps(row)}\n" for row in kept)
    (folder / LOG).write_text(text, encoding="utf-8")
