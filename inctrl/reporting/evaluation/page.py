"""The page: what was found first, how it was done last."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from inctrl.evaluation.results import Evaluation
from inctrl.evaluation.tables import Tables, ordered, tables
from inctrl.maths.metrics import METRICS
from inctrl.reporting.evaluation import beside, curves, gallery, grids, histograms, strips
from inctrl.reporting.evaluation.findings import findings
from inctrl.reporting.evaluation.provenance import made
from inctrl.reporting.templates import environment
from inctrl.reporting.words import plural, printable

HERE = Path(__file__).parent
MOST_LISTS = 400
"""Lists of shots at the most; shots.json has them all."""


def render(evaluation: Evaluation) -> str:
    """The page; the same evaluation gives the same page."""
    found = tables(evaluation)
    drawn, undrawn = histograms.histograms(found)
    pictures, unshown = gallery.galleries(evaluation.examples)
    lists = list(_lists(evaluation))
    return (
        environment(HERE, HERE.parent)  # report.css of the reports gives both pages one look
        .get_template("evaluation.html.j2")
        .render(
            evaluation=evaluation,
            findings=findings(found),
            overall=[grids.overall(found, metric) for metric in _defined(found)],
            leader=grids.differences(found, "image_auroc", most=_first_pairs(found)),
            differences=list(_differences(found)),
            datasets=[_dataset(found, name) for name in found.datasets],
            beside=beside.beside(found),
            beside_warning=beside.WARNING,
            strips=strips.strips(found),
            limits=[grids.overall(found, m) for m in ("false_alarms", "undecided", "recall")],
            histograms=drawn,
            undrawn=undrawn,
            galleries=pictures,
            unshown=unshown,
            memory=grids.memory(found),
            unweighted=grids.UNWEIGHTED,
            made=made(evaluation),
            lists=lists[:MOST_LISTS],
            unlisted=max(0, len(lists) - MOST_LISTS),
            same_shots=_same_shots(evaluation),
            finished=len(evaluation.cells),
            planned=found.values[0].size,
        )
    )


def _defined(found: Tables) -> list[str]:
    """The figures with a mean somewhere, image AUROC in any case; those of limits stand apart."""
    contenders, ks = range(len(found.evaluation.contenders)), range(len(found.evaluation.shots))
    return [
        metric
        for metric in METRICS
        if METRICS[metric].about != "limit"
        if metric == "image_auroc"
        or any(found.overall(metric, c, k).parts for c in contenders for k in ks)
    ]


def _first_pairs(found: Tables) -> int:
    """All pairs of three contenders; of more, those of the best one with each other."""
    count = len(found.evaluation.contenders)
    return count if count == 3 else count - 1


def _differences(found: Tables) -> Iterator[grids.Grid]:
    """All pairs in every figure, and in image AUROC by data set; not what stands open already."""
    several = len(found.evaluation.contenders) > 3
    wanted: list[tuple[str, str | None]] = [
        (metric, None) for metric in grids.compared(found) if several or metric != "image_auroc"
    ]
    if len(found.datasets) > 1:
        wanted += [("image_auroc", name) for name in found.datasets]
    for metric, dataset in wanted:
        grid = grids.differences(found, metric, dataset)
        if grid is not None:
            yield grid


def _dataset(found: Tables, name: str) -> dict[str, Any]:
    """All that the page says of one data set."""
    evaluation = found.evaluation
    ks = sorted(range(len(evaluation.shots)), key=lambda k: -evaluation.shots[k])
    contenders = range(len(evaluation.contenders))
    tests = [test for test in evaluation.tests if test.dataset == name]
    return {
        "name": printable(name),
        "categories": len(tests),
        "images": sum(len(test.images) for test in tests),
        "masks": any(test.masks for test in tests),
        "k": evaluation.shots[ks[0]],
        "grid": grids.categories(found, name, ks[0]),
        "details": [[grids.detail(found, c, name, k) for k in ks] for c in contenders],
        "curves": curves.curves(found, name, ks[0]),
        "auroc": {c: found.dataset("image_auroc", c, name, ks[0]).spread.mean for c in contenders},
    }


def _same_shots(evaluation: Evaluation) -> bool:
    """Whether the shots follow from category, number and seed alone, whoever was given them."""
    runs = {(c.dataset, c.category, c.k, c.seed, c.shots) for c in evaluation.cells}
    return len(runs) == len({run[:-1] for run in runs})


def _lists(evaluation: Evaluation) -> Iterator[tuple[str, tuple[str, ...]]]:
    """'mvtec/screw, 2 shots, seed 0' and the names of the shots, once for all contenders."""
    seen = set()
    for (_, *place), cell in ordered(evaluation):
        if tuple(place) not in seen:
            seen.add(tuple(place))
            category = f"{printable(cell.dataset)}/{printable(cell.category)}"
            words = f"{category}, {plural(cell.k, 'shot')}, seed {cell.seed}"
            yield words, tuple(map(printable, cell.shots))
