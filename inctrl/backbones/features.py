"""Images to features: batched, and each image only once."""

import hashlib
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from inctrl.backbones.cache import Remembers
from inctrl.images import Image
from inctrl.protocols import Backbone
from inctrl.types import Features, Fit, concatenate


@dataclass
class Tally:
    """Counts what encoding comes to, for whoever hands it to `encode`.

    encoded      images that went through the backbone, each time anew
    cached       distinct images whose features a cache had before
    seconds      spent in the backbone, preprocessing included
    """

    encoded: int = 0
    cached: int = 0
    seconds: float = 0.0
    _met: set[str] = field(default_factory=set)

    def recall(self, keys: Iterable[str]) -> None:
        """Features that a cache had; those of an image met before are nothing new."""
        fresh = set(keys) - self._met
        self.cached += len(fresh)
        self._met |= fresh

    def encode(self, keys: Iterable[str], seconds: float) -> None:
        """Images that went through the backbone together."""
        passed = list(keys)
        self.encoded += len(passed)
        self.seconds += seconds
        self._met.update(passed)


def encode(
    backbone: Backbone,
    images: Sequence[Image],
    fit: Fit = "squash",
    cache: Remembers | None = None,
    batch: int = 8,
    tally: Tally | None = None,
) -> Features:
    """Features of b images in their order, on the CPU; only those not remembered are computed.

    Memory for pixels is bounded by `batch`; equal images are encoded once.
    """
    keys = [_key(image, backbone, fit) for image in images]
    kept = {key: cache.read(key) for key in dict.fromkeys(keys)} if cache else {}
    found = {key: features for key, features in kept.items() if features is not None}
    if tally:
        tally.recall(found)
    missing = [(k, im) for k, im in dict(zip(keys, images, strict=True)).items() if k not in found]
    for start in range(0, len(missing), batch):
        part, started = missing[start : start + batch], time.perf_counter()
        features = backbone.encode_images(backbone.preprocessing([im for _, im in part], fit))
        features = features.cpu()
        if tally:
            tally.encode((key for key, _ in part), time.perf_counter() - started)
        for i, (key, _) in enumerate(part):
            found[key] = features[i : i + 1]
            if cache:
                cache.write(key, found[key])
    return concatenate([found[key] for key in keys])


def _key(image: Image, backbone: Backbone, fit: Fit) -> str:
    return hashlib.sha256(f"{image.sha256} {backbone.fingerprint} {fit}".encode()).hexdigest()
