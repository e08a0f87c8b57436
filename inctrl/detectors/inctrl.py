"""InCTRL: in-context residual learning (Zhu and Pang, CVPR 2024; arXiv 2403.06495).

A trained adapter fuses the patch residuals of three layers, the image-token residual and a text
prior. The maths is that of the released code (mala-lab/InCTRL at cc535d0), on any grid, width
and set of layers. Differences: every query meets its own shots (`grouping="per_query"`; the
release scrambles batches, `"released"` reproduces it), and the residual map is given out.
"""

from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import Tensor

from inctrl.adapters.fusion import FusedScores, InCTRLFusion
from inctrl.detectors.options import refuse_unlisted
from inctrl.errors import ContextMismatch
from inctrl.files.tensors import pack_layers, unpack_layers
from inctrl.maths.grids import mean_map, on_one_grid
from inctrl.maths.neighbours import nearest_patch, unit
from inctrl.maths.residuals import patch_residuals, released_grouping
from inctrl.maths.similarity import anomalous_probability
from inctrl.types import Features, Item, Match, Options, Prediction

Grouping = Literal["per_query", "released"]


@dataclass(frozen=True)
class InCTRLOptions:
    """grouping: "per_query", or "released" to reproduce the release's scrambled batches."""

    grouping: str = "per_query"

    def __post_init__(self) -> None:
        refuse_unlisted("grouping", self.grouping, ("per_query", "released"))


@dataclass(frozen=True, eq=False)
class Episode:
    """b queries and the shots they are compared with; patches have unit length along d.

    query_patches   one b h w d a layer
    query_tokens    b e, not normalised
    shot_patches    one (b) k h w d a layer: one set for all queries, or one each
    shot_tokens     (b) k e, not normalised
    prototypes      (b) 2 e, unit length, normal first; None without text
    """

    query_patches: tuple[Tensor, ...]
    query_tokens: Tensor
    shot_patches: tuple[Tensor, ...]
    shot_tokens: Tensor
    prototypes: Tensor | None


@dataclass(frozen=True, eq=False)
class EpisodeScores:
    """layer_maps one b h w a layer; patch_map b h w, their mean; text b or None; the fused scores.

    pixels   b h w, the probabilities of the pixel head; None without one
    """

    layer_maps: tuple[Tensor, ...]
    patch_map: Tensor
    text: Tensor | None
    fused: FusedScores
    pixels: Tensor | None = None


def compare(
    fusion: InCTRLFusion, episode: Episode, grouping: Grouping = "per_query"
) -> EpisodeScores:
    """The whole of InCTRL between the frozen features and the scores."""
    if grouping == "released":
        episode = _scrambled(episode)
    layer_maps = tuple(
        patch_residuals(query.flatten(1, 2), shots.flatten(-4, -2)).unflatten(1, query.shape[1:3])
        for query, shots in zip(episode.query_patches, episode.shot_patches, strict=True)
    )
    patch_map = mean_map(layer_maps)
    text = None
    if episode.prototypes is not None:
        text = anomalous_probability(episode.query_tokens, episode.prototypes)
    fused = fusion(patch_map.flatten(1), episode.query_tokens, episode.shot_tokens, text)
    pixels = fusion.pixel_head(on_one_grid(layer_maps)) if fusion.pixel_head else None
    return EpisodeScores(layer_maps, patch_map, text, fused, pixels)


def _scrambled(episode: Episode) -> Episode:
    b = len(episode.query_tokens)
    tokens = episode.shot_tokens
    tokens = tokens if tokens.ndim == 3 else tokens.expand(b, *tokens.shape)
    grid = episode.query_patches[0].shape[1:3]
    queries = [query.flatten(1, 2) for query in episode.query_patches]
    shots = [
        (s if s.ndim == 5 else s.expand(b, *s.shape)).flatten(2, 3) for s in episode.shot_patches
    ]
    queries, shots, tokens = released_grouping(queries, shots, tokens)
    return Episode(
        tuple(query.unflatten(1, grid) for query in queries),
        episode.query_tokens,
        tuple(shot.unflatten(2, grid) for shot in shots),
        tokens,
        episode.prototypes,
    )


@dataclass(frozen=True, eq=False)
class InCTRLContext:
    """The shots: unit patches k h w d a layer, raw tokens k e, prototypes 2 e or None."""

    patches: tuple[Tensor, ...]
    tokens: Tensor
    prototypes: Tensor | None


class InCTRL:
    name = "inctrl"
    needs_shots = True
    localises = True
    any_place = True
    bounded = False

    def __init__(self, fusion: InCTRLFusion, text: bool, options: InCTRLOptions) -> None:
        self.uses_text = text
        self._fusion = fusion.eval().requires_grad_(False)
        self._options = options

    @property
    def options(self) -> Options:
        return {"grouping": self._options.grouping}

    def prepare(self, references: Features, item: Item) -> InCTRLContext:
        rows, columns = references.patches[0].shape[1:3]
        if rows * columns != self._fusion.positions:
            raise ContextMismatch(
                f"the adapter was trained on {self._fusion.positions} positions, the backbone "
                f"gives {rows} x {columns}; set the image size it was trained with"
            )
        prototypes = item.prototypes if self.uses_text else None
        return InCTRLContext(tuple(map(unit, references.patches)), references.image, prototypes)

    @torch.inference_mode()
    def score(self, queries: Features, context: InCTRLContext) -> Prediction:
        episode = Episode(
            tuple(map(unit, queries.patches)),
            queries.image,
            context.patches,
            context.tokens,
            context.prototypes,
        )
        scores = compare(self._fusion, episode, cast(Grouping, self._options.grouping))
        shown = scores.patch_map if scores.pixels is None else scores.pixels
        return Prediction(score=scores.fused.final, anomaly_map=shown)

    def nearest(self, query: Features, context: InCTRLContext, cell: tuple[int, int]) -> Match:
        """By the first layer, whose cells are the map's."""
        finest = query.patches[0]
        found = nearest_patch(unit(finest[0, cell[0], cell[1]]), context.patches[0])
        return Match(*found, query=cell, grid=(finest.shape[1], finest.shape[2]))

    def pack(self, context: InCTRLContext) -> dict[str, Tensor]:
        text = {} if context.prototypes is None else {"prototypes": context.prototypes}
        return pack_layers(context.patches, tokens=context.tokens, **text)

    def unpack(self, tensors: dict[str, Tensor]) -> InCTRLContext:
        text = tensors.get("prototypes")
        return InCTRLContext(unpack_layers(tensors), tensors["tokens"], text)
