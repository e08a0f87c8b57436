"""Labelled sets of made images on disk, and evaluations of fake backbones on them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
from fakes import FakeBackbone

from inctrl.adapters import file as adapter_file
from inctrl.adapters.fusion import InCTRLFusion
from inctrl.backbones import load_backbone
from inctrl.backbones.features import Tally
from inctrl.data.categories import Category
from inctrl.data.sources import read_data
from inctrl.detectors import build_detector
from inctrl.evaluation.contenders import Entrant, enter
from inctrl.evaluation.content import Reader
from inctrl.evaluation.features import SharedFeatures
from inctrl.evaluation.kept import Kept
from inctrl.evaluation.plan import Plan
from inctrl.evaluation.results import Cell
from inctrl.evaluation.run import Run
from inctrl.evaluation.timings import Timings
from inctrl.inspection.fitted import FittedInspector
from inctrl.inspection.inspector import Inspector
from inctrl.types import Result

FILES = ("results.json",)


def picture(seed: int, *, spot: bool = False, deep: bool = False) -> np.ndarray:
    """A noisy gray field 24 x 32; the spot is a bright patch at rows 6-12, columns 16-24."""
    values = np.random.default_rng(seed).normal(120, 12, (24, 32))
    if spot:
        values[6:12, 16:24] = 230
    return (values * 20).astype(np.uint16) if deep else values.clip(0, 255).astype(np.uint8)


def write_set(
    root: Path,
    name: str = "field",
    *,
    train: int = 6,
    good: int = 4,
    bad: int = 4,
    masks: bool = True,
    deep: bool = False,
    first: int = 0,
) -> Path:
    """A category in the layout of MVTec AD; `first` is the seed of its first image."""
    folder = root / name
    sides = (("train/good", train), ("test/good", good), ("test/hole", bad))
    seed = first
    for side, count in sides:
        (folder / side).mkdir(parents=True)
        for i in range(count):
            spot = side.endswith("hole")
            save(folder / side / f"{i:02d}.png", picture(seed, spot=spot, deep=deep))
            seed += 1
            if spot and masks:
                mask = np.zeros((24, 32), dtype=np.uint8)
                mask[6:12, 16:24] = 255
                (folder / "ground_truth/hole").mkdir(parents=True, exist_ok=True)
                save(folder / "ground_truth/hole" / f"{i:02d}_mask.png", mask)
    return folder


def save(path: Path, pixels: np.ndarray) -> None:
    PIL.Image.fromarray(pixels).save(path)


def write_adapter(folder: Path, **changes: Any) -> Path:
    """An adapter for `tiny` at 64 px that loads; its sizes fit no image."""
    tiny = load_backbone("tiny", image_size=64)
    fields: dict[str, Any] = {
        "kind": "inctrl",
        "backbone": "tiny",
        "fingerprint": tiny.fingerprint,
        "image_size": 64,
        "layers": tuple(tiny.layers),
        "shape": {"embed": 8, "positions": 4},
        "text": False,
    }
    config = adapter_file.AdapterConfig(**{**fields, **changes})
    adapter_file.save(folder, config, InCTRLFusion(8, 4), "# card\n")
    return folder


def entrant(
    label: str = "incontext",
    *,
    backbone: Any = None,
    detector: Any = None,
    cache: Any = None,
    **options: Any,
) -> Entrant:
    """A contender on a fake backbone; `options` are those of Inspector."""
    built = detector or build_detector(label.partition(":")[0])
    inspector = Inspector(backbone or FakeBackbone(), built, cache=cache, **options)
    return enter(inspector, label)


def plan_of(
    root: Path,
    entrants: Sequence[Entrant],
    shots: tuple[int, ...] = (2, 3),
    seeds: int = 2,
    **options: Any,
) -> Plan:
    categories: list[Category] = read_data(root)
    return Plan(tuple(entrants), tuple(categories), shots, tuple(range(seeds)), 0.05, **options)


class Quiet:
    """Watches, and remembers what was computed and what failed."""

    def __init__(self) -> None:
        self.computed: list[Cell] = []
        self.taken: list[Cell] = []
        self.faults: list[str] = []

    def cell(self, cell: Cell, category: Category, *, computed: bool) -> None:
        del category
        (self.computed if computed else self.taken).append(cell)

    def failed(self, label: str, category: Category, reason: str) -> None:
        self.faults.append(f"{label} {category.name} {reason}")


def work_of(plan: Plan, out: Path, watch: Any = None) -> Run:
    """All that `evaluate` needs; every contender remembers in one memory, nothing on disk."""
    features, tally, read = SharedFeatures(), Tally(), Reader()
    for one in plan.entrants:
        object.__setattr__(one.inspector, "cache", one.inspector.cache or features)
        object.__setattr__(one.inspector, "tally", tally)
    contents = tuple(read(category, plan.drawn(category)) for category in plan.categories)
    kept = Kept(out, FILES)
    kept.open()
    return Run(plan, contents, kept, features, tally, draw, watch or Quiet(), Timings())


def draw(result: Result, fitted: FittedInspector) -> bytes:
    return f"{Path(result.name).name} {result.score:.9f} {result.threshold:.9f}".encode()
