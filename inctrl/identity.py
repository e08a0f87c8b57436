"""The identity of all that makes a result, and in what two of them differ, in words."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import PurePath
from typing import Any

from inctrl.types import Fit, Options
from inctrl.views import Orientation, Tiles


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Everything of an inspector that a context depends on.

    Two are equal where their contexts are: names and sizes only explain the fingerprint, and the
    folder of the adapter its hash.

    text_prior    the sentence bank, or why there is none
    text_sha256   of its sentences, or of the learned prompts; None: no text, or not known
    precision     in which a transformer multiplies; the fingerprint knows it
    """

    backbone: str = field(compare=False)
    fingerprint: str
    image_size: int = field(compare=False)
    layers: tuple[str, ...] = field(compare=False)
    detector: str
    options: Options
    adapter: str | None = field(compare=False)
    adapter_sha256: str | None
    fit: Fit
    text_prior: str
    text_sha256: str | None = None
    precision: str = field(default="float32", compare=False)

    @property
    def compared(self) -> dict[str, Any]:
        """The fields that make two of them differ, as JSON gives them back."""
        values = {one.name: getattr(self, one.name) for one in fields(self) if one.compare}
        plain: dict[str, Any] = json.loads(json.dumps(values))
        return plain

    def key(self, *others: object) -> str:
        """A hash of it, and of whatever else something depends on."""
        text = json.dumps([*others, self.compared], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Card(Identity):
    """The identity of all that made a result.

    text_weight   what the shots leave of the prior (protocols.WeighsText); None: not weighed
    normal_set    NAME@VERSION of the shots in a store; None: they came by themselves
    orientation   whether shots are compared with as they lie, or turned too
    tiles         in how many an image is seen along its longer side, or `auto`
    """

    inctrl: str
    item: str
    shots: tuple[str, ...]
    shot_names: tuple[str, ...]
    window: tuple[float, float] | None
    text_weight: float | None = None
    normal_set: str | None = None
    orientation: Orientation = "fixed"
    tiles: Tiles = 1


def unlike_backbones(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """In what two backbones differ: names, else size, layers and precision, else the weights.

    then, now   `backbone`, `image_size`, `layers`, `precision` and `fingerprint` of each
    """
    if then["fingerprint"] == now["fingerprint"]:
        return []
    if then["backbone"] != now["backbone"]:
        return [f"backbone {then['backbone']!r}, not {now['backbone']!r}"]
    layers = [",".join(one["layers"]) for one in (then, now)]
    found = []
    if then["image_size"] != now["image_size"]:
        found.append(f"image size {then['image_size']}, not {now['image_size']}")
    if layers[0] != layers[1]:
        found.append(f"layers {layers[0]}, not {layers[1]}")
    if then["precision"] != now["precision"]:
        found.append(f"precision {then['precision']}, not {now['precision']}")
    return found or [f"other weights under the same name {now['backbone']!r}"]


def unlike(then: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """In what two identities differ: "by incontext, not patchcore", "with image size 288, not 224".

    What follows from a difference that is named (each detector has options of its own) is not
    named too. Empty where they are equal.
    """
    by = then["detector"] != now["detector"]
    adapters = _unlike_adapters(then, now)
    backbones = unlike_backbones(then, now)
    same_names = all(then[one] == now[one] for one in ("backbone", "image_size"))
    if (by or adapters) and same_names:
        backbones = []  # each taps and alters the tower in its own way
    found = [*adapters, *backbones]
    if not by:
        options = {**dict.fromkeys(then["options"]), **dict.fromkeys(now["options"])}
        pairs = ((name, then["options"].get(name), now["options"].get(name)) for name in options)
        found += [f"{name} {a!r}, not {b!r}" for name, a, b in pairs if a != b]
    if then["fit"] != now["fit"]:
        found.append(f"fit {then['fit']!r}, not {now['fit']!r}")
    if not (by or found) and then["text_prior"] != now["text_prior"]:
        sentences = all(one["text_prior"].startswith("bank ") for one in (then, now))
        words = "sentences of {}, not of {}" if sentences else "text prior {}, not {}"
        found.append(words.format(then["text_prior"], now["text_prior"]))
    if not (by or found) and then.get("text_sha256") != now.get("text_sha256"):
        found.append(f"other sentences than {then['text_prior']} has now")
    made = [f"by {then['detector']}, not {now['detector']}"] if by else []
    return " ".join([*made, *(["with " + " and ".join(found)] if found else [])])


def _unlike_adapters(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    if then["adapter_sha256"] == now["adapter_sha256"]:
        return []
    before, after = (one["adapter"] and PurePath(one["adapter"]).name for one in (then, now))
    if before == after:
        return [f"other weights of adapter {before!r}"]
    had = f"adapter {before!r}" if before else "no adapter"
    return [f"{had}, not {after!r}" if after else f"{had}, not without one"]
