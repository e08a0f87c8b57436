"""PatchCore: nearest neighbours in a memory bank of patches (Roth et al., CVPR 2022).

    patches of two or more stages, each with its 3 x 3 neighbourhood  ->  one vector a position
    vectors of all shots, thinned to a coreset                        ->  memory bank
    squared distance of a query's vector to the nearest in the bank   ->  map; its highest: score

Differences from the release (amazon-science/patchcore-inspection at fcaa92f): at least one row is
kept, and all of up to 8 shots; a coreset ends early where only copies remain; B nearest neighbours
are at most as many as the bank holds. `reweight`, `embedding=average` and `upsample=nearest` give
the paper's score as anomalib computes it, which the release does not have.
"""

from dataclasses import asdict, dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from inctrl.detectors.options import refuse_outside, refuse_unlisted
from inctrl.errors import UsageError
from inctrl.maths.neighbours import nearest_rows
from inctrl.maths.smoothing import SIGMA, cell_at, pixel_map, pixel_size, smooth
from inctrl.memory import MemoryBank, Sampler, Search, Thinning
from inctrl.types import Features, Item, Match, Options, Prediction


@dataclass(frozen=True)
class PatchCoreOptions:
    """
    patch        side p of the neighbourhood of a position, odd
    embedding    "adaptive" (released): neighbourhoods in channels, pooled to `stage_channels`
                 a stage, then to `channels`; "average" (anomalib): mean of each neighbourhood
    fraction     share of the vectors kept as coreset, by `sampler` ("approximate" | "exact")
    keep_shots   up to so many shots are kept whole
    neighbours   nearest neighbours whose squared distances are averaged
    reweight     the paper's equation 7: plain distances, the image score weighed by how common
                 the nearest entry is among its `reweight_neighbours`. Raw distances are
                 exponents, so it depends on the scale of the features
    upsample     "bilinear" (released) or "nearest" with borders mirrored (anomalib)
    search       "auto", "torch", "flat" or "ivf" (memory.py)
    map_size     longer side of the map; it is smoothed with 4 pixels at 224
    """

    patch: int = 3
    embedding: str = "adaptive"
    stage_channels: int = 1024
    channels: int = 1024
    fraction: float = 0.1
    sampler: Sampler = "approximate"
    keep_shots: int = 8
    neighbours: int = 1
    reweight: bool = False
    reweight_neighbours: int = 9
    upsample: str = "bilinear"
    search: Search = "auto"
    map_size: int = 224
    seed: int = 0

    def __post_init__(self) -> None:
        refuse_outside("patch", self.patch, 1, 15)
        if self.patch % 2 == 0:
            raise UsageError(f"option patch={self.patch} is not odd: a patch has a centre")
        refuse_outside("fraction", self.fraction, 0, 1, open_low=True)
        for name in ("stage_channels", "channels", "neighbours", "reweight_neighbours"):
            refuse_outside(name, getattr(self, name), 1, 100_000)
        refuse_outside("map_size", self.map_size, 8, 4096)
        refuse_outside("seed", self.seed, 0, 2**31 - 1)
        refuse_outside("keep_shots", self.keep_shots, 0, 100_000)
        refuse_unlisted("embedding", self.embedding, ("adaptive", "average"))
        refuse_unlisted("sampler", self.sampler, ("approximate", "exact"))
        refuse_unlisted("upsample", self.upsample, ("bilinear", "nearest"))
        refuse_unlisted("search", self.search, ("auto", "torch", "flat", "ivf"))


@dataclass(frozen=True, eq=False)
class PatchCoreContext:
    """The bank, and the grid (rows, columns) of the shots it was filled from."""

    bank: MemoryBank
    grid: tuple[int, int]


