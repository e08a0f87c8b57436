"""A fitted inspector on disk: prepared once, used on any machine with the same backbone.

DIR/context.json          identity, calibration, names of the shots
DIR/context.safetensors   the detector's context
DIR/shots/0000.png        the shots, for the evidence
"""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import PIL.Image
import safetensors.torch

from inctrl.calibration import Calibration
from inctrl.errors import ContextMismatch, InvalidFile, UsageError
from inctrl.images import Image, Window, open_image
from inctrl.inspector import FittedInspector, Inspector
from inctrl.tensorfiles import read_state
from inctrl.wholefolder import told, whole_folder

INDEX, TENSORS, VERSION = "context.json", "context.safetensors", 1
IDENTITY = ("fingerprint", "detector", "options", "adapter", "fit")
"""Fields of the card that must agree between a saved context and the inspector that reads it."""


def save_context(fitted: FittedInspector, folder: str | Path) -> None:
    """Write a folder as a whole; OutputError where one with something in it exists."""
    path = Path(folder)
    index = {
        "version": VERSION,
        "card": asdict(fitted.card),
        "calibration": asdict(fitted.calibration),
    }
    packed = fitted.inspector.detector.pack(fitted.context)
    with whole_folder(path, ()) as part, told(path):
        (part / "shots").mkdir()
        for i, shot in enumerate(fitted.shots):
            PIL.Image.fromarray(shot.rgb).save(part / "shots" / f"{i:04d}.png")
        tensors = {name: tensor.contiguous() for name, tensor in packed.items()}
        safetensors.torch.save_file(tensors, part / TENSORS)
        (part / INDEX).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def load_context(inspector: Inspector, folder: str | Path) -> FittedInspector:
    """Read a saved context; ContextMismatch where it was made by another inspector."""
    path = Path(folder)
    index = read_index(path)
    try:
        card, calibration = index["card"], index["calibration"]
        window = Window(*card["window"]) if card["window"] else None
        fitted = FittedInspector(
            inspector=inspector,
            context=None,
            calibration=Calibration(
                **{name: _frozen(value) for name, value in calibration.items()}
            ),
            shots=_read_shots(path, card),
            item=card["item"],
            window=window,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidFile(f"context {str(path)!r} is damaged ({error}); make it again") from None
    _refuse_other(path, card, json.loads(json.dumps(asdict(fitted.card))))
    tensors = read_state(path / TENSORS)
    return replace(fitted, context=inspector.detector.unpack(tensors))


def read_index(path: Path) -> dict[str, Any]:
    """The JSON of a saved context; UsageError where there is none."""
    try:
        index: dict[str, Any] = json.loads((path / INDEX).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"{str(path)!r} holds no saved context ({INDEX})") from None
    except (OSError, ValueError) as error:
        raise InvalidFile(f"{str(path / INDEX)!r} cannot be read ({error})") from None
    if not isinstance(index, dict) or index.get("version") != VERSION:
        raise InvalidFile(f"{str(path / INDEX)!r} is not a context of version {VERSION}")
    return index


def _refuse_other(path: Path, saved: dict[str, Any], now: dict[str, Any]) -> None:
    for name in IDENTITY:
        if saved[name] != now[name]:
            raise ContextMismatch(
                f"context {str(path)!r} was made with {name} {saved[name]!r} "
                f"(backbone {saved['backbone']!r}), not {now[name]!r} "
                f"(backbone {now['backbone']!r}); use the same, or prepare the shots again"
            )


def _read_shots(path: Path, card: dict[str, Any]) -> tuple[Image, ...]:
    files = [path / "shots" / f"{i:04d}.png" for i in range(len(card["shots"]))]
    names = card["shot_names"]
    shots = [open_image(file, name) for file, name in zip(files, names, strict=True)]
    if [shot.sha256 for shot in shots] != list(card["shots"]):
        raise ValueError("its shots are not those it was made of")
    return tuple(shots)


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
