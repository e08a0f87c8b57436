"""Small defects in large images: what tiles find, and what they cost.

    python -m benchmarks.tiles [DATA] [--backbone tiny] [--tiles 1 2 4 8 auto] [--shots 4]
        [--boards 12] [--sizes 1 2 4] [--sets A B] [-o KEY=VALUE]
        [--bank ROWS]

Boards of 4000 x 3000 pixels with one defect of 12 pixels each (benchmarks/board.py), and as many
without, against shots of further boards. `found`: defects above the limit; `above`: those that
score higher than every good board; `placed`: the highest place of the map lies on the defect
(within 24 pixels); `alarms`: good boards above the limit. Each number of tiles has a process of its
own: seconds to fit and a query take without decoding, bytes of the context, and the peak memory of
the process over that at its start, boards included.

With DATA: image and pixel AUROC of its sets with masks, by number of tiles, k = 4, seed 0.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from scipy import ndimage

from benchmarks.board import KINDS, board, layout
from benchmarks.machine import describe
from inctrl import Inspector, open_image
from inctrl.data.sources import read_data
from inctrl.evaluation.features import DecodedImages
from inctrl.evaluation.score import cell_of, judge
from inctrl.inspection import seen
from inctrl.maths.metrics import image_figures
from inctrl.views import Tiles, Views, tiles_of

NEAR = 24
"""Pixels beside a defect that still count as it."""


def main() -> None:
    args = parse()
    if args.one:
        with patch.object(seen, "MOST", args.bank or seen.MOST):
            print(json.dumps(measure(args, tiles_of(args.one))))
        return
    name = " ".join([loaded(args).backbone.name, *args.option])
    print(f"{describe()}; {name}, {args.shots} shots, {args.boards} boards of each kind")
    print(f"{'tiles':>6} found above placed alarms  AUROC    fit s  query s  context MB  peak MB")
    for tiles in args.tiles:
        row = json.loads(
            subprocess.run(
                [sys.executable, "-m", "benchmarks.tiles", *sys.argv[1:], "--one", tiles],
                check=True,
                capture_output=True,
                text=True,
            ).stdout.splitlines()[-1]
        )
        print(
            f"{tiles:>6} {row['found']:5} {row['above']:5} {row['placed']:6} {row['alarms']:6}"
            f"  {row['auroc']:5.1f} {row['fit']:8.1f} {row['query']:8.2f} {row['context']:11.1f}"
            f" {row['peak']:8.0f}   missed: {' '.join(row['missed']) or 'none'}",
            flush=True,
        )
    if args.data:
        on_sets(args)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, nargs="?", help="folder of sets, for the second table")
    parser.add_argument("--backbone", help="default: the default one")
    parser.add_argument("--tiles", nargs="*", default=["1", "2", "4", "8", "auto"])
    parser.add_argument("--orientation", default="fixed", choices=("fixed", "any"))
    parser.add_argument("--shots", type=int, default=4)
    parser.add_argument("--boards", type=int, default=12)
    parser.add_argument("--sizes", nargs="+", default=["1", "2", "4"], help="tiles on DATA")
    parser.add_argument("--sets", nargs="*", help="names of the sets of DATA (default: all)")
    parser.add_argument(
        "-o",
        "--option",
        action="append",
        default=[],
        help="of the detector, such as top_share=0.003",
    )
    parser.add_argument("--bank", type=int, help="patches of a layer that a bank may hold")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    return parser.parse_args()


def loaded(args: argparse.Namespace) -> Inspector:
    options = dict(text.split("=", 1) for text in args.option)
    return Inspector.load(args.backbone, options=options, cache="off")


def measure(args: argparse.Namespace, tiles: Tiles) -> dict[str, Any]:
    parts = layout(0)
    shots = [open_image(board(parts, 1000 + i)[0], f"shot {i}") for i in range(args.shots)]
    inspector = loaded(args)
    before, started = peak(), time.perf_counter()
    fitted = inspector.fit(shots, item="circuit board", orientation=args.orientation, tiles=tiles)
    fit = time.perf_counter() - started
    kinds = [KINDS[i % len(KINDS)] for i in range(args.boards)]
    scores, verdicts, placed, spent = [], [], 0, 0.0
    for i, kind in enumerate([*kinds, *[""] * args.boards]):
        rgb, mask = board(parts, i, kind)
        image, started = open_image(rgb, kind), time.perf_counter()
        [result] = fitted.inspect([image])
        spent += time.perf_counter() - started
        scores.append(result.score)
        verdicts.append(result.verdict)
        near = ndimage.binary_dilation(mask, iterations=NEAR) if kind else mask
        placed += bool(near.ravel()[result.anomaly_map.argmax()])
    bad, good = scores[: args.boards], scores[args.boards :]
    packed = inspector.detector.pack(fitted.context).values()
    labels = [True] * len(bad) + [False] * len(good)
    return {
        "found": sum(verdict == "anomalous" for verdict in verdicts[: args.boards]),
        "missed": [k for k, v in zip(kinds, verdicts, strict=False) if v != "anomalous"],
        "alarms": sum(verdict == "anomalous" for verdict in verdicts[args.boards :]),
        "above": sum(score > max(good) for score in bad),
        "placed": placed,
        "auroc": 100 * (image_figures(labels, scores)["image_auroc"] or 0),
        "fit": fit,
        "query": spent / len(scores),
        "context": sum(tensor.nbytes for tensor in packed) / 1e6,
        "peak": peak() - before,
    }


def peak() -> float:
    """The most memory that this process has held, in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def on_sets(args: argparse.Namespace) -> None:
    inspector = loaded(args)
    print(f"\nimage, pixel AUROC, k = 4, seed 0\n{'':14}" + "".join(f"{n:>16}" for n in args.sizes))
    rows = []
    masked = [one for one in read_data(args.data) if one.has_masks]
    for data in (one for one in masked if not args.sets or one.name in args.sets):
        cells = []
        for tiles in args.sizes:
            views = Views(tiles=tiles_of(tiles))
            judged = judge(inspector, data, 4, 0, DecodedImages(), views=views)
            cell = cell_of(judged, "", data, 4, 0)
            labels = [sample.anomalous for sample in data.test]
            image = image_figures(labels, cell.scores)["image_auroc"] or 0
            cells.append((100 * image, 100 * (cell.pixels or {})["pixel_auroc"]))
        rows.append(cells)
        print(f"{data.name:14}" + "".join(f"{i:9.1f} {p:6.1f}" for i, p in cells), flush=True)
    means = np.array(rows).mean(axis=0)
    print(f"{'mean':14}" + "".join(f"{i:9.1f} {p:6.1f}" for i, p in means))


if __name__ == "__main__":
    main()
