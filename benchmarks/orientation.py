"""Do turned shots help? AUROC of parts as they lie and of parts turned at random, set by set.

    python -m benchmarks.orientation DATA [--backbone tiny] [--shots 1 4] [--seeds 2] [--most 30]

Each set of DATA is measured as it is, and as a set of parts that lie any way round: every image,
shot or query, is turned by an angle of its own (seeded, uniform, margins reflected). `fixed` and
`any` are the two orientations; `nearer` is the median over draws of what the hint goes by: how much
nearer the shots come to each other where they may be turned (it is given below HINT, from FEWEST
shots on). +- is the standard deviation of the mean over the draws.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.machine import describe
from inctrl import Inspector
from inctrl.data.categories import Category
from inctrl.data.sources import read_data
from inctrl.decoding import open_image
from inctrl.evaluation.features import SharedFeatures
from inctrl.images import Image
from inctrl.inspection.orientation import FEWEST, HINT, nearer
from inctrl.maths.metrics import image_figures
from inctrl.maths.turns import TURNS, turned
from inctrl.views import Orientation, Views

WAYS: tuple[Orientation, ...] = ("fixed", "any")


@dataclass(frozen=True, eq=False)
class Shown:
    """A set in memory."""

    train: Sequence[Image]
    test: Sequence[Image]
    anomalous: Sequence[bool]


Figures = Mapping[tuple[str, int], NDArray[np.float64]]
"""By orientation (or "nearer") and number of shots: a figure for each draw."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--backbone", help="default: the default one")
    parser.add_argument("--shots", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--most", type=int, default=30, help="test images of a kind (default: 30)")
    parser.add_argument("--sets", nargs="*", help="names of the sets (default: all)")
    args = parser.parse_args()
    inspector = Inspector.load(args.backbone, cache="off")
    print(f"{describe()}; {inspector.backbone.name}, {args.seeds} draws, image AUROC, per cent")
    sets = [data for data in read_data(args.data) if not args.sets or data.name in args.sets]
    for name in ("as they lie", "turned at random"):
        print(
            f"\n{name}\n{'':14}"
            + "".join(f"{f'k={k}: fixed, any, nearer':>30}" for k in args.shots)
        )
        rows = []
        for data in sets:
            shown = loaded(data, args.most, turn=name != "as they lie")
            rows.append(measured(inspector, data, shown, args.shots, args.seeds))
            print(line(data.name, rows[-1], args.shots), flush=True)
        mean = {key: np.mean([row[key] for row in rows], axis=0) for key in rows[0]}
        print(line(f"mean of {len(rows)}", mean, args.shots), flush=True)
    print(f"\na hint is given where `nearer` is below {HINT}, from {FEWEST} shots on")


def loaded(data: Category, most: int, *, turn: bool) -> Shown:
    """A set, with each image turned by an angle of its own if asked."""
    kinds = {flag: [s for s in data.test if s.anomalous == flag][:most] for flag in (False, True)}
    samples = [*kinds[False], *kinds[True]]
    random = np.random.default_rng(0)

    def shown(image: Image) -> Image:
        angle = float(random.uniform(0, TURNS))
        return open_image(turned(image.rgb, angle), image.name) if turn else image

    train = [shown(stored.open()) for stored in data.train]
    test = [shown(sample.image.open()) for sample in samples]
    return Shown(train, test, [sample.anomalous for sample in samples])


def measured(
    inspector: Inspector, data: Category, shown: Shown, shots: Sequence[int], seeds: int
) -> Figures:
    cached = replace(inspector, cache=SharedFeatures())
    item = cached.describe(data.words)
    found: dict[tuple[str, int], list[float]] = {}
    for k in shots:
        for seed in range(seeds):
            chosen = [shown.train[i] for i in data.draw(k, seed)]
            found.setdefault(("nearer", k), []).append(nearer(chosen) if k > 1 else 1.0)
            for way in WAYS:
                fitted = cached.prepare(chosen, item, views=Views(way))
                layouts = [fitted.layout(image) for image in shown.test]
                scores, _ = fitted.scored(fitted.encode(shown.test, layouts), layouts)
                auroc = image_figures(shown.anomalous, scores)["image_auroc"]
                found.setdefault((way, k), []).append(100 * (auroc or 0))
    return {key: np.array(values) for key, values in found.items()}


def line(name: str, row: Figures, shots: Sequence[int]) -> str:
    cells = []
    for k in shots:
        values = [f"{row[way, k].mean():5.1f}+-{spread(row[way, k]):.1f}" for way in WAYS]
        cells.append(f"{'  '.join(values)}  {np.median(row['nearer', k]):.2f}".rjust(30))
    return f"{name:14}{''.join(cells)}"


def spread(values: NDArray[np.float64]) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0


if __name__ == "__main__":
    main()
