"""Zero-shot detection: sentences about the item alone, no normal image needed.

The score is CLIP's zero-shot probability that the image token belongs to the anomalous sentences
rather than to the normal ones (InCTRL, CVPR 2024, section 3.3; the image score of WinCLIP). The
map shows where an image is unlike itself: per layer each position's residual to the nearest place
elsewhere in the same image, averaged on the finest grid. It does not follow the sentences.
"""

from dataclasses import dataclass

from torch import Tensor

from inctrl.errors import UsageError
from inctrl.maths.grids import mean_map
from inctrl.maths.residuals import elsewhere_residuals
from inctrl.maths.similarity import anomalous_probability
from inctrl.types import Features, Item, Options, Prediction


@dataclass(frozen=True, eq=False)
class ZeroShotContext:
    """prototypes 2 e, unit length, normal first."""

    prototypes: Tensor


class ZeroShot:
    """Shots, where there are some, calibrate it and take no part in its scores."""

    name = "zeroshot"
    uses_text = True
    needs_shots = False
    localises = True
    bounded = True
    map_scale = (0.12, 0.3)
    """Of residuals of an image to itself: on photographs of textures and parts most lie below, the
    highest of an image at 0.15 to 0.2."""
    meaning = (
        "The score says how far the image agrees with sentences about a damaged item rather than a "
        "flawless one (0.5: with both alike). The map shows where an image is unlike the rest of "
        "itself, which need not be a defect."
    )

    @property
    def options(self) -> Options:
        return {}

    def prepare(self, references: Features, item: Item) -> ZeroShotContext:  # noqa: ARG002
        if item.prototypes is None:
            raise UsageError(
                "detector 'zeroshot' compares images with sentences, but the backbone has no text "
                "tower; use one with text, or detector 'incontext', which needs normal images"
            )
        return ZeroShotContext(item.prototypes)

    def score(self, queries: Features, context: ZeroShotContext) -> Prediction:
        anomaly_map = mean_map([elsewhere_residuals(layer) for layer in queries.patches])
        score = anomalous_probability(queries.image, context.prototypes)
        return Prediction(score=score, anomaly_map=anomaly_map)

    def pack(self, context: ZeroShotContext) -> dict[str, Tensor]:
        return {"prototypes": context.prototypes}

    def unpack(self, tensors: dict[str, Tensor]) -> ZeroShotContext:
        return ZeroShotContext(tensors["prototypes"])
