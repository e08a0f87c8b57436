"""What a bank of very many shots takes: memory to prepare and calibrate it, time of a query.

    python -m benchmarks.large_bank [--shots 512] [--backbone NAME | --grids 20x20x384,18x18x112]

One process for one setting, because the peak is that of the process: what the system says it has
held at the most (resident), the interpreter and torch included, whose part is printed first. The
shots are images of 320 x 240 made as they are asked for. With `--grids` a stand-in gives random
features of these layers (rows x columns x channels, the finest first), so that memory and the
comparison are those of a backbone which need not be there; its defaults are those of two layers of
a vision transformer beside those of `tiny`. Exit code 1 above the goal of 2 GB.
"""

import argparse
import resource
import statistics
import sys
import time
import zlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.machine import describe
from inctrl import Inspector, open_image
from inctrl.backbones import load_backbone
from inctrl.images import Image
from inctrl.types import Features

GOAL = 2e9
GRIDS = "20x20x384,20x20x384,18x18x112,9x9x320"


class StandIn:
    """A backbone of wanted grids; an image's features are random numbers that its pixels seed."""

    has_text = False
    layers: tuple[str, ...]

    def __init__(self, grids: str) -> None:
        self._grids = [tuple(map(int, grid.split("x"))) for grid in grids.split(",")]
        self.name, self.fingerprint = f"grids:{grids}", grids
        self.layers = tuple(f"layer{i}" for i in range(len(self._grids)))
        self.image_size = 64
        self.preprocessing = replace(load_backbone("pixels").preprocessing, size=64)

    def encode_images(self, pixels: Tensor) -> Features:
        return Features(
            tuple(
                torch.stack([self._random(image, grid) for image in pixels]) for grid in self._grids
            ),
            pixels.mean(dim=(2, 3)),
        )

    def _random(self, image: Tensor, grid: tuple[int, ...]) -> Tensor:
        seed = zlib.crc32(image.numpy().tobytes())
        return torch.randn(grid, generator=torch.Generator().manual_seed(seed)) + 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shots", type=int, default=512)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--backbone")
    what.add_argument("--grids", default=GRIDS)
    parser.add_argument("--queries", type=int, default=20)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    name = args.backbone or "a stand-in"
    print(f"{describe()}\n{name}, {args.shots} shots, {args.threads} threads, seed 0")
    inspector = Inspector.load(args.backbone or "pixels", cache="off", device="cpu")
    if not args.backbone:
        stand_in: Any = StandIn(args.grids)
        inspector = replace(inspector, backbone=stand_in)
    pictures = made(args.shots + args.queries)
    told("loaded")
    started = time.perf_counter()
    fitted = inspector.fit([next(pictures) for _ in range(args.shots)])
    bank = sum(layer.numel() * layer.element_size() for layer in fitted.context.patches)
    seconds = time.perf_counter() - started
    told(f"bank of {bank / 1e6:.0f} MB prepared and calibrated in {seconds:.1f} s")
    results = [fitted.inspect([picture])[0] for picture in pictures]
    for stage in ("encode", "score"):
        times = [1e3 * result.timing[stage] for result in results]
        low, high = np.percentile(times, (5, 95))
        print(f"  {stage} {statistics.median(times):.1f} ms a query ({low:.1f} - {high:.1f})")
    peak = told(f"{len(results)} queries")
    verdict = "PASS" if peak < GOAL else "FALLS SHORT"
    print(f"peak {peak / 1e9:.2f} GB (goal: under {GOAL / 1e9:g}): {verdict}")
    sys.exit(0 if peak < GOAL else 1)


def made(count: int) -> Iterator[Image]:
    random = np.random.default_rng(0)
    for i in range(count):
        yield open_image(random.integers(0, 256, (240, 320, 3), dtype=np.uint8), f"{i}")


def told(stage: str) -> float:
    """Prints the most memory held until now; the same in bytes."""
    peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"  {stage}: peak {peak / 1e6:.0f} MB", flush=True)
    return peak


if __name__ == "__main__":
    main()
