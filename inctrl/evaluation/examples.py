"""Maps worth looking at: the surest finds, the worst misses and the worst false alarms."""

from collections.abc import Callable, Iterator
from typing import TypeAlias

from inctrl.data.categories import Category
from inctrl.evaluation.features import DecodedImages
from inctrl.evaluation.results import Cell, Example
from inctrl.evaluation.score import Judged
from inctrl.inspection.fitted import FittedInspector
from inctrl.types import Result

EACH = 3
"""Examples of a role."""

Draw: TypeAlias = Callable[[Result, FittedInspector], bytes]
"""A result as a picture, PNG."""


def examples_of(
    judged: Judged, cell: Cell, category: Category, decoded: DecodedImages, draw: Draw
) -> list[Example]:
    """The examples of a cell, each drawn."""
    return [
        Example(
            contender=cell.contender,
            dataset=cell.dataset,
            category=cell.category,
            k=cell.k,
            seed=cell.seed,
            image=category.short(category.test[row].image),
            kind=category.test[row].kind,
            score=cell.scores[row],
            threshold=cell.threshold,
            role=role,
            png=_drawn(judged.fitted, category, row, decoded, draw),
        )
        for role, row in _chosen(cell.scores, [sample.anomalous for sample in category.test])
    ]


def _chosen(scores: tuple[float, ...], anomalous: list[bool]) -> Iterator[tuple[str, int]]:
    """(role, row): none is both among the highest and among the lowest; ties go by the order."""
    falling = sorted(range(len(scores)), key=lambda row: (-scores[row], row))
    bad = [row for row in falling if anomalous[row]]
    good = [row for row in falling if not anomalous[row]]
    found = bad[:EACH]
    missed = [row for row in reversed(bad) if row not in found][:EACH]
    for role, rows in (("found", found), ("missed", missed), ("alarm", good[:EACH])):
        yield from ((role, row) for row in rows)


def _drawn(
    fitted: FittedInspector, category: Category, row: int, decoded: DecodedImages, draw: Draw
) -> bytes:
    [result] = fitted.inspect([decoded(category.test[row].image, fitted.window)])
    return draw(result, fitted)
