"""CoOp: prompts whose context is learned (Zhou et al., IJCV 2022; arXiv 2109.01134).

Two classes, normal first: "[V1]..[Vm] normal ITEM." and "[V1]..[Vm] anomalous ITEM.", with vectors
trained on labelled images of other items (training/prompt_context.py):

    score = softmax over the classes of cos(image, prompt) / temperature, the anomalous part

Differences from the released classifier: the two classes above, whose context serves any item; the
vectors are placed by counts of tokens, not words; the end token is found by its own id; single
precision throughout. CoOp has no map. Shots calibrate it and take no part in its scores.
"""

from dataclasses import dataclass

from torch import Tensor

from inctrl.errors import UsageError
from inctrl.maths.similarity import anomalous_probability
from inctrl.types import Features, Item, Options, Prediction


@dataclass(frozen=True, eq=False)
class CoOpContext:
    """prototypes 2 e, unit length, normal first: the prompts of an item."""

    prototypes: Tensor


class CoOp:
    """Judges the image as a whole, by the prompts that Item.prototypes holds."""

    name = "coop"
    uses_text = True
    needs_shots = False
    localises = False
    bounded = True
    map_scale = (0.5, 1.0)
    meaning = (
        "The score is the probability that the image agrees with the learned prompt of an "
        "anomalous item rather than with that of a normal one; there is no map."
    )

    def __init__(self, temperature: float) -> None:
        self._temperature = temperature

    @property
    def options(self) -> Options:
        return {}

    def prepare(self, references: Features, item: Item) -> CoOpContext:  # noqa: ARG002
        if item.prototypes is None:
            raise UsageError("detector 'coop' needs a backbone with text; use the adapter's own")
        return CoOpContext(item.prototypes)

    def score(self, queries: Features, context: CoOpContext) -> Prediction:
        score = anomalous_probability(queries.image, context.prototypes, self._temperature)
        return Prediction(score=score, anomaly_map=score[:, None, None])

    def pack(self, context: CoOpContext) -> dict[str, Tensor]:
        return {"prototypes": context.prototypes}

    def unpack(self, tensors: dict[str, Tensor]) -> CoOpContext:
        return CoOpContext(tensors["prototypes"])
