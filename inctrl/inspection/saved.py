"""A fitted inspector on disk: prepared once, used on any machine with the same backbone.

DIR/context.json          identity, calibration, names of the shots
DIR/context.safetensors   the detector's context
DIR/shots/0000.png        the shots, for the evidence
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import PIL.Image
import safetensors.torch
from torch import Tensor

from inctrl.adapters.file import open_adapter
from inctrl.backbones import kind_of
from inctrl.decoding import open_image
from inctrl.detectors import detector_entry
from inctrl.errors import ContextMismatch, InvalidFile, UnreadableImage, UsageError
from inctrl.files.whole import whole_folder, writing
from inctrl.identity import unlike
from inctrl.images import Image, Window, digest
from inctrl.inspection.calibration import Calibration
from inctrl.inspection.fitted import FittedInspector
from inctrl.inspection.inspector import Inspector
from inctrl.inspection.seen import Origins, turns_of
from inctrl.maths.tiles import Tiling
from inctrl.prompting import banks
from inctrl.views import AS_THEY_ARE, Views, orientation_of, tiles_of

INDEX, TENSORS, VERSION = "context.json", "context.safetensors", 1
KEPT = "views.kept"
"""The tensor that says where the patches of thinned shots are from; no detector's own."""


@dataclass(frozen=True, eq=False)
class Packed:
    """A fitted inspector without its shots: JSON that says what it is, and tensors in a file."""

    index: dict[str, Any]
    tensors: bytes


def pack(fitted: FittedInspector) -> Packed:
    """What `unpack` needs besides the shots."""
    packed = fitted.inspector.detector.pack(fitted.context)
    origins = fitted.origins
    if origins is not None and origins.kept is not None:
        packed[KEPT] = origins.kept
    tensors = safetensors.torch.save({n: tensor.contiguous() for n, tensor in packed.items()})
    index = {
        "version": VERSION,
        "card": asdict(fitted.card),
        "calibration": asdict(fitted.calibration),
        "tilings": [[one.down, one.across] for one in origins.tilings] if origins else None,
        "reach": [fitted.window.least, fitted.window.most] if fitted.window else None,
        "pictures_sha256": [digest(shot.rgb) for shot in fitted.shots],
        "tensors_sha256": hashlib.sha256(tensors).hexdigest(),
    }
    return Packed(index, tensors)


def unpack(
    inspector: Inspector,
    packed: Packed,
    shots: Callable[[Window | None], Sequence[Image]],
    name: str,
    *,
    alpha: float | None = None,
) -> FittedInspector:
    """The inverse of `pack`; `shots` opens them in the window of the context.

    Raises ContextMismatch where another inspector made it, InvalidFile where it is damaged.
    """
    index = packed.index
    try:
        card = index["card"]
        saved: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in index["calibration"].items()
        }
        # A context of before knows no reach.
        reach = index.get("reach") or (None, None)
        window = Window(*card["window"], *reach) if card["window"] else None
        kept = shots(window)
        if [shot.sha256 for shot in kept] != index["pictures_sha256"]:
            raise ValueError("its shots are not those it was made of")
        fitted = FittedInspector(
            inspector=inspector,
            context=None,
            calibration=Calibration(**saved),
            # A large shot was kept reduced; it has the identity of the original.
            shots=tuple(replace(s, sha256=sha) for s, sha in zip(kept, card["shots"], strict=True)),
            item=card["item"],
            window=window,
            # A context of before knows no views.
            views=Views(card.get("orientation", "fixed"), card.get("tiles", 1)),
        )
        _refuse_other(name, card, inspector)
        if hashlib.sha256(packed.tensors).hexdigest() != index["tensors_sha256"]:
            raise ValueError(f"{TENSORS} is not the one it was saved with")
        tensors = safetensors.torch.load(packed.tensors)
        origins = _origins(fitted.views, index.get("tilings"), kept, tensors.pop(KEPT, None))
        context = inspector.detector.unpack(tensors)
    except (KeyError, TypeError, ValueError, OSError, UnreadableImage) as error:
        raise InvalidFile(f"context {name!r} is damaged ({error}); make it again") from None
    return replace(fitted, context=context, origins=origins).with_alpha(alpha)


def _origins(
    views: Views,
    tilings: Sequence[Sequence[int]] | None,
    shots: Sequence[Image],
    kept: Tensor | None,
) -> Origins | None:
    if views == AS_THEY_ARE:
        return None
    pairs = zip(shots, tilings or (), strict=True)
    return Origins(tuple(Tiling(s.size, *counts) for s, counts in pairs), turns_of(views), kept)


def save_context(fitted: FittedInspector, folder: str | Path, *, overwrite: bool = False) -> None:
    """Write a folder as a whole; OutputError where one with something in it exists."""
    path = Path(folder)
    packed = pack(fitted)
    with whole_folder(path, (INDEX, TENSORS, "shots"), overwrite) as part, writing(path):
        (part / "shots").mkdir()
        for i, shot in enumerate(fitted.shots):
            PIL.Image.fromarray(shot.rgb).save(part / "shots" / f"{i:04d}.png")
        (part / TENSORS).write_bytes(packed.tensors)
        (part / INDEX).write_text(json.dumps(packed.index, indent=2) + "\n", encoding="utf-8")


