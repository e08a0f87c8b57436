"""SPADE: the nearest shots, then the nearest patches of each layer among them.

Cohen and Hoshen, "Sub-Image Anomaly Detection with Deep Pyramid Correspondences", 2020.

    distances of image tokens to the shots': mean of the K nearest  ->  score
    per layer, distance to the nearest patch at any place of those K shots,
    upsampled, mean over the layers, smoothed                       ->  map

Differences from the release (byungjae89/SPADE-pytorch at 077c67b): the whole gallery is searched
(the release drops what is left of chunks of 100), nothing is added to differences (1e-6 there), K
is at most the number of shots, and distances are never expanded to n x m x d. The released K of 5
is kept; the paper used 50.
"""

from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from inctrl.detectors.options import refuse_outside
from inctrl.files.tensors import pack_layers, unpack_layers
from inctrl.maths.grids import resize_map
from inctrl.maths.neighbours import nearest_rows
from inctrl.maths.smoothing import SIGMA, cell_at, pixel_size, smooth
from inctrl.types import Features, Item, Match, Options, Prediction


@dataclass(frozen=True)
class SpadeOptions:
    """
    neighbours   K: shots that are nearest to a query as a whole
    map_size     longer side of the map; it is smoothed with 4 pixels at 224
    """

    neighbours: int = 5
    map_size: int = 224

    def __post_init__(self) -> None:
        refuse_outside("neighbours", self.neighbours, 1, 100_000)
        refuse_outside("map_size", self.map_size, 8, 4096)


@dataclass(frozen=True, eq=False)
class SpadeContext:
    """The shots: patches k h w d a layer, image tokens k e."""

    patches: tuple[Tensor, ...]
    tokens: Tensor


class Spade:
    name = "spade"
    uses_text = False
    needs_shots = True
    localises = True
    any_place = True
    bounded = False

    def __init__(self, options: SpadeOptions | None = None) -> None:
        self._options = options or SpadeOptions()

    @property
    def options(self) -> Options:
        return asdict(self._options)

    def prepare(self, references: Features, item: Item) -> SpadeContext:  # noqa: ARG002
        return SpadeContext(references.patches, references.image)

    def score(self, queries: Features, context: SpadeContext) -> Prediction:
        options = self._options
        squared, gallery = nearest_rows(queries.image, context.tokens, options.neighbours)
        score = squared.sqrt().mean(dim=1)
        layers = zip(queries.patches, context.patches, strict=True)
        maps = [layer_map(query, shots, gallery) for query, shots in layers]
        size = pixel_size(maps[0].shape[1:], options.map_size)
        mean = torch.stack([resize_map(m, size) for m in maps]).mean(dim=0)
        return Prediction(score, smooth(mean, SIGMA * options.map_size))

    def nearest(self, query: Features, context: SpadeContext, cell: tuple[int, int]) -> Match:
        """By the finest layer, among the retrieved shots."""
        finest, shots = query.patches[0][0], context.patches[0]
        grid = (finest.shape[0], finest.shape[1])
        row, column = cell_at(cell, grid, self._options.map_size)
        _, gallery = nearest_rows(query.image, context.tokens, self._options.neighbours)
        # In the shots' own order, so that ties go to the first.
        kept = gallery[0].sort().values
        _, found = nearest_rows(finest[row, column][None], shots[kept].flatten(0, 2))
        shot, place = divmod(int(found), grid[0] * grid[1])
        there = divmod(place, grid[1])
        return Match(int(kept[shot]), *there, query=(row, column), grid=grid)

    def pack(self, context: SpadeContext) -> dict[str, Tensor]:
        return pack_layers(context.patches, tokens=context.tokens)

    def unpack(self, tensors: dict[str, Tensor]) -> SpadeContext:
        return SpadeContext(unpack_layers(tensors), tensors["tokens"])


def layer_map(query: Tensor, shots: Tensor, gallery: Tensor) -> Tensor:
    """Distance of each query patch to the nearest at any place of the shots in its gallery.

    query    b h w d
    shots    k h w d
    gallery  b c     shots to compare with, for each query
    returns  b h w
    """
    b, height, width, _ = query.shape
    patches = query.flatten(0, 2)
    # Once for each shot that any query wants; the galleries then only choose among the minima.
    used, chosen = gallery.unique(return_inverse=True)
    squared = [nearest_rows(patches, shots[i].flatten(0, 1))[0].view(b, -1) for i in used.tolist()]
    per_shot = torch.stack(squared, dim=1)
    own = chosen[:, :, None].expand(-1, -1, height * width)
    return per_shot.gather(1, own).amin(dim=1).sqrt().view(b, height, width)
