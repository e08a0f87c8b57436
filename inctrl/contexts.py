"""A fitted inspector on disk: prepared once, used on any machine with the same backbone.

DIR/context.json          identity, calibration, names of the shots
DIR/context.safetensors   the detector's context
DIR/shots/0000.png        the shots, for the evidence
"""

import hashlib
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import PIL.Image
import safetensors.torch

from inctrl.calibration import Calibration
from inctrl.errors import ContextMismatch, InvalidFile, UnreadableImage, UsageError
from inctrl.fitted import FittedInspector
from inctrl.images import Image, Window, digest, open_image
from inctrl.inspector import Inspector
from inctrl.wholefolder import told, whole_folder

INDEX, TENSORS, VERSION = "context.json", "context.safetensors", 1
IDENTITY = ("fingerprint", "detector", "options", "adapter_sha256", "fit", "text_prior")
"""Fields of the card that must agree between a saved context and the inspector that reads it."""


def save_context(fitted: FittedInspector, folder: str | Path, *, overwrite: bool = False) -> None:
    """Write a folder as a whole; OutputError where one with something in it exists."""
    path = Path(folder)
    packed = fitted.inspector.detector.pack(fitted.context)
    tensors = safetensors.torch.save({n: tensor.contiguous() for n, tensor in packed.items()})
    index = {
        "version": VERSION,
        "card": asdict(fitted.card),
        "calibration": asdict(fitted.calibration),
        "pictures_sha256": [digest(shot.rgb) for shot in fitted.shots],
        "tensors_sha256": hashlib.sha256(tensors).hexdigest(),
    }
    with whole_folder(path, (INDEX, TENSORS, "shots"), overwrite) as part, told(path):
        (part / "shots").mkdir()
        for i, shot in enumerate(fitted.shots):
            PIL.Image.fromarray(shot.rgb).save(part / "shots" / f"{i:04d}.png")
        (part / TENSORS).write_bytes(tensors)
        (part / INDEX).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def load_context(
    inspector: Inspector, folder: str | Path, *, alpha: float | None = None
) -> FittedInspector:
    """Read a saved context; ContextMismatch where it was made by another inspector.

    alpha    another wanted share of false alarms (default: the saved one)
    """
    path = Path(folder)
    index = read_index(path)
    try:
        card, saved = index["card"], index["calibration"]
        calibration = Calibration(**{name: _frozen(value) for name, value in saved.items()})
        fitted = FittedInspector(
            inspector=inspector,
            context=None,
            calibration=replace(calibration, alpha=alpha or calibration.alpha),
            shots=_read_shots(path, card, index["pictures_sha256"]),
            item=card["item"],
            window=Window(*card["window"]) if card["window"] else None,
        )
        _refuse_other(path, card, json.loads(json.dumps(asdict(fitted.card))))
        tensors = (path / TENSORS).read_bytes()
        if hashlib.sha256(tensors).hexdigest() != index["tensors_sha256"]:
            raise ValueError(f"{TENSORS} is not the one it was saved with")
        context = inspector.detector.unpack(safetensors.torch.load(tensors))
    except (KeyError, TypeError, ValueError, OSError, UnreadableImage) as error:
        raise InvalidFile(f"context {str(path)!r} is damaged ({error}); make it again") from None
    return replace(fitted, context=context)


def read_index(path: Path) -> dict[str, Any]:
    """The JSON of a saved context; UsageError where there is none."""
    try:
        index: dict[str, Any] = json.loads((path / INDEX).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"{str(path)!r} holds no saved context ({INDEX})") from None
    except (OSError, ValueError) as error:
        raise InvalidFile(f"{str(path / INDEX)!r} cannot be read ({error})") from None
    right = isinstance(index, dict) and index.get("version") == VERSION
    if not right or not isinstance(index.get("card"), dict):
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


def _read_shots(path: Path, card: dict[str, Any], digests: list[str]) -> tuple[Image, ...]:
    files = [path / "shots" / f"{i:04d}.png" for i in range(len(card["shots"]))]
    names = card["shot_names"]
    shots = [open_image(file, name) for file, name in zip(files, names, strict=True)]
    if [shot.sha256 for shot in shots] != digests:
        raise ValueError("its shots are not those it was made of")
    # A large shot was saved reduced; it keeps the identity of the original.
    return tuple(replace(s, sha256=sha) for s, sha in zip(shots, card["shots"], strict=True))


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
