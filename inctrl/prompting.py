"""Sentence banks: what to say of an item to have its normal and anomalous text prototypes."""

import hashlib
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from inctrl.adapters.prompt_context import PromptContext
from inctrl.backbones.cache import Remembers
from inctrl.errors import InvalidFile, UsageError
from inctrl.files.text import read_text
from inctrl.maths.neighbours import unit
from inctrl.protocols import Backbone, TakesContext
from inctrl.registry import lookup
from inctrl.resources import folder
from inctrl.types import Features

STATES = ("normal", "anomalous")
"""The classes that a learned context goes before, in their order."""


@dataclass(frozen=True)
class Bank:
    """States x templates; `pairs` replaces them by one sentence each for the items it names."""

    name: str
    source: str
    normal: tuple[str, ...]
    anomalous: tuple[str, ...]
    templates: tuple[str, ...]
    pairs: Mapping[str, tuple[str, str]]

    @property
    def sha256(self) -> str:
        """A hash of all that it says; name and source are no part of it."""
        text = [self.normal, self.anomalous, self.templates, dict(self.pairs)]
        return hashlib.sha256(json.dumps(text, sort_keys=True).encode()).hexdigest()

    @property
    def shipped(self) -> bool:
        """Whether it says what the shipped bank of its name says."""
        return self.name in banks() and load_bank(self.name).sha256 == self.sha256

    def sentences(self, item: str) -> tuple[list[str], list[str]]:
        """(normal, anomalous) sentences about an item; `_` in its name counts as a space."""
        words = item.replace("_", " ")
        if words in self.pairs:
            normal, anomalous = self.pairs[words]
            return [_fill(normal, "c", words)], [_fill(anomalous, "c", words)]
        return self._filled(self.normal, words), self._filled(self.anomalous, words)

    def _filled(self, states: tuple[str, ...], words: str) -> list[str]:
        spoken = [_fill(state, "c", words) for state in states]
        return [_fill(template, "s", s) for s in spoken for template in self.templates]


def banks() -> dict[str, Path]:
    """Every shipped bank by name."""
    return {path.stem: path for path in sorted(folder("prompts").glob("*.toml"))}


def load_bank(name: str) -> Bank:
    """A shipped bank by name, or a user's own by the path of its TOML file."""
    path = Path(name) if name.endswith(".toml") else lookup(banks(), name, "prompt bank")
    try:
        return _parse(tomllib.loads(read_text(path)))
    except OSError as error:
        raise UsageError(f"prompt bank {name!r} cannot be read ({error.strerror})") from None
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidFile(
            f"prompt bank {name!r} is malformed ({type(error).__name__}: {error}); "
            "prompts/README.md shows the form"
        ) from None


def prototypes(backbone: Backbone, bank: Bank, item: str, cache: Remembers | None = None) -> Tensor:
    """The normal and the anomalous text prototype of an item: 2 e, unit length, on the CPU.

    Every sentence embedding is normalised, their mean normalised again (InCTRL section 3.3).
    """
    return both_prototypes(backbone, bank, item, cache)[0]


def both_prototypes(
    backbone: Backbone, bank: Bank, item: str, cache: Remembers | None = None
) -> tuple[Tensor, Tensor]:
    """`prototypes`, and the plain means of the embeddings (2 e, of any length), on the CPU.

    They are kept in `cache`, so that no sentence is encoded twice for one backbone.
    """
    normal, anomalous = bank.sentences(item)
    text = "\n".join(["both prototypes", backbone.fingerprint, *normal, "", *anomalous])
    key = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    known = cache.read(key) if cache else None
    if known is not None:
        made, raw = known.image
        return made, raw
    embedded = backbone.encode_text([*normal, *anomalous]).cpu()
    lengths = [len(normal), len(anomalous)]
    made = unit(_means(unit(embedded), lengths))
    raw = _means(embedded, lengths)
    if cache:
        cache.write(key, Features((), torch.stack([made, raw])))
    return made, raw


def learned_prototypes(backbone: Backbone, context: PromptContext, item: str) -> Tensor:
    """`prototypes` by learned prompts instead of a bank: 2 e, unit length, on the CPU."""
    with torch.no_grad():
        return encode_states(backbone, context, [item])[0].cpu()


def encode_states(backbone: Backbone, context: PromptContext, items: Sequence[str]) -> Tensor:
    """The prompts "[V1]..[Vm] STATE ITEM." of n items: n 2 e, unit length, normal first.

    Differentiable with respect to the context. UsageError where the backbone takes none.
    """
    names = [f"{state} {item.replace('_', ' ')}" for item in items for state in STATES]
    vectors = context.for_items(len(items))
    embedded = taking_context(backbone).encode_with_context(vectors, names, context.position)
    prompts: Tensor = unit(embedded.float()).unflatten(0, (len(items), len(STATES)))
    return prompts


def taking_context(backbone: Backbone) -> TakesContext:
    """The backbone as one that takes learned vectors; UsageError where it is none."""
    if not isinstance(backbone, TakesContext):
        raise UsageError(
            f"backbone {backbone.name!r} takes no learned prompts; use 'tiny' or an openclip: model"
        )
    return backbone


def _means(embedded: Tensor, lengths: list[int]) -> Tensor:
    """n e, in parts of these lengths -> one mean a part."""
    return torch.stack([part.mean(dim=0) for part in embedded.split(lengths)])


def _fill(text: str, key: str, words: str) -> str:
    """Braces in an item's name are its own, so `str.format` will not do."""
    return text.replace("{" + key + "}", words)


def _parse(stored: dict[str, Any]) -> Bank:
    pairs = stored.get("pairs", {"names": (), "normal": "", "anomalous": ""})
    bank = Bank(
        name=stored["name"],
        source=stored["source"],
        normal=tuple(stored["normal"]),
        anomalous=tuple(stored["anomalous"]),
        templates=tuple(stored["templates"]),
        pairs=dict.fromkeys(pairs["names"], (pairs["normal"], pairs["anomalous"])),
    )
    lists = (bank.normal, bank.anomalous, bank.templates)
    if not all(lists) or not all(isinstance(text, str) for texts in lists for text in texts):
        raise ValueError("normal, anomalous and templates must be lists of sentences")
    return bank
