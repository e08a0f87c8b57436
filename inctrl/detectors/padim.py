"""PaDiM: a Gaussian at each position of the shots, Mahalanobis distances to it.

Defard et al., "PaDiM: a Patch Distribution Modeling Framework", ICPR Workshops 2020.

    layers repeated onto the finest grid, some channels drawn  ->  one vector a position
    mean and covariance + eps I over the shots, at each place  ->  context
    Mahalanobis distance, upsampled and smoothed               ->  map; its highest value: score

With k shots of d > k channels the ridge decides almost everything: off the span of the shots a
distance is 1/sqrt(eps) = 10 times the Euclidean one. Differences from the release
(xiahaifeng1995/PaDiM at 616004b): one shot has the covariance eps I (the release divides by 0),
nothing is scaled by the test set, and no covariance is inverted (maths/gaussian.py).
"""

import random
from dataclasses import asdict, dataclass

from torch import Tensor

from inctrl.detectors.options import refuse_outside
from inctrl.maths.gaussian import Gaussians, distance_map, fit_gaussians
from inctrl.maths.grids import repeat_concat
from inctrl.types import Features, Item, Options, Prediction

SEED = 1024
"""Of the released draw of channels."""
DRAWN = {448: 100, 1792: 550}
"""Released numbers of channels: layers 1 to 3 of ResNet-18 and of WideResNet-50-2."""


@dataclass(frozen=True)
class PaDiMOptions:
    """
    eps        ridge of the covariance, on the scale of squared features
    channels   number of channels drawn; 0: the released number where the layers are those of a
               released backbone, else all
    map_size   longer side of the map; it is smoothed with 4 pixels at 224
    """

    eps: float = 0.01
    channels: int = 0
    map_size: int = 224

    def __post_init__(self) -> None:
        refuse_outside("eps", self.eps, 1e-9, 1e6)
        refuse_outside("channels", self.channels, 0, 100_000)
        refuse_outside("map_size", self.map_size, 8, 4096)


class PaDiM:
    name = "padim"
    uses_text = False
    needs_shots = True
    localises = True
    bounded = False

    def __init__(self, options: PaDiMOptions | None = None) -> None:
        self._options = options or PaDiMOptions()

    @property
    def options(self) -> Options:
        return asdict(self._options)

    def prepare(self, references: Features, item: Item) -> Gaussians:  # noqa: ARG002
        vectors = self._embed(references)
        return fit_gaussians(vectors.flatten(1, 2), self._options.eps)

    def score(self, queries: Features, context: Gaussians) -> Prediction:
        anomaly_map = distance_map(self._embed(queries), context, self._options.map_size)
        return Prediction(anomaly_map.flatten(1).amax(dim=1), anomaly_map)

    def pack(self, context: Gaussians) -> dict[str, Tensor]:
        return context.pack()

    def unpack(self, tensors: dict[str, Tensor]) -> Gaussians:
        return Gaussians.unpack(tensors)

    def _embed(self, features: Features) -> Tensor:
        vectors = repeat_concat(features.patches)
        return vectors[..., drawn_channels(vectors.shape[-1], self._options.channels)]


def drawn_channels(available: int, wanted: int) -> list[int]:
    """Which channels are used: the released draw of `wanted` (0: the released number, or all)."""
    count = min(wanted or DRAWN.get(available, available), available)
    if count == available:
        return list(range(available))
    return random.Random(SEED).sample(range(available), count)  # noqa: S311  a fixed draw
