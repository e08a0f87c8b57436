"""Trainable parts of the detectors, and the files they are saved in: the table of kinds."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from inctrl.adapters.fusion import InCTRLFusion
from inctrl.adapters.prompt_context import PromptContext
from inctrl.adapters.registration import Registration
from inctrl.errors import InvalidFile
from inctrl.registry import lookup

KINDS: dict[str, Callable[..., nn.Module]] = {
    "inctrl": InCTRLFusion,
    "prompt_context": PromptContext,
    "registration": Registration,
}


def build_module(kind: str, shape: Mapping[str, Any], source: str) -> nn.Module:
    """An untrained module of a kind; InvalidFile names the source where the shape is not its."""
    make = lookup(KINDS, kind, "kind of adapter")
    try:
        return make(**shape)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InvalidFile(f"{source!r} has no shape of kind {kind!r} ({error})") from None