class PatchCore:
    name = "patchcore"
    uses_text = False
    needs_shots = True
    localises = True
    any_place = True
    bounded = False

    def __init__(self, options: PatchCoreOptions | None = None) -> None:
        self._options = options or PatchCoreOptions()

    @property
    def options(self) -> Options:
        return asdict(self._options)

    def prepare(self, references: Features, item: Item) -> PatchCoreContext:  # noqa: ARG002
        vectors = self._embed(references)
        grid = (vectors.shape[1], vectors.shape[2])
        bank = MemoryBank.build(vectors.flatten(0, 2), self._thinning(grid))
        return PatchCoreContext(bank, grid)

    def score(self, queries: Features, context: PatchCoreContext) -> Prediction:
        options, bank = self._options, context.bank
        vectors = self._embed(queries)
        b, rows, columns, _ = vectors.shape
        squared, nearest = bank.search(vectors.flatten(0, 2), options.neighbours, options.search)
        if options.reweight:
            distances = squared[:, 0].sqrt().view(b, -1)
            score = reweighted(
                vectors.flatten(1, 2),
                distances,
                nearest[:, 0].view(b, -1),
                bank.rows,
                options.reweight_neighbours,
            )
        else:
            distances = squared.mean(dim=1).view(b, -1)
            score = distances.amax(dim=1)
        return Prediction(score, self._map(distances.view(b, rows, columns)))

    def nearest(self, query: Features, context: PatchCoreContext, cell: tuple[int, int]) -> Match:
        """The bank's entry nearest to the patch at this place of the map."""
        vectors = self._embed(query)[0]
        grid = (vectors.shape[0], vectors.shape[1])
        row, column = cell_at(cell, grid, self._options.map_size)
        _, entry = context.bank.search(vectors[row, column][None])
        shot, place = divmod(int(context.bank.places[entry]), context.grid[0] * context.grid[1])
        there = divmod(place, context.grid[1])
        return Match(shot, *there, query=(row, column), grid=grid)

    def pack(self, context: PatchCoreContext) -> dict[str, Tensor]:
        return {**context.bank.pack(), "grid": torch.tensor(context.grid)}

    def unpack(self, tensors: dict[str, Tensor]) -> PatchCoreContext:
        rows, columns = tensors["grid"].tolist()
        return PatchCoreContext(MemoryBank.unpack(tensors), (rows, columns))

    def _embed(self, features: Features) -> Tensor:
        options = self._options
        if options.embedding == "average":
            return averaged(features.patches, options.patch)
        return adaptive(features.patches, options.patch, options.stage_channels, options.channels)

    def _thinning(self, grid: tuple[int, int]) -> Thinning:
        options = self._options
        whole = options.keep_shots * grid[0] * grid[1]
        return Thinning(options.fraction, whole, options.sampler, seed=options.seed)

    def _map(self, distances: Tensor) -> Tensor:
        longest = self._options.map_size
        if self._options.upsample == "bilinear":
            return pixel_map(distances, longest)
        size = pixel_size(distances.shape[1:], longest)
        pixels = F.interpolate(distances[:, None], size, mode="nearest")
        return smooth(pixels[:, 0], SIGMA * longest, edge="mirror")


def adaptive(layers: tuple[Tensor, ...], patch: int, stage_channels: int, channels: int) -> Tensor:
    """The released embedding: layers b h w d, finest first -> b h w `channels`.

    All steps are linear, so that each stage is pooled on its own grid before it is resized.
    """
    size = layers[0].shape[1:3]
    stages = []
    for layer in layers:
        windows = F.unfold(_first(layer), patch, padding=patch // 2)
        pooled = _pooled(windows, stage_channels).unflatten(2, layer.shape[1:3])
        stages.append(_resized(pooled, size).flatten(2))
    vectors = _pooled(torch.cat(stages, dim=1), channels)
    return vectors.view(-1, channels, *size).permute(0, 2, 3, 1).contiguous()


def _pooled(values: Tensor, channels: int) -> Tensor:
    """b c n -> b `channels` n, adaptively averaged over the c values of each position."""
    # Transposed views with the positions running fastest: torch pools those many times faster.
    values = values.contiguous()
    return F.adaptive_avg_pool1d(values.transpose(1, 2), channels).transpose(1, 2).contiguous()


def averaged(layers: tuple[Tensor, ...], patch: int) -> Tensor:
    """anomalib's embedding: layers b h w d, finest first -> b h w d1+d2+...; padded zeros count."""
    size = layers[0].shape[1:3]
    pooled = [F.avg_pool2d(_first(x), patch, 1, patch // 2) for x in layers]
    return torch.cat([_resized(x, size) for x in pooled], dim=1).permute(0, 2, 3, 1).contiguous()


def reweighted(
    vectors: Tensor, distances: Tensor, nearest: Tensor, bank: Tensor, count: int
) -> Tensor:
    """The paper's image score (eq. 7): b n d, b n, b n, m d -> b.

    The largest distance s* of a patch q to its nearest entry m*, times
    1 - exp(s*) / sum of exp|q - m| over the `count` entries m nearest to m*, itself among them.
    """
    images = torch.arange(len(vectors), device=vectors.device)
    worst = distances.argmax(dim=1)
    query, highest = vectors[images, worst], distances[images, worst]
    _, around = nearest_rows(bank[nearest[images, worst]], bank, count)
    if around.shape[1] < 2:
        return highest
    apart = (query[:, None] - bank[around]).norm(dim=2)
    top = torch.maximum(apart.amax(dim=1), highest)
    weight: Tensor = 1 - (highest - top).exp() / (apart - top[:, None]).exp().sum(dim=1)
    return weight * highest


def _resized(maps: Tensor, size: torch.Size) -> Tensor:
    """b c h w -> b c H W, bilinear."""
    if maps.shape[2:] == size:
        return maps
    resized: Tensor = F.interpolate(maps, size, mode="bilinear", align_corners=False)
    return resized


def _first(maps: Tensor) -> Tensor:
    return maps.permute(0, 3, 1, 2)
