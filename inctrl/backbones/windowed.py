"""A backbone that also looks through windows, for detectors that compare those."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor

from inctrl.errors import UsageError
from inctrl.images import Image
from inctrl.maths.geometry import View
from inctrl.protocols import Backbone, GivesWindows
from inctrl.types import Features, Fit


class WindowedBackbone:
    """Another backbone, whose features hold the windows of some sizes too."""

    def __init__(self, backbone: Backbone, sizes: Sequence[int]) -> None:
        if not isinstance(backbone, GivesWindows):
            raise UsageError(
                f"backbone {backbone.name!r} cannot look through windows; use 'tiny' or a vision "
                "transformer of openclip:"
            )
        self._backbone, self._eyes, self._sizes = backbone, backbone, tuple(sizes)
        told = f"{backbone.fingerprint} windows {self._sizes}"
        self.fingerprint = hashlib.sha256(told.encode()).hexdigest()

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

    def view(self, image: Image, fit: Fit) -> View:
        return self._backbone.view(image, fit)

    def preprocess(self, images: Sequence[Image], fit: Fit) -> Tensor:
        return self._backbone.preprocess(images, fit)

    def encode_images(self, pixels: Tensor) -> Features:
        features = self._backbone.encode_images(pixels)
        return replace(features, windows=self._eyes.encode_windows(pixels, self._sizes))

    def encode_text(self, sentences: Sequence[str]) -> Tensor:
        return self._backbone.encode_text(sentences)
