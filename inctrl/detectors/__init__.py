"""The table of detectors. Outside packages add theirs through the group `inctrl.detectors`."""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from inctrl.detectors.incontext import InContext, InContextOptions
from inctrl.detectors.inctrl import InCTRL, InCTRLOptions
from inctrl.detectors.options import parse_options
from inctrl.detectors.zeroshot import ZeroShot
from inctrl.errors import UsageError
from inctrl.protocols import Detector
from inctrl.registry import lookup_extended, unknown

OptionsT = TypeVar("OptionsT")
Given = Mapping[str, str]
OUTSIDE = "anomalib:"
"""Prefix of the detectors that another library trains; its module is read only when one is."""


@dataclass(frozen=True)
class Entry:
    """A detector: how to build it from options, and what to say of it.

    build      options -> detector; with `adapter`, options and the adapter's (config, module)
    about      what it is, in a line
    needs      what it needs besides a backbone and shots, in words; empty: nothing
    adapter    the kind of adapter that it takes
    layers     layers it taps by default, by the prefix of the backbone; others: the backbone's own
    backbone   the one it is used with where none is named
    """

    build: Callable[..., Detector[Any]]
    about: str
    needs: str = ""
    adapter: str | None = None
    layers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    backbone: str = "tiny"


def _plain(
    name: str, make: Callable[[OptionsT], Detector[Any]], kind: type[OptionsT]
) -> Callable[[Given], Detector[Any]]:
    """The builder of a detector that is made of its options alone."""
    return lambda given: make(parse_options(kind, given, name))


def _inctrl(given: Given, adapter: tuple[Any, Any] | None) -> Detector[Any]:
    if adapter is None:
        raise UsageError(
            "detector 'inctrl' needs a trained adapter; give --adapter NAME "
            "(`inctrl adapters list` shows them), or use the training-free 'incontext'"
        )
    config, fusion = adapter
    return InCTRL(fusion, config.text, parse_options(InCTRLOptions, given, "inctrl"))


def _zeroshot(given: Given) -> Detector[Any]:
    for name in given:
        raise unknown(name, (), "option of zeroshot")
    return ZeroShot()


TWO_STAGES = {"cnn": ("stride8", "stride16")}
THREE_STAGES = {"cnn": ("stride4", "stride8", "stride16")}

DETECTORS = {
    "incontext": Entry(
        _plain("incontext", InContext, InContextOptions),
        "training-free residuals to the k shots (the default)",
    ),
    "inctrl": Entry(
        _inctrl, "trained InCTRL (CVPR 2024)", needs="an adapter (--adapter)", adapter="inctrl"
    ),
    "zeroshot": Entry(
        _zeroshot,
        "sentences alone, no shots needed; ranks, and gives no verdict",
        needs="a backbone with text; no shots",
    ),
}


def detector_entry(name: str) -> Entry:
    """A line of the table, or of an installed package; UsageError for an unknown name."""
    if name.startswith(OUTSIDE):
        module = importlib.import_module("inctrl.detectors.anomalib")
        return Entry(
            lambda given: module.build(name.removeprefix(OUTSIDE), given),
            "a model of the anomalib library, trained on the shots",
            backbone="pixels",
        )
    entry: Entry = lookup_extended(DETECTORS, "inctrl.detectors", name, "detector")
    return entry


def detector_for(kind: str) -> str:
    """The detector that takes adapters of a kind."""
    return next(name for name, entry in DETECTORS.items() if entry.adapter == kind)


def build_detector(
    name: str, options: Given | None = None, adapter: tuple[Any, Any] | None = None
) -> Detector[Any]:
    """A detector by name; option values may be given as text.

    adapter    (config, module) of a trained adapter; UsageError where it is not of its kind
    """
    entry, given = detector_entry(name), options or {}
    if entry.adapter is None:
        if adapter is not None:
            raise UsageError(f"detector {name!r} takes no adapter; leave --adapter out")
        return entry.build(given)
    if adapter is not None and adapter[0].kind != entry.adapter:
        raise UsageError(
            f"detector {name!r} takes an adapter of kind {entry.adapter!r}, not {adapter[0].kind!r}"
        )
    return entry.build(given, adapter)
