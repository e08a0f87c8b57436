"""The table of detectors. Outside packages add theirs through the group `inctrl.detectors`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

from inctrl.adapters.file import Adapter
from inctrl.adapters.fusion import InCTRLFusion
from inctrl.adapters.prompt_context import PromptContext
from inctrl.detectors import anomalib
from inctrl.detectors.coop import CoOp
from inctrl.detectors.incontext import InContext, InContextOptions
from inctrl.detectors.inctrl import InCTRL, InCTRLOptions
from inctrl.detectors.options import parse_options
from inctrl.detectors.padim import PaDiM, PaDiMOptions
from inctrl.detectors.patchcore import PatchCore, PatchCoreOptions
from inctrl.detectors.regad import RegAD, RegADOptions
from inctrl.detectors.spade import Spade, SpadeOptions
from inctrl.detectors.winclip import WinCLIP, WinCLIPOptions
from inctrl.detectors.zeroshot import ZeroShot
from inctrl.errors import UsageError
from inctrl.protocols import Detector
from inctrl.registry import lookup, lookup_extended
from inctrl.resources import DEFAULT_BACKBONE
from inctrl.types import Options

OUTSIDE = "anomalib:"
"""Prefix of the detectors that another library trains."""
TWO_STAGES = {"cnn": ("stride8", "stride16")}
THREE_STAGES = {"cnn": ("stride4", "stride8", "stride16")}


@dataclass(frozen=True)
class NoOptions:
    """Of detectors that have none."""


@dataclass(frozen=True)
class Entry:
    """A detector: how to make it, and what to say of it.

    make       options -> detector; with `adapter`, options and the adapter or None
    options    dataclass of its options
    about      what it is, in a line
    needs      what it needs besides a backbone and shots, in words; empty: nothing
    adapter    the kind of adapter that it takes
    layers     layers it taps by default, by the prefix of the backbone; others: the backbone's own
    backbone   the one it is used with where none is named
    needs_shots    whether it gives no score without normal images
    """

    make: Callable[..., Detector[Any]]
    options: type
    about: str
    needs: str = ""
    adapter: str | None = None
    layers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    backbone: str = DEFAULT_BACKBONE
    needs_shots: bool = True


def _inctrl(options: InCTRLOptions, adapter: Adapter | None) -> Detector[Any]:
    if adapter is None:
        raise UsageError(
            "detector 'inctrl' needs a trained adapter; the training-free 'incontext' needs none",
            fix="name an adapter",
        )
    return InCTRL(cast(InCTRLFusion, adapter.module), adapter.config.text, options)


def _coop(_: NoOptions, adapter: Adapter | None) -> Detector[Any]:
    if adapter is None:
        raise UsageError(
            "detector 'coop' needs trained prompts: an adapter that was trained on labelled sets",
            fix="name an adapter",
        )
    return CoOp(cast(PromptContext, adapter.module).temperature)


DETECTORS = {
    "incontext": Entry(
        InContext,
        InContextOptions,
        "training-free residuals to the k shots, with a text prior (the default)",
    ),
    "inctrl": Entry(
        _inctrl,
        InCTRLOptions,
        "InCTRL (CVPR 2024): residuals fused by a trained adapter",
        needs="an adapter",
        adapter="inctrl",
    ),
    "patchcore": Entry(
        PatchCore,
        PatchCoreOptions,
        "PatchCore (CVPR 2022): nearest neighbours in a memory bank of patches",
        layers=TWO_STAGES,
    ),
    "spade": Entry(
        Spade,
        SpadeOptions,
        "SPADE (2020): nearest shots, then nearest patches of each layer among them",
        layers=THREE_STAGES,
    ),
    "padim": Entry(
        PaDiM,
        PaDiMOptions,
        "PaDiM (2020): a Gaussian at each position, Mahalanobis distances",
        layers=THREE_STAGES,
    ),
    "regad": Entry(
        lambda options, _: RegAD(options),
        RegADOptions,
        "RegAD (ECCV 2022): Gaussians over altered versions of the shots, registered by an adapter",
        needs="a convolutional backbone; without an adapter nothing is registered",
        adapter="registration",
        layers={**THREE_STAGES, "duo": ("stride16", "stride32")},
    ),
    "winclip": Entry(
        WinCLIP,
        WinCLIPOptions,
        "WinCLIP (CVPR 2023): sentences through windows; residuals where there are shots",
        needs="a backbone with text and windows (tiny, duo, openclip:); shots are optional",
        layers={"openclip": ("last",)},
        needs_shots=False,
    ),
    "coop": Entry(
        _coop,
        NoOptions,
        "CoOp (IJCV 2022): prompts learned on labelled images of other items; no map",
        needs="an adapter; shots only calibrate",
        adapter="prompt_context",
        needs_shots=False,
    ),
    "zeroshot": Entry(
        lambda _: ZeroShot(),
        NoOptions,
        "sentences alone; ranks, and gives no verdict without shots",
        needs="a backbone with text; shots only calibrate",
        needs_shots=False,
    ),
}


def detector_entry(name: str) -> Entry:
    """A line of the table, or of an installed package; UsageError for an unknown name."""
    if name.startswith(OUTSIDE):
        return outside_entry(name.removeprefix(OUTSIDE))
    entry: Entry = lookup_extended(DETECTORS, "inctrl.detectors", name, "detector")
    return entry


def outside_entry(name: str) -> Entry:
    """A model of the anomalib library, which is looked for when the detector is made."""
    anomalib.find_model(name)
    return Entry(
        partial(anomalib.make, name),
        anomalib.AnomalibOptions,
        "a model of the anomalib library, trained on the shots",
        needs="the extra inctrl[anomalib] in an environment of its own",
        backbone="pixels",
    )


def detector_for(kind: str) -> str:
    """The detector that takes adapters of a kind; UsageError where none does."""
    takers = {entry.adapter: name for name, entry in DETECTORS.items() if entry.adapter}
    return lookup(takers, kind, "kind of adapter")


def build_detector(
    name: str, options: Options | None = None, adapter: Adapter | None = None
) -> Detector[Any]:
    """A detector by name; option values may be given as text.

    adapter    UsageError where it is not of the kind that the detector takes
    """
    entry = detector_entry(name)
    parsed: Any = parse_options(entry.options, options or {}, name)
    if entry.adapter is None:
        if adapter is not None:
            raise UsageError(f"detector {name!r} takes no adapter", fix="leave the adapter out")
        return entry.make(parsed)
    if adapter is not None and adapter.config.kind != entry.adapter:
        raise UsageError(
            f"detector {name!r} takes an adapter of kind {entry.adapter!r}, "
            f"not {adapter.config.kind!r}"
        )
    return entry.make(parsed, adapter)
