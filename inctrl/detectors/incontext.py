"""Training-free in-context detection: residuals to the k normal shots, nothing learned.

Per layer every position is L2-normalised; its residual is half the cosine distance to the
nearest position of all shots (InCTRL's patch residual, CVPR 2024, eq. 1); the layers' maps are
averaged on the finest grid. The score is the mean of the worst 3 % of positions, of a mean in which
the layers of one grid share a vote: the blocks of `duo` show defects more finely than they tell
images apart (docs/accuracy.md). Positions are not pooled over neighbourhoods: that costs 2 to 3
points on average.

Where the backbone has text, the sentences' probability that an image is anomalous (section 3.3)
moves the score by a tenth at the most, and by less the less the shots bear it out.
"""

from dataclasses import asdict, dataclass, replace

import torch
from torch import Tensor

from inctrl.detectors.options import refuse_outside
from inctrl.errors import UsageError
from inctrl.files.tensors import pack_layers, unpack_layers
from inctrl.maths.grids import mean_map, top_mean, voted_map
from inctrl.maths.neighbours import nearest_patch, unit
from inctrl.maths.residuals import patch_residuals
from inctrl.maths.similarity import anomalous_probability, informed, trust
from inctrl.types import Features, Item, Match, Options, Prediction


@dataclass(frozen=True)
class InContextOptions:
    """Weights of 0 switch a part off; only parts that help on many sets are on.

    top_share         share of the positions whose mean is the image score; in N x N tiles an N-th
                      of it: who looks closer looks for what is smaller
    image_weight      times the image token's own residual, added to the score
    position_weight   prior for matching at the same place: times the squared distance of the
                      two places, in sides of the image, taken off the similarity
    reverse_weight    times the residual of the shots to the query (what is missing), added
    text_weight       the most that the text prior moves the score, as a share of it
    """

    top_share: float = 0.03
    image_weight: float = 0.0
    position_weight: float = 0.0
    reverse_weight: float = 0.0
    text_weight: float = 0.1

    def __post_init__(self) -> None:
        refuse_outside("top_share", self.top_share, 0, 1, open_low=True)
        for name in ("image_weight", "position_weight", "reverse_weight"):
            if not 0 <= getattr(self, name) < 1000:
                raise UsageError(f"option {name}={getattr(self, name):g} is not in [0, 1000)")
        refuse_outside("text_weight", self.text_weight, 0, 1)


TEMPERATURE = 0.02
"""Twice CLIP's: a prior that only nudges should not be sure of itself."""


@dataclass(frozen=True, eq=False)
class TextPrior:
    """prototypes 2 e; shots k, their probabilities of being anomalous; weight, a scalar."""

    prototypes: Tensor
    shots: Tensor
    weight: Tensor


@dataclass(frozen=True, eq=False)
class InContextContext:
    """The shots' patches, one k h w d a layer, and image tokens k e; all of unit length.

    text   None where the backbone has no text or the prior is off
    gone   rows of `patches` that are not compared with; tokens and text know nothing of them
    """

    patches: tuple[Tensor, ...]
    tokens: Tensor
    text: TextPrior | None = None
    gone: range = range(0)


