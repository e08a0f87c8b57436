"""Images to features: batched, and each image only once."""

import hashlib
from collections.abc import Sequence

from inctrl.backbones.cache import FeatureCache
from inctrl.images import Image
from inctrl.protocols import Backbone
from inctrl.types import Features, Fit, concatenate


def encode(
    backbone: Backbone,
    images: Sequence[Image],
    fit: Fit = "squash",
    cache: FeatureCache | None = None,
    batch: int = 8,
) -> Features:
    """Features of b images in their order, on the CPU; only those not remembered are computed.

    Memory for pixels is bounded by `batch`; equal images are encoded once.
    """
    keys = [_key(image, backbone, fit) for image in images]
    found: dict[str, Features] = {}
    if cache:
        for key in dict.fromkeys(keys):
            remembered = cache.read(key)
            if remembered is not None:
                found[key] = remembered
    missing = [(k, im) for k, im in dict(zip(keys, images, strict=True)).items() if k not in found]
    for start in range(0, len(missing), batch):
        part = missing[start : start + batch]
        features = backbone.encode_images(backbone.preprocess([im for _, im in part], fit))
        features = features.cpu()
        for i, (key, _) in enumerate(part):
            found[key] = features[i : i + 1]
            if cache:
                cache.write(key, found[key])
    return concatenate([found[key] for key in keys])


def _key(image: Image, backbone: Backbone, fit: Fit) -> str:
    return hashlib.sha256(f"{image.sha256} {backbone.fingerprint} {fit}".encode()).hexdigest()
