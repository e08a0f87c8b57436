"""A backbone that also looks through windows, for detectors that compare those."""

from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor

from inctrl.backbones.rewired import RewiredBackbone
from inctrl.errors import UsageError
from inctrl.protocols import Backbone, GivesWindows
from inctrl.types import Features


def windowed(backbone: Backbone, sizes: Sequence[int]) -> RewiredBackbone:
    """The backbone, whose features hold the windows of some sizes too."""
    if not isinstance(backbone, GivesWindows):
        raise UsageError(
            f"backbone {backbone.name!r} cannot look through windows; use 'tiny' or a vision "
            "transformer of openclip:"
        )
    eyes: GivesWindows = backbone

    def encode(pixels: Tensor) -> Features:
        features = backbone.encode_images(pixels)
        return replace(features, windows=eyes.encode_windows(pixels, sizes))

    return RewiredBackbone(backbone, encode, f"windows {tuple(sizes)}")
