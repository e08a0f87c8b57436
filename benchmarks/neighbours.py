"""Is the nearest neighbour the best use of the shots? Ways to compare with them, side by side.

    python -m benchmarks.neighbours DATA [--backbone duo] [--shots 1 4] [--seeds 2]
        [--natural FOLDER_OR_ZIP ...] [--sets A B] [--cache FOLDER]

Features, draws, the sum of the layers' maps and the score (the mean of the worst 3 %; no text) are
the same for all; only the residual of a position differs (benchmarks/bank_residuals.py). `whitened`
learns from the pictures given by --natural. A way is taken only if it is better than the nearest
neighbour by more than the standard error over sets, on both groups of sets and for every k: SEVEN
were looked at while the detector was made, the others were not.
"""

import argparse
import time
import zipfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.bank_residuals import Residual, Whitening, residuals, whitening
from benchmarks.calibration import CACHE
from benchmarks.machine import describe
from inctrl import Inspector
from inctrl.backbones.cache import open_cache
from inctrl.data.categories import Category
from inctrl.data.sources import read_data
from inctrl.decoding import open_image
from inctrl.images import Image
from inctrl.maths.grids import resize_map, top_mean
from inctrl.maths.metrics import image_figures
from inctrl.maths.neighbours import unit

SEVEN = (
    "brain_mri",
    "hazelnut_toy",
    "magnetic_tile",
    "mnist_3",
    "mnist_7",
    "textile_sim",
    "toy_alien",
)
PICTURES = 200
"""Natural images from which whitening is learned."""
SHARE = 0.03
BLOCK = 32
"""Queries compared at a time: bounds the memory."""
Layers = Sequence[Tensor]
"""Patches b h w d of each layer, of unit length."""
Figures = dict[tuple[str, int], list[float]]
"""Image AUROC in per cent by way and k, one for each set, mean over the seeds."""
Costs = defaultdict[tuple[str, int], float]
"""Seconds by way and k."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--backbone", default="duo")
    parser.add_argument("--shots", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--natural", type=Path, nargs="*", default=[], help="folders or zips")
    parser.add_argument("--sets", nargs="*", help="names of the sets (default: all)")
    parser.add_argument("--cache", help="folder of features (default: the user's)")
    args = parser.parse_args()
    inspector = Inspector.load(args.backbone, cache="off")
    inspector = replace(inspector, cache=open_cache(args.cache, CACHE))
    print(
        f"{describe()}\nseeds 0-{args.seeds - 1}, backbone {inspector.backbone.name}, "
        f"layers {', '.join(inspector.backbone.layers)}; image AUROC in per cent"
    )
    ways = ways_of(whitenings(inspector, args.natural), len(inspector.backbone.layers))
    names: list[str] = []
    figures: Figures = {}
    costs: Costs = defaultdict(float)
    for data in read_data(args.data):
        if not args.sets or data.name in args.sets:
            names.append(data.name)
            for key, value in measure(inspector, data, args, ways, costs).items():
                figures.setdefault(key, []).append(value)
            row = ", ".join(f"{way} {k}: {values[-1]:.1f}" for (way, k), values in figures.items())
            print(f"{data.name}: {row}", flush=True)
    print("\n".join(tables(names, figures, costs)))


def measure(
    inspector: Inspector,
    data: Category,
    args: argparse.Namespace,
    ways: Mapping[str, Sequence[Residual]],
    costs: Costs,
) -> dict[tuple[str, int], float]:
    queries = encoded(inspector, [sample.image.open() for sample in data.test])
    labels = [sample.anomalous for sample in data.test]
    found: dict[tuple[str, int], float] = {}
    for k in args.shots:
        draws = [data.draw(k, seed) for seed in range(args.seeds)]
        banks = [encoded(inspector, [data.train[i].open() for i in draw]) for draw in draws]
        for way, layers in ways.items():
            values = [
                auroc(labels, scores(queries, bank, layers, costs, (way, k))) for bank in banks
            ]
            found[way, k] = float(np.mean(values))
    return found


def encoded(inspector: Inspector, images: Sequence[Image]) -> Layers:
    return [unit(layer) for layer in inspector.encode(images).patches]


def scores(
    queries: Layers,
    bank: Layers,
    ways: Sequence[Residual],
    costs: Costs,
    key: tuple[str, int],
) -> Tensor:
    """b; the seconds that it took are added to `costs` at `key`."""
    started = time.perf_counter()
    finest = max((layer.shape[1], layer.shape[2]) for layer in queries)
    total = torch.zeros(len(queries[0]), *finest)
    for query, shots, way in zip(queries, bank, ways, strict=True):
        rows = shots.flatten(1, 2)
        maps = [way(part.flatten(1, 2), rows) for part in query.split(BLOCK)]
        total += resize_map(torch.cat(maps).unflatten(1, query.shape[1:3]), finest)
    costs[key] += time.perf_counter() - started
    return top_mean((total / len(ways)).flatten(1), SHARE)


def auroc(labels: Sequence[bool], values: Tensor) -> float:
    found = image_figures(labels, values.numpy())["image_auroc"]
    if found is None:
        raise SystemExit("a set has images of one kind only; leave it out by --sets")
    return 100 * found


def ways_of(natural: Sequence[Whitening], layers: int) -> dict[str, list[Residual]]:
    """The residual of each layer, by way."""
    each = [residuals(natural[i] if natural else None) for i in range(layers)]
    return {name: [ways[name] for ways in each] for name in each[0]}


def whitenings(inspector: Inspector, sources: Sequence[Path]) -> list[Whitening]:
    """Of each layer, learned from PICTURES pictures, as many of each source; none without one."""
    found = [
        encoded(inspector, [image])
        for source in sources
        for image in pictures(source, PICTURES // len(sources))
    ]
    layers = zip(*found, strict=True)
    return [whitening(torch.cat([one.flatten(0, 2) for one in layer])) for layer in layers]


def pictures(source: Path, count: int) -> Iterator[Image]:
    """So many images of a folder or zip, drawn with seed 0."""
    folder = source if source.is_dir() else zipfile.Path(source)
    files = sorted((one for one in folder.iterdir() if one.is_file()), key=lambda one: one.name)
    for i in np.random.default_rng(0).permutation(len(files))[:count]:
        yield open_image(files[i].read_bytes(), files[i].name)


def tables(names: Sequence[str], figures: Figures, costs: Costs) -> Iterator[str]:
    """A row a way, as Markdown, and what is taken."""
    seven = np.array([name in SEVEN for name in names])
    groups = {"seven": seven, "nine": ~seven}
    groups = {name: which for name, which in groups.items() if which.any()}
    shots = sorted({k for _, k in figures})
    better = {way for way, _ in figures} - {"nearest"}
    for k in shots:
        yield f"\nk = {k}: mean, and what is gained on nearest ± its standard error over sets\n"
        yield f"| way | all | {' | '.join(f'{g} | gain' for g in groups)} | time |"
        yield "|" + "---|" * (3 + 2 * len(groups))
        base = np.array(figures["nearest", k])
        for way in dict.fromkeys(way for way, _ in figures):
            values = np.array(figures[way, k])
            cells = [f"{values.mean():.1f}"]
            for which in groups.values():
                gain, error = gained(values[which] - base[which])
                cells += [f"{values[which].mean():.1f}", f"{gain:+.2f} ± {error:.2f}"]
                better -= set() if gain > error else {way}
            cells.append(f"x {costs[way, k] / costs['nearest', k]:.1f}")
            yield f"| {way} | {' | '.join(cells)} |"
    yield f"\ntaken: {', '.join(sorted(better)) or 'none, the nearest neighbour stays'}"


def gained(differences: NDArray[np.float64]) -> tuple[float, float]:
    """Mean and standard error over sets; infinite for a single one."""
    n = len(differences)
    return float(differences.mean()), float(differences.std(ddof=1) / n**0.5) if n > 1 else np.inf


if __name__ == "__main__":
    main()
