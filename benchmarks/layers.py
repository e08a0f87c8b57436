"""Which layers, in what weights, and which share of the worst places make score and map?

    python -m benchmarks.layers DATA [--shots 1 4] [--seeds 2] [--sets A B] [--cache FOLDER]

The residuals of `incontext` on `duo` (no text), layer by layer; then image AUROC of each sum and
share, with the set that loses most against the layers of `tiny` alone, and pixel AUROC and AUPRO up
to 30 % of the maps. Sums hold for all sets alike.
"""

import argparse
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.calibration import CACHE
from benchmarks.machine import describe
from benchmarks.neighbours import Layers, auroc, encoded
from inctrl import Inspector
from inctrl.backbones.cache import open_cache
from inctrl.data.categories import Category
from inctrl.data.masks import read_mask
from inctrl.data.sources import read_data
from inctrl.maths.grids import resize_map, top_mean
from inctrl.maths.overlap import pixel_figures
from inctrl.maths.residuals import patch_residuals
from inctrl.maths.smoothing import SIGMA, smooth

LAYERS = ("stride8", "block4", "block6", "block8", "stride16", "stride32")
GRID = (36, 36)
"""Of maps that are smoothed."""


@dataclass(frozen=True)
class Way:
    """Weights of LAYERS, and the share of the worst places, or the power of their mean."""

    weights: tuple[float, ...]
    share: float = 0.03
    power: float = 0.0
    smoothed: bool = False


WAYS = {
    "tiny's strides": Way((0, 0, 0, 0, 1, 1)),
    "blocks share a vote": Way((0, 0, 0.5, 0.5, 1, 1)),
    "equal votes": Way((0, 0, 1, 1, 1, 1)),
    "0.7 a block": Way((0, 0, 0.7, 0.7, 1, 1)),
    "block 8 alone": Way((0, 0, 0, 1, 1, 1)),
    "0.6 x blocks 4, 6, 8": Way((0, 0.6, 0.6, 0.6, 1, 1)),
    "the same + 0.5 x stride 8": Way((0.5, 0.6, 0.6, 0.6, 1, 1)),
    "equal votes + block 4": Way((0, 1, 1, 1, 1, 1)),
    "equal votes + stride 8": Way((1, 0, 1, 1, 1, 1)),
    "equal votes, smoothed": Way((0, 0, 1, 1, 1, 1), smoothed=True),
    "shared, worst 0.3 %": Way((0, 0, 0.5, 0.5, 1, 1), share=0.003),
    "shared, worst 1 %": Way((0, 0, 0.5, 0.5, 1, 1), share=0.01),
    "shared, worst 2 %": Way((0, 0, 0.5, 0.5, 1, 1), share=0.02),
    "shared, worst 5 %": Way((0, 0, 0.5, 0.5, 1, 1), share=0.05),
    "shared, power mean 8": Way((0, 0, 0.5, 0.5, 1, 1), power=8),
}
Row = tuple[float, float, float]
"""Image AUROC, pixel AUROC and AUPRO in per cent (NaN without masks)."""
Figures = dict[tuple[str, int], list[Row]]
"""By way and k, one for each set."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--shots", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--sets", nargs="*", help="names of the sets (default: all)")
    parser.add_argument("--cache", help="folder of features (default: the user's)")
    args = parser.parse_args()
    inspector = Inspector.load("duo", layers=LAYERS, cache="off")
    inspector = replace(inspector, cache=open_cache(args.cache, CACHE))
    print(f"{describe()}\nseeds 0-{args.seeds - 1}, {inspector.backbone.precision}; per cent")
    names: list[str] = []
    found: Figures = {}
    for data in read_data(args.data):
        if not args.sets or data.name in args.sets:
            names.append(data.name)
            for key, value in measure(inspector, data, args.shots, args.seeds).items():
                found.setdefault(key, []).append(value)
            print(f"{data.name}: {found['blocks share a vote', args.shots[-1]][-1]}", flush=True)
    print("\n".join(table(names, found, args.shots)))


def measure(
    inspector: Inspector, data: Category, shots: Iterable[int], seeds: int
) -> Mapping[tuple[str, int], Row]:
    queries = encoded(inspector, [sample.image.open() for sample in data.test])
    labels = [sample.anomalous for sample in data.test]
    found: dict[tuple[str, int], Row] = {}
    for k in shots:
        each: dict[str, list[Row]] = {name: [] for name in WAYS}
        for seed in range(seeds):
            bank = encoded(inspector, [data.train[i].open() for i in data.draw(k, seed)])
            maps = residual_maps(queries, bank)
            for name, way in WAYS.items():
                joined = summed(maps, way)
                pixels = map_figures(joined, data)
                each[name].append((auroc(labels, score(joined, way)), *pixels))
        for name, rows in each.items():
            image, pixel, region = np.mean(rows, axis=0)
            found[name, k] = float(image), float(pixel), float(region)
    return found


def residual_maps(queries: Layers, bank: Layers) -> list[Tensor]:
    maps = []
    for query, shots in zip(queries, bank, strict=True):
        rows = shots.flatten(0, 2)
        parts = [patch_residuals(one.flatten(0, 1), rows) for one in query]
        maps.append(torch.stack(parts).unflatten(1, query.shape[1:3]))
    return maps


def summed(maps: list[Tensor], way: Way) -> Tensor:
    """b h w, on the finest of the grids that count; smoothed as the CNN methods smooth theirs."""
    used = [(m, weight) for m, weight in zip(maps, way.weights, strict=True) if weight]
    grid = GRID if way.smoothed else max((m.shape[1], m.shape[2]) for m, _ in used)
    total = torch.stack([weight * resize_map(m, grid) for m, weight in used]).sum(dim=0)
    return smooth(total, SIGMA * grid[0]) if way.smoothed else total


def score(joined: Tensor, way: Way) -> Tensor:
    flat = joined.flatten(1)
    if way.power:
        return flat.pow(way.power).mean(dim=1).pow(1 / way.power)
    return top_mean(flat, way.share)


def map_figures(joined: Tensor, data: Category) -> tuple[float, float]:
    if not data.has_masks:
        return np.nan, np.nan
    pairs = []
    for values, sample in zip(joined, data.test, strict=True):
        height, width = sample.image.open().size
        full = resize_map(values[None], (height, width))[0].numpy()
        pairs.append((full, read_mask(sample, (height, width))))
    figures = pixel_figures(pairs)
    return 100 * (figures["pixel_auroc"] or np.nan), 100 * (figures["aupro_30"] or np.nan)


def table(names: list[str], found: Figures, shots: Iterable[int]) -> Iterator[str]:
    """A row a way, as Markdown."""
    for k in shots:
        yield f"\nk = {k}: means over {len(names)} sets\n"
        yield "| way | image AUROC | worst against tiny | pixel AUROC | AUPRO 0.3 |"
        yield "|---|---|---|---|---|"
        base = np.array(found["tiny's strides", k])[:, 0]
        for name in WAYS:
            values = np.array(found[name, k])
            lost = values[:, 0] - base
            worst = f"{lost.min():+.1f} ({names[int(lost.argmin())]})"
            masked = values[~np.isnan(values[:, 1])]
            means = [f"{column.mean():.1f}" if len(column) else "-" for column in masked.T[1:]]
            yield f"| {name} | {values[:, 0].mean():.1f} | {worst} | {' | '.join(means)} |"


if __name__ == "__main__":
    main()
