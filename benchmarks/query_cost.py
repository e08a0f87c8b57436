"""What a query costs against a prepared context, as a ratio to the bare image tower.

    python -m benchmarks.query_cost [--repeats 200] [--threads 1 2]

Both are timed in turn in one run, on the same pixels, one image at a time: the bare tower is the
model's own forward pass with its class head; a query is the encoding plus the detector's score.
`inspect` is the whole of the path from an RGB array of 320 x 240 to a result: resizing, the query,
the map at full size, regions and evidence; no file is read.

`text side` times the same query with and without all that the text side adds to it (statistics,
joint space, prior), and counts the sentences encoded while it runs.

`backbones` times a query at k = 4 with each of them and each precision in turn, as ratios to that
of `tiny`, and what an image costs in a batch of eight.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor

from benchmarks.machine import describe
from inctrl import FittedInspector, Inspector, open_image
from inctrl.backbones.precision import native_bfloat16
from inctrl.backbones.tiny.backbone import DESCRIBED
from inctrl.backbones.tiny.tower import load_tower
from inctrl.detectors import build_detector
from inctrl.inspection.calibration import Calibration
from inctrl.maths.statistics import image_statistics
from inctrl.types import Features

SHOTS = (1, 2, 4, 8, 64)
BACKBONES = (("tiny", "float32"), ("duo", "float32"), ("duo", "bfloat16"))
BATCH, WARM = 8, 3
"""Images at once, and first rounds that are not counted."""
CALIBRATION = Calibration(0.05, 2, (0.1, 0.2), (0.1, 0.2), 0.0, 0.1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    args = parser.parse_args()
    for threads in args.threads:
        torch.set_num_threads(threads)
        print(f"{describe()}\nbfloat16 multiplied by: {native_bfloat16() or 'nothing made for it'}")
        one_query(args.repeats)
        backbones(args.repeats)


def one_query(repeats: int) -> None:
    """A query of `tiny` against its bare tower, for some numbers of shots, and the text side."""
    inspector = Inspector.load("tiny", cache="off", device="cpu")
    backbone: Any = inspector.backbone
    size = backbone.preprocessing.size
    pixels = torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(0))
    shots = torch.randn(max(SHOTS), 3, size, size, generator=torch.Generator().manual_seed(1))
    features = backbone.encode_images(shots)
    random = np.random.default_rng(0)
    images = [
        open_image(random.integers(0, 256, (240, 320, 3), dtype=np.uint8))
        for _ in range(max(SHOTS) + 1)
    ]
    about = inspector.describe("object")
    print(f"tiny at {size} px, {repeats} pairs in turn, seed 0\n")
    for k in SHOTS:
        context = inspector.detector.prepare(features[:k], about)

        def query(context: Any = context) -> Tensor:
            return inspector.detector.score(backbone.encode_images(pixels), context).score

        fitted = FittedInspector(inspector, context, CALIBRATION, tuple(images[:k]), "object")
        tower, whole = in_turn((lambda: bare(backbone, pixels), query), repeats)

        def inspect(fitted: FittedInspector = fitted) -> object:
            return fitted.inspect(images[-1:])

        _, path = in_turn((query, inspect), repeats)
        ratios = sorted(b / a for a, b in zip(tower, whole, strict=True))
        low, high = ratios[len(ratios) // 20], ratios[-len(ratios) // 20]
        print(
            f"k={k:<4} bare tower {1e3 * statistics.median(tower):6.2f} ms   "
            f"query {1e3 * statistics.median(whole):6.2f} ms   "
            f"ratio {statistics.median(whole) / statistics.median(tower):.3f} "
            f"(pairs: median {statistics.median(ratios):.3f}, 90 % in {low:.2f}-{high:.2f})   "
            f"inspect {1e3 * statistics.median(path):6.2f} ms"
        )
    print(f"{text_side(inspector, pixels, shots, repeats)}\n")


def text_side(inspector: Inspector, pixels: Tensor, shots: Tensor, repeats: int) -> str:
    """What the text side adds to a query at k = 4, in a line: the state features, and all of it."""
    backbone: Any = inspector.backbone
    tower = load_tower(None, DESCRIBED, torch.device("cpu"))
    kept = [DESCRIBED.index(layer) for layer in backbone.layers]
    residuals = build_detector("incontext", {"text_weight": "0"}, None)
    about = inspector.describe("object")
    fused_context = inspector.detector.prepare(backbone.encode_images(shots[:4]), about)
    plain_context = residuals.prepare(picked(tower.encode_images(shots[:4]), kept), about)

    def plain() -> None:
        residuals.score(picked(tower.encode_images(pixels), kept), plain_context)

    def with_state() -> None:
        seen = tower.encode_images(pixels)
        backbone._space.damage_logit(image_statistics(seen.patches))
        residuals.score(picked(seen, kept), plain_context)

    def with_all() -> None:
        inspector.detector.score(backbone.encode_images(pixels), fused_context)

    encoded: list[str] = []
    encode = type(backbone).encode_text

    def counted(self: Any, sentences: Sequence[str]) -> Tensor:
        encoded.extend(sentences)
        vectors: Tensor = encode(self, sentences)
        return vectors

    with patch.object(type(backbone), "encode_text", counted):
        state, every = (pair_ratio(*in_turn((plain, c), repeats)) for c in (with_state, with_all))
    return (
        f"text side, median ratio of pairs to a query without: state features {state:.3f}, with "
        f"joint space and prior {every:.3f}; sentences encoded in {repeats} queries: {len(encoded)}"
    )


def picked(features: Features, layers: Sequence[int]) -> Features:
    return Features(tuple(features.patches[i] for i in layers), features.image)


def pair_ratio(first: Sequence[float], second: Sequence[float]) -> float:
    return statistics.median(b / a for a, b in zip(first, second, strict=True))


@torch.inference_mode()
def bare(backbone: Any, pixels: Tensor) -> Tensor:
    """The model as timm runs it, in the same memory format."""
    output: Tensor = backbone._tower._model(pixels.contiguous(memory_format=torch.channels_last))
    return output


def backbones(repeats: int) -> None:
    """A query with each backbone and precision, alone and in a batch, against one of `tiny`."""
    calls: list[Callable[[], object]] = []
    for name, precision in BACKBONES:
        inspector = Inspector.load(name, precision=precision, cache="off", device="cpu")
        size = inspector.backbone.preprocessing.size
        pixels = torch.randn(BATCH, 3, size, size, generator=torch.Generator().manual_seed(0))
        encoded = inspector.backbone.encode_images(pixels[:4])
        context = inspector.detector.prepare(encoded, inspector.describe("object"))
        for count in (1, BATCH):

            def query(
                one: Inspector = inspector, seen: Tensor = pixels[:count], context: Any = context
            ) -> None:
                one.detector.score(one.backbone.encode_images(seen), context)

            calls.append(query)
    times = in_turn(calls, repeats)
    alone, batch = times[::2], times[1::2]
    print(f"backbones, one query at k=4 and {BATCH} at once, {repeats} in turn")
    for (name, precision), one, many in zip(BACKBONES, alone, batch, strict=True):
        print(
            f"{name:5}{precision:9} {1e3 * statistics.median(one):7.2f} ms   "
            f"{pair_ratio(alone[0], one):5.2f} of tiny   "
            f"batch {1e3 * statistics.median(many) / BATCH:7.2f} ms an image, "
            f"{pair_ratio(one, many) / BATCH:.2f} of one alone"
        )
    print()


def in_turn(calls: Sequence[Callable[[], object]], repeats: int) -> list[list[float]]:
    """Seconds of each call, alternating so that a busy machine disturbs all alike."""
    times: list[list[float]] = [[] for _ in calls]
    with torch.inference_mode():
        for repeat in range(WARM + repeats):
            for call, kept in zip(calls, times, strict=True):
                started = time.perf_counter()
                call()
                if repeat >= WARM:
                    kept.append(time.perf_counter() - started)
    return times


if __name__ == "__main__":
    main()
