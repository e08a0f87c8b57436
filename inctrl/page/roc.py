"""ROC curves of an evaluation's results.json, drawn as its report draws them."""

import functools
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inctrl.evaluation.results import Cell, Contender, Evaluation, TestSet
from inctrl.evaluation.tables import tables
from inctrl.reporting.evaluation.curves import Curves, curves

MOST_BYTES = 50_000_000
"""Of results.json; a larger one is left to the report."""


@dataclass(frozen=True)
class Drawn:
    """Curves of a data set at a number of shots; `auroc` of each contender, its mean."""

    dataset: str
    k: int
    curves: Curves
    auroc: tuple[float, ...]


def curves_of(path: Path) -> tuple[Drawn, ...]:
    """One picture for each data set, at its largest number of shots."""
    stat = path.stat()
    return _curves(path, stat.st_mtime_ns) if stat.st_size <= MOST_BYTES else ()


@functools.lru_cache(maxsize=8)
def _curves(path: Path, _changed: int) -> tuple[Drawn, ...]:
    evaluation = read(json.loads(path.read_bytes()))
    found, places = tables(evaluation), range(len(evaluation.contenders))
    drawn = []
    for dataset in found.datasets:
        for place, k in reversed(list(enumerate(evaluation.shots))):
            both = curves(found, dataset, place)
            if both:
                means = [
                    found.dataset("image_auroc", c, dataset, place).spread.mean for c in places
                ]
                auroc = tuple(math.nan if mean is None else mean for mean in means)
                drawn.append(Drawn(dataset, k, both[0], auroc))
                break
    return tuple(drawn)


def read(told: dict[str, Any]) -> Evaluation:
    """The evaluation that a results.json tells of, without its maps."""
    return Evaluation(
        contenders=tuple(Contender(**_frozen(one)) for one in told["contenders"]),
        tests=tuple(TestSet(**_frozen(one)) for one in told["tests"]),
        shots=tuple(told["shots"]),
        seeds=tuple(told["seeds"]),
        alpha=told["alpha"],
        cells=tuple(_cell(one) for one in told["cells"]),
    )


def _cell(told: dict[str, Any]) -> Cell:
    fields = {key: value for key, value in _frozen(told).items() if key != "figures"}
    fields["scores"] = tuple(math.nan if v is None else v for v in told["scores"])
    fields["p_values"] = tuple(math.nan if v is None else v for v in told["p_values"])
    fields["threshold"] = math.inf if told["threshold"] is None else told["threshold"]
    return Cell(**fields, pixels=None)


def _frozen(told: dict[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in told.items()}
