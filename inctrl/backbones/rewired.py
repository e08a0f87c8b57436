"""A backbone that encodes images in another way than its own, and is itself in all else."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace

from torch import Tensor

from inctrl.errors import UsageError
from inctrl.preprocessing import Preprocessing
from inctrl.protocols import Backbone, GivesWindows
from inctrl.types import Features


class RewiredBackbone:
    """Wraps a backbone.

    encode   what `encode_images` does instead
    wiring   says all that the features depend on besides the backbone; it joins the fingerprint
    """

    def __init__(
        self, backbone: Backbone, encode: Callable[[Tensor], Features], wiring: str
    ) -> None:
        self._backbone = backbone
        self._encode = encode
        identity = f"{backbone.fingerprint} {wiring}"
        self.fingerprint = hashlib.sha256(identity.encode()).hexdigest()

    @property
    def name(self) -> str:
        return self._backbone.name

    @property
    def image_size(self) -> int:
        return self._backbone.image_size

    @property
    def layers(self) -> tuple[str, ...]:
        return self._backbone.layers

    @property
    def has_text(self) -> bool:
        return self._backbone.has_text

    @property
    def precision(self) -> str:
        return self._backbone.precision

    @property
    def preprocessing(self) -> Preprocessing:
        return self._backbone.preprocessing

    def encode_images(self, pixels: Tensor) -> Features:
        return self._encode(pixels)

    def encode_text(self, sentences: Sequence[str]) -> Tensor:
        return self._backbone.encode_text(sentences)


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
