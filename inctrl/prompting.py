"""Sentence banks: what to say of an item to have its normal and anomalous text prototypes."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from inctrl.errors import InvalidFile
from inctrl.maths.neighbours import unit
from inctrl.protocols import Backbone
from inctrl.registry import lookup
from inctrl.resources import folder


@dataclass(frozen=True)
class Bank:
    """States x templates; `pairs` replaces them by one sentence each for the items it names."""

    name: str
    source: str
    normal: tuple[str, ...]
    anomalous: tuple[str, ...]
    templates: tuple[str, ...]
    pairs: Mapping[str, tuple[str, str]]

    def sentences(self, item: str) -> tuple[list[str], list[str]]:
        """(normal, anomalous) sentences about an item; `_` in its name counts as a space."""
        words = item.replace("_", " ")
        if words in self.pairs:
            normal, anomalous = self.pairs[words]
            return [normal.format(c=words)], [anomalous.format(c=words)]
        return self._fill(self.normal, words), self._fill(self.anomalous, words)

    def _fill(self, states: tuple[str, ...], words: str) -> list[str]:
        return [t.format(s=s.format(c=words)) for s in states for t in self.templates]


def banks() -> dict[str, Path]:
    """Every shipped bank by name."""
    return {path.stem: path for path in sorted(folder("prompts").glob("*.toml"))}


def load_bank(name: str) -> Bank:
    """A shipped bank."""
    path = lookup(banks(), name, "prompt bank")
    try:
        with path.open("rb") as file:
            return _parse(tomllib.load(file))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidFile(f"prompt bank {str(path)!r} cannot be read ({error})") from None


def prototypes(backbone: Backbone, bank: Bank, item: str) -> Tensor:
    """The normal and the anomalous text prototype of an item: 2 e, unit length.

    Every sentence embedding is normalised, their mean normalised again (InCTRL section 3.3).
    """
    normal, anomalous = bank.sentences(item)
    embedded = unit(backbone.encode_text([*normal, *anomalous]))
    parts = embedded.split([len(normal), len(anomalous)])
    return unit(torch.stack([part.mean(dim=0) for part in parts]))


def _parse(stored: dict[str, Any]) -> Bank:
    pairs = stored.get("pairs", {"names": (), "normal": "", "anomalous": ""})
    return Bank(
        name=stored["name"],
        source=stored["source"],
        normal=tuple(stored["normal"]),
        anomalous=tuple(stored["anomalous"]),
        templates=tuple(stored["templates"]),
        pairs=dict.fromkeys(pairs["names"], (pairs["normal"], pairs["anomalous"])),
    )
