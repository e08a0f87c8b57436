"""RegAD: a Gaussian at each position of the registered shots and of altered versions of them.

Huang et al., "Registration Based Few-Shot Anomaly Detection", ECCV 2022.

    each shot and 21 versions of it: turned, shifted, flipped, grey     ->  Features.versions
    features registered by spatial transformers, warped back            ->  backbones/aligned.py
    layers repeated onto the finest grid; mean and covariance + eps I   ->  context
    Mahalanobis distance, upsampled and smoothed                        ->  map; its maximum: score

The registration is a trained adapter, which wraps the backbone. Without one every transformer is
the identity: what is left is PaDiM of all channels on the versions, and nothing is registered.
Differences from the release (MediaBrain-SJTU/RegAD at 5e2c1f8): versions are 8-bit images, made
of the shot in its own shape before it is fitted to the backbone, not of a square of 224 pixels;
pixels are normalised as the backbone wants them; nothing is scaled by the test set; the siamese
comparison, which the release computes for a query and does not use, is left out; no covariance is
inverted (maths/gaussian.py).
"""

from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor

from inctrl.decoding import open_image
from inctrl.detectors.options import refuse_outside
from inctrl.errors import UsageError
from inctrl.images import Image
from inctrl.maths.gaussian import Gaussians, distance_map, fit_gaussians
from inctrl.maths.grids import repeat_concat
from inctrl.maths.warps import altered
from inctrl.types import Features, Item, Options, Prediction

LARGEST = 1_000_000
"""Pixels of a shot from which its versions are made; a larger one is reduced first."""


@dataclass(frozen=True)
class RegADOptions:
    """
    eps        ridge of the covariance, on the scale of squared features
    map_size   longer side of the map; it is smoothed with 4 pixels at 224
    """

    eps: float = 0.01
    map_size: int = 224

    def __post_init__(self) -> None:
        refuse_outside("eps", self.eps, 1e-9, 1e6)
        refuse_outside("map_size", self.map_size, 8, 4096)


class RegAD:
    name = "regad"
    uses_text = False
    needs_shots = True
    localises = True
    bounded = False

    def __init__(self, options: RegADOptions | None = None) -> None:
        self._options = options or RegADOptions()

    @property
    def options(self) -> Options:
        return asdict(self._options)

    def versions(self, image: Image) -> list[Image]:
        rgb = torch.from_numpy(image.bounded(LARGEST).rgb.copy()).permute(2, 0, 1)[None].float()
        made = [
            version[0].permute(1, 2, 0).round().clamp(0, 255).to(torch.uint8).numpy()
            for version in altered(rgb)[1:]
        ]
        return [
            open_image(np.ascontiguousarray(pixels), f"{image.name} (version {i})")
            for i, pixels in enumerate(made, start=1)
        ]

    def prepare(self, references: Features, item: Item) -> Gaussians:  # noqa: ARG002
        if not references.versions:
            raise UsageError(
                "detector 'regad' compares with altered versions of the shots, and these features "
                "have none; encode the shots with Inspector.encode_shots"
            )
        layers = [
            torch.cat([shots, versions.flatten(0, 1)])
            for shots, versions in zip(references.patches, references.versions, strict=True)
        ]
        samples = repeat_concat(layers).flatten(1, 2)
        # Kept in single precision, the many samples take half the memory; sums are in double.
        return fit_gaussians(samples, self._options.eps, torch.float32)

    def score(self, queries: Features, context: Gaussians) -> Prediction:
        anomaly_map = distance_map(repeat_concat(queries.patches), context, self._options.map_size)
        return Prediction(anomaly_map.flatten(1).amax(dim=1), anomaly_map)

    def pack(self, context: Gaussians) -> dict[str, Tensor]:
        return context.pack()

    def unpack(self, tensors: dict[str, Tensor]) -> Gaussians:
        return Gaussians.unpack(tensors)
