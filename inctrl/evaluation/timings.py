"""How long an evaluation took and what it held: of this machine and this run, kept apart."""

import json
import resource
import sys
from dataclasses import dataclass, field
from typing import Any

from inctrl.backbones.features import Tally
from inctrl.evaluation.results import Cell
from inctrl.evaluation.score import Judged
from inctrl.machine import machine


@dataclass
class Spent:
    """By one contender, in the cells that this run computed.

    encode    seconds in the backbone, for `encoded` images
    prepare   seconds of preparing and calibrating
    score     seconds in the detector, for `scored` images
    pixels    seconds of comparing maps with masks
    bytes     of the largest packed context
    """

    cells: int = 0
    encode: float = 0.0
    encoded: int = 0
    prepare: float = 0.0
    score: float = 0.0
    scored: int = 0
    pixels: float = 0.0
    bytes: int = 0

    def add(self, judged: Judged, cell: Cell, pixels: float) -> None:
        self.cells += 1
        self.prepare += judged.seconds
        self.score += judged.scores.seconds
        self.scored += len(cell.scores)
        self.pixels += pixels
        self.bytes = max(self.bytes, cell.bytes)

    def summary(self) -> dict[str, Any]:
        return {
            "cells": self.cells,
            "images_encoded": self.encoded,
            "encode_seconds_an_image": _each(self.encode, self.encoded),
            "prepare_and_calibrate_seconds_a_cell": _each(self.prepare, self.cells),
            "score_seconds_an_image": _each(self.score, self.scored),
            "pixel_figures_seconds_a_cell": _each(self.pixels, self.cells),
            "context_bytes": self.bytes,
        }


@dataclass
class Timings:
    """By all contenders, by label."""

    spent: dict[str, Spent] = field(default_factory=dict)

    def of(self, label: str) -> Spent:
        return self.spent.setdefault(label, Spent())

    def to_json(self, tally: Tally, former: bytes | None) -> bytes:
        """`former` is what a run before this one left: it stands for who has nothing new."""
        contenders = _former(former)
        contenders |= {label: spent.summary() for label, spent in self.spent.items() if spent.cells}
        document = {
            "machine": machine(),
            "peak_memory_bytes": peak_memory(),
            "images_encoded": tally.encoded,
            "images_remembered": tally.cached,
            "contenders": contenders,
        }
        return (json.dumps(document, indent=1) + "\n").encode()


def peak_memory() -> int:
    """The most that this process has held, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _each(total: float, count: int) -> float | None:
    return round(total / count, 6) if count else None


def _former(data: bytes | None) -> dict[str, Any]:
    try:
        found = json.loads(data or b"{}").get("contenders", {})
    except (ValueError, AttributeError):
        return {}
    return found if isinstance(found, dict) else {}