class InContext:
    name = "incontext"
    needs_shots = True
    localises = True
    any_place = True
    bounded = False

    def __init__(self, options: InContextOptions | None = None) -> None:
        self._options = options or InContextOptions()

    @property
    def uses_text(self) -> bool:
        return self._options.text_weight > 0

    @property
    def takes_loose(self) -> bool:
        """The two parts that are off by default ask where a patch lies, and in which shot."""
        return not (self._options.position_weight or self._options.reverse_weight)

    @property
    def options(self) -> Options:
        return asdict(self._options)

    def prepare(self, references: Features, item: Item) -> InContextContext:
        tokens = unit(references.image)
        text = self._prior(tokens, item.prototypes) if self.uses_text else None
        return InContextContext(_directions(references), tokens, text)

    def without(self, context: InContextContext, shots: range) -> InContextContext:
        """The context of all other shots; it shares the patches."""
        tokens = torch.cat([context.tokens[: shots.start], context.tokens[shots.stop :]])
        text = context.text and self._prior(tokens, context.text.prototypes)
        return replace(context, tokens=tokens, text=text, gone=shots)

    def score(self, queries: Features, context: InContextContext) -> Prediction:
        options = self._options
        layers = list(zip(_directions(queries), context.patches, strict=True))
        maps = [self._residual_map(query, shots, context.gone) for query, shots in layers]
        worst = options.top_share / queries.closer
        score = top_mean(voted_map(maps).flatten(1), worst)
        if options.image_weight:
            score = score + options.image_weight * patch_residuals(
                unit(queries.image)[:, None], context.tokens
            ).squeeze(1)
        if options.reverse_weight:
            score = score + options.reverse_weight * self._reverse_score(layers, context.gone)
        if context.text is not None:
            text = context.text
            said = anomalous_probability(queries.image, text.prototypes, TEMPERATURE)
            score = informed(score, said, text.shots, text.weight)
        return Prediction(score=score, anomaly_map=mean_map(maps))

    def nearest(self, query: Features, context: InContextContext, cell: tuple[int, int]) -> Match:
        """By the finest layer, whose cells are the map's."""
        finest = query.patches[0]
        found = nearest_patch(unit(finest[0, cell[0], cell[1]]), context.patches[0])
        return Match(*found, query=cell, grid=(finest.shape[1], finest.shape[2]))

    def text_weight(self, context: InContextContext) -> float:
        return float(context.text.weight) if context.text else 0.0

    def pack(self, context: InContextContext) -> dict[str, Tensor]:
        text = context.text
        said = (
            {"prototypes": text.prototypes, "said": text.shots, "weight": text.weight}
            if text
            else {}
        )
        return pack_layers(context.patches, tokens=context.tokens, **said)

    def unpack(self, tensors: dict[str, Tensor]) -> InContextContext:
        text = None
        if "prototypes" in tensors:
            text = TextPrior(tensors["prototypes"], tensors["said"], tensors["weight"])
        return InContextContext(unpack_layers(tensors), tensors["tokens"], text)

    def _prior(self, tokens: Tensor, prototypes: Tensor | None) -> TextPrior | None:
        if prototypes is None:
            return None
        shots = anomalous_probability(tokens, prototypes, TEMPERATURE)
        return TextPrior(prototypes, shots, self._options.text_weight * trust(shots))

    def _residual_map(self, query: Tensor, shots: Tensor, gone: range) -> Tensor:
        """query b h w d, shots k h w d -> b h w."""
        placed = self._placed(query, query=True).flatten(1, 2)
        memory = self._placed(shots, query=False)
        runs = (memory[: gone.start], memory[gone.stop :]) if gone else (memory,)
        residuals = [patch_residuals(placed, run.flatten(0, 2)) for run in runs if len(run)]
        return torch.stack(residuals).amin(dim=0).reshape(query.shape[:3])

    def _reverse_score(self, layers: list[tuple[Tensor, Tensor]], gone: range) -> Tensor:
        """b: the least, over the shots, of how much of a shot has no match in the query."""
        per_shot: list[Tensor] = []
        for shot in (i for i in range(len(layers[0][1])) if i not in gone):
            maps = []
            for query, shots in layers:
                mine = self._placed(shots[shot : shot + 1], query=True).flatten(1, 2)
                theirs = self._placed(query, query=False).flatten(1, 2)
                maps.append(patch_residuals(mine, theirs).unflatten(1, query.shape[1:3]))
            per_shot.append(top_mean(voted_map(maps).flatten(1), self._options.top_share))
        return torch.stack(per_shot).amin(dim=0)

    def _placed(self, patches: Tensor, *, query: bool) -> Tensor:
        """... h w d -> ... h w d+4, whose inner products are <q, r> - weight * |place - place|^2.

        The square is written out, so that the prior costs four more channels and no search of
        its own: -w|a - b|^2 = 2w a.b - w|a|^2 - w|b|^2.
        """
        weight = self._options.position_weight
        if not weight:
            return patches
        rows, columns = patches.shape[-3:-1]
        y = (torch.arange(rows, device=patches.device) + 0.5) / rows
        x = (torch.arange(columns, device=patches.device) + 0.5) / columns
        place = torch.stack(torch.meshgrid(y, x, indexing="ij"), dim=-1)
        square, one = place.square().sum(-1, keepdim=True), torch.ones(rows, columns, 1)
        if query:
            extra = torch.cat([2 * weight * place, -weight * square, one.to(place)], dim=-1)
        else:
            extra = torch.cat([place, one.to(place), -weight * square], dim=-1)
        return torch.cat([patches, extra.expand(*patches.shape[:-1], 4)], dim=-1)


def _directions(features: Features) -> tuple[Tensor, ...]:
    return features.patches if features.unit else tuple(map(unit, features.patches))
