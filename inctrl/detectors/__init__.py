"""The table of detectors. Outside packages add theirs through the group `inctrl.detectors`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from inctrl.adapters.file import AdapterConfig
from inctrl.adapters.fusion import InCTRLFusion
from inctrl.detectors.incontext import InContext, InContextOptions
from inctrl.detectors.inctrl import InCTRL, InCTRLOptions
from inctrl.detectors.zeroshot import ZeroShot
from inctrl.errors import UsageError
from inctrl.protocols import Detector
from inctrl.registry import lookup_extended, unknown

Adapter = tuple[AdapterConfig, InCTRLFusion]
OptionsT = TypeVar("OptionsT")


@dataclass(frozen=True)
class Entry:
    """How to build a detector from options and an adapter, and what it is in a line."""

    build: Callable[[Mapping[str, str], Adapter | None], Detector[Any]]
    about: str


def _incontext(options: Mapping[str, str], adapter: Adapter | None) -> Detector[Any]:
    _refuse_adapter(adapter, "incontext")
    return InContext(parse_options(InContextOptions, options, "incontext"))


def _inctrl(options: Mapping[str, str], adapter: Adapter | None) -> Detector[Any]:
    if adapter is None:
        raise UsageError(
            "detector 'inctrl' needs a trained adapter; give --adapter NAME "
            "(`inctrl adapters list` shows them), or use the training-free 'incontext'"
        )
    config, fusion = adapter
    parsed = parse_options(InCTRLOptions, options, "inctrl")
    if parsed.grouping not in ("per_query", "released"):
        raise unknown(parsed.grouping, ("per_query", "released"), "grouping")
    return InCTRL(fusion, config.text, parsed)


def _zeroshot(options: Mapping[str, str], adapter: Adapter | None) -> Detector[Any]:
    _refuse_adapter(adapter, "zeroshot")
    for name in options:
        raise unknown(name, (), "option of zeroshot")
    return ZeroShot()


def _refuse_adapter(adapter: Adapter | None, owner: str) -> None:
    if adapter is not None:
        raise UsageError(f"detector {owner!r} takes no adapter; use --detector inctrl with one")


DETECTORS = {
    "incontext": Entry(_incontext, "training-free residuals to the k shots (the default)"),
    "inctrl": Entry(_inctrl, "trained InCTRL (CVPR 2024); needs an adapter"),
    "zeroshot": Entry(_zeroshot, "sentences alone, no shots needed; ranks, and gives no verdict"),
}


def build_detector(
    name: str, options: Mapping[str, str] | None = None, adapter: Adapter | None = None
) -> Detector[Any]:
    """A detector by name; option values may be given as text."""
    entry = lookup_extended(DETECTORS, "inctrl.detectors", name, "detector")
    return entry.build(options or {}, adapter)


def parse_options(kind: type[OptionsT], given: Mapping[str, Any], owner: str) -> OptionsT:
    """An options dataclass from names and values, each checked and brought to its type."""
    types: dict[str, type] = {f.name: type(f.default) for f in fields(kind)}  # type: ignore[arg-type]
    parsed: dict[str, Any] = {}
    for name, value in given.items():
        if name not in types:
            raise unknown(name, types, f"option of {owner}")
        try:
            parsed[name] = types[name](value)
        except (TypeError, ValueError):
            raise UsageError(
                f"option {name}={value!r} of {owner} is not a {types[name].__name__}"
            ) from None
    return kind(**parsed)
