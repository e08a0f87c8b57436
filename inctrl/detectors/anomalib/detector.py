"""The detector: one model of the library, trained anew by every `prepare`.

Queries are scored one at a time, because some maps are scaled by the highest value of the batch
(CFlow).
"""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from inctrl.backbones.weights import wanted
from inctrl.detectors.anomalib.assembly import Assembled, assemble, rounded_side
from inctrl.detectors.anomalib.contained import contained
from inctrl.detectors.anomalib.models import Model, find_model
from inctrl.detectors.anomalib.options import (
    AnomalibOptions,
    chosen_arguments,
    refuse_missing_folder,
)
from inctrl.detectors.anomalib.towers import HUB, RANDOM, TowerWeights, tower_weights
from inctrl.detectors.anomalib.training import train
from inctrl.errors import ContextMismatch, MissingModel, UsageError
from inctrl.types import Features, Item, Options, Prediction

CHOICES = ("backbone", "layers", "images")
"""Options that the library itself may refuse."""
REFUSALS = (LookupError, RuntimeError, TypeError, ValueError)
"""What the library raises for layers and towers that it does not know."""


@dataclass(frozen=True, eq=False)
class AnomalibContext:
    """A fitted module of the library, in eval mode.

    side, count   of the normals it was fitted to
    """

    fitted: Assembled
    side: int
    count: int


def make(name: str, options: AnomalibOptions) -> "Anomalib":
    """`name` is what follows `anomalib:`; MissingModel where library or weights are absent."""
    model, version = find_model(name), _library_version()
    if options.version not in ("", version):
        raise ContextMismatch(
            f"anomalib:{name} is wanted as of anomalib {options.version}, but {version} is "
            "installed; install that one, or prepare the shots again"
        )
    return Anomalib(name, model, options, version)


def _library_version() -> str:
    """The version at hand; the whole library is read, as some modules draw random numbers then."""
    try:
        with contained(seed=0):
            for part in ("anomalib.models", "lightning.pytorch"):
                importlib.import_module(part)
            version: str = importlib.import_module("anomalib").__version__
    except ImportError as error:
        raise MissingModel(
            f"the anomalib library is not at hand ({error}); install 'inctrl[anomalib]' in an "
            "environment of its own, as `make test-anomalib` does (README, Install)"
        ) from None
    return version


class Anomalib:
    """One model of the library; `version` is the library's."""

    uses_text = False
    needs_shots = True
    bounded = False

    def __init__(self, name: str, model: Model, options: AnomalibOptions, version: str) -> None:
        self.name = f"anomalib:{name}"
        self.localises = model.localises
        self._model = model
        self._options = options
        self._version = version
        self._arguments = chosen_arguments(self.name, model, options)
        self._weights = tower_weights(self.name, model, options)
        self._steps = (options.steps or model.steps) if model.steps else 0

    @property
    def options(self) -> Options:
        """What was used; given back as options, saved contexts can be read with them."""
        weights = self._weights.identity
        found = {"weights": weights, "steps": self._steps, "version": self._version}
        return asdict(self._options) | found

    def prepare(self, references: Features, item: Item) -> AnomalibContext:  # noqa: ARG002
        pixels = _pixels(references, self.name)
        if len(pixels) < self._model.least:
            raise UsageError(
                f"{self.name} cannot be fitted to {len(pixels)} normal images but to "
                f"{self._model.least}; give {self._model.least + 1} or more, as each is left out "
                "in turn to set the limit"
            )
        if self._weights.absent:
            raise MissingModel(
                f"{self.name} has no file of the weights {self._weights.identity!r}, which only a "
                "saved context can do without; give it with -o weights=FILE"
            )
        refuse_missing_folder(self.name, self._options.images)
        side, count = pixels.shape[-1], len(pixels)
        with contained(self._options.seed), torch.enable_grad(), self._library_errors():
            made = self._assembled(side, count, self._weights, self._options.images)
            images = made.prepared(pixels)
            train(made.module, images, self._model, self._steps, self._options.batch)
        for buffer in made.module.model.buffers():
            # As read back from a file: another order in memory would round differently.
            buffer.data = buffer.data.contiguous()
        made.module.eval()
        return AnomalibContext(made, side, count)

    @torch.no_grad()
    def score(self, queries: Features, context: AnomalibContext) -> Prediction:
        made, scores, maps = context.fitted, [], []
        for pixels in _pixels(queries, self.name).split(1):
            with contained(self._options.seed):
                seen = made.module.model(made.prepared(pixels))
            score = seen.pred_score.reshape(1).float() + self._model.shift
            scores.append(score)
            maps.append(self._map(seen.anomaly_map, score, pixels.shape[-1]))
        return Prediction(score=torch.cat(scores), anomaly_map=torch.cat(maps))

    def pack(self, context: AnomalibContext) -> dict[str, Tensor]:
        held = context.fitted.module.model.state_dict()
        state = {name: tensor.detach().clone() for name, tensor in held.items()}
        return state | {"side": torch.tensor(context.side), "count": torch.tensor(context.count)}

    def unpack(self, tensors: dict[str, Tensor]) -> AnomalibContext:
        state = dict(tensors)
        side, count = int(state.pop("side")), int(state.pop("count"))
        with contained(self._options.seed):
            # All weights are replaced and nothing is trained: neither tower nor images are wanted.
            made = self._assembled(side, count, RANDOM)
        made.module.model.load_state_dict(state)
        made.module.eval()
        return AnomalibContext(made, side, count)

    def _assembled(
        self, side: int, count: int, weights: TowerWeights, images: str = ""
    ) -> Assembled:
        rounded = rounded_side(self.name, self._model, side)
        arguments: dict[str, Any] = self._model.settings(rounded, count) | self._arguments
        return assemble(self._model, arguments, weights, rounded, images)

    @contextmanager
    def _library_errors(self) -> Iterator[None]:
        """What the library says of options or files that it cannot use becomes one line."""
        fetched = self._weights is HUB
        hub = wanted(self.name, f"the weights {self._model.tower!r}", allow_network=True)
        # What cannot be fetched is an OSError as well, and `wanted` explains it better.
        refusals = REFUSALS if fetched else (*REFUSALS, OSError)
        with hub if fetched else nullcontext():
            try:
                yield
            except refusals as error:
                options = {name: getattr(self._options, name) for name in CHOICES}
                chosen = " ".join(f"{name}={given!r}" for name, given in options.items() if given)
                reason = " ".join(str(error).split())[:200]
                raise UsageError(
                    f"{self.name} cannot be trained with {chosen or 'its defaults'} "
                    f"({type(error).__name__}: {reason})"
                ) from error

    def _map(self, seen: Tensor | None, score: Tensor, side: int) -> Tensor:
        """1 h w; the score itself where the model does not localise."""
        if not self._model.localises or seen is None:
            return score.reshape(1, 1, 1)
        # Some sides were rounded down: cells must lie where the backbone's view has them.
        square = seen.reshape(1, 1, *seen.shape[-2:]).float() + self._model.shift
        if square.shape[-1] != side:
            square = F.interpolate(square, (side, side), mode="bilinear", align_corners=False)
        return square[0]


def _pixels(features: Features, name: str) -> Tensor:
    """patches b S S 3 of the one layer -> b 3 S S."""
    shapes = [tuple(layer.shape) for layer in features.patches]
    if len(shapes) != 1 or shapes[0][-1] != 3 or shapes[0][1] != shapes[0][2]:
        raise UsageError(f"{name} looks at the images themselves; use the backbone 'pixels'")
    return features.patches[0].permute(0, 3, 1, 2).contiguous()