def load_context(
    inspector: Inspector, folder: str | Path, *, alpha: float | None = None
) -> FittedInspector:
    """Read a saved context; ContextMismatch where it was made by another inspector.

    alpha    another wanted share of false alarms (default: the saved one)
    """
    path = Path(folder)
    index = read_index(path)
    try:
        tensors = (path / TENSORS).read_bytes()
    except OSError as error:
        raise InvalidFile(f"context {str(path)!r} is damaged ({error}); make it again") from None
    names = index["card"].get("shot_names", ())

    def shots(_window: Window | None) -> list[Image]:
        return [open_image(path / "shots" / f"{i:04d}.png", name) for i, name in enumerate(names)]

    return unpack(inspector, Packed(index, tensors), shots, str(path), alpha=alpha)


def read_index(path: Path) -> dict[str, Any]:
    """The JSON of a saved context; UsageError where there is none."""
    try:
        index: dict[str, Any] = json.loads((path / INDEX).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        hint = "; give the folder that it lies in" if path.is_file() else ""
        raise UsageError(f"{str(path)!r} holds no saved context ({INDEX}){hint}") from None
    except (OSError, ValueError) as error:
        raise InvalidFile(f"{str(path / INDEX)!r} cannot be read ({error})") from None
    right = isinstance(index, dict) and index.get("version") == VERSION
    if not right or not isinstance(index.get("card"), dict):
        raise InvalidFile(f"{str(path / INDEX)!r} is not a context of version {VERSION}")
    return index


def arguments(folder: str | Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """What `Inspector.load` takes to be the inspector that made a context.

    given   arguments that somebody chose; None, what is empty and precision `auto` are as recorded
    Raises ContextMismatch where a detector, an adapter or a kind of backbone is given that cannot
    have made it: what is recorded of the one would be an unknown option of the other.
    """
    path = Path(folder)
    chosen = {name: value for name, value in given.items() if value not in (None, {}, [])}
    if chosen.get("precision") == "auto":
        del chosen["precision"]
    try:
        return _as_recorded(str(path), read_index(path)["card"], chosen)
    except KeyError as error:
        raise InvalidFile(f"{str(path / INDEX)!r} says nothing of {error}; make it again") from None


def _as_recorded(context: str, card: dict[str, Any], chosen: dict[str, Any]) -> dict[str, Any]:
    card = {"precision": "float32", **card}  # of before there was a choice
    now = dict(card)
    if "detector" in chosen:
        detector_entry(chosen["detector"])  # which says so if there is none
        now["detector"] = chosen["detector"]
    if "adapter" in chosen:
        adapter = open_adapter(chosen["adapter"])
        now |= {"adapter": str(adapter.path), "adapter_sha256": adapter.sha256}
    backbone, recorded = chosen.get("backbone", card["backbone"]), card["backbone"]
    if backbone != recorded and kind_of(backbone) != recorded.partition(":")[0]:
        now |= {"backbone": backbone, "fingerprint": None}
    _refuse(context, card, now)
    # Another name may be the same weights, which their fingerprint will tell, with other defaults.
    tower = ("image_size", "layers", "precision") if backbone == recorded else ()
    known = {name: card[name] for name in ("backbone", "detector", "adapter", "fit", *tower)}
    if known["adapter"] and not Path(known["adapter"]).is_dir():  # it was made elsewhere
        known["adapter"] = Path(known["adapter"]).name
    bank = re.fullmatch("bank '(.+)'", card["text_prior"])
    if bank and bank[1] in banks():
        known["domain"] = bank[1]
    options = {**card["options"], **chosen.get("options", {})}
    return {**known, **chosen, "options": options}


def refuse_others(
    what: str, views: Views, orientation: str | None = None, tiles: str | int | None = None
) -> None:
    """ContextMismatch where somebody asks to see in another way what was prepared in this one."""
    asked = Views(
        views.orientation if orientation is None else orientation_of(orientation),
        views.tiles if tiles is None else tiles_of(tiles),
    )
    pairs = zip(asdict(views).items(), asdict(asked).values(), strict=True)
    differ = [f"{name} {then!r}, not {now!r}" for (name, then), now in pairs if then != now]
    if differ:
        raise ContextMismatch(
            f"{what} was prepared with {' and '.join(differ)}; use the same, or prepare the shots "
            "again"
        )


def _refuse_other(context: str, saved: dict[str, Any], inspector: Inspector) -> None:
    """ContextMismatch that names in what the two inspectors differ."""
    compared = inspector.identity.compared
    saved = {"precision": "float32", **saved}
    if "text_sha256" not in saved:
        # Of before the hash: what is shipped says what it said, and an adapter has its own hash.
        same = inspector.learned or inspector.bank.shipped
        saved = {**saved, "text_sha256": compared["text_sha256"] if same else None}
    if any(saved[name] != now for name, now in compared.items()):
        _refuse(context, saved, asdict(inspector.identity))


def _refuse(context: str, saved: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    words = unlike(saved, now)
    if words:
        raise ContextMismatch(
            f"context {context!r} was prepared {words}; use the same, or prepare the shots again"
        )
