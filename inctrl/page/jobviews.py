"""Jobs as pieces of the page: how far one is, its losses, its table, its curves, its log."""

import functools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from inctrl.errors import InctrlError
from inctrl.evaluation.documents import from_json
from inctrl.evaluation.tables import tables
from inctrl.page.html import moment, render
from inctrl.reporting.evaluation.curves import Curves, curves
from inctrl.reporting.lossplot import loss_plot
from inctrl.reporting.words import printable
from inctrl.service.jobs import JobRunner, JobView
from inctrl.service.workbench import Workbench
from inctrl.store import JobRow, Store

LISTED = 50
LOG_LINES = 200
MOST_BYTES = 50_000_000
"""Of results.json; a larger one is left to the report."""
RUNNING = ("queued", "running")


@dataclass(frozen=True)
class Roc:
    """Curves of a data set at a number of shots; `auroc` of each contender, its mean."""

    dataset: str
    k: int
    curves: Curves
    auroc: tuple[float, ...]


@dataclass(frozen=True)
class Line:
    """Of the table of an evaluation: a contender on a set, its mean at each number of shots."""

    contender: str
    set: str
    means: tuple[tuple[float | None, int], ...]


def job_choices(store: Store, kind: str) -> list[tuple[str, str]]:
    """Label and id of the newest jobs of a kind."""
    rows = [row for row in store.jobs.list(None, None, 4 * LISTED) if row.kind == kind][:LISTED]
    return [(f"{title(row)}  ({moment(row.created)})", row.id) for row in rows]


def title(row: JobRow) -> str:
    """What the person called it, or what it is of."""
    data = ", ".join(str(name) for name in row.spec.get("data", ()))
    return printable(str(row.spec.get("name") or data))[:80]


def adapters(bench: Workbench) -> list[tuple[str, str]]:
    """Label and name of the adapters at hand; those of trainings here are called as they were."""
    rows = bench.store.jobs.list("succeeded", None, 4 * LISTED)
    made = {
        f"job:{row.id}": f"{title(row)}  (trained {row.created[:10]})"
        for row in rows
        if row.kind == "train"
    }
    return [(made.get(name, name), name) for name in sorted(bench.inspectors.adapters())]


def status_html(view: JobView) -> str:
    return render(
        "job",
        row=view.row,
        title=title(view.row),
        progress=view.seen.progress,
        running=view.row.state in RUNNING,
        warnings=view.seen.warnings,
    )


def log_html(view: JobView) -> str:
    return render("log", lines=[printable(line) for line in view.log.splitlines()[-LOG_LINES:]])


def training_html(view: JobView) -> str:
    """The curve of the losses and, at the end, where the adapter is."""
    epochs = [row for row in view.seen.rows if "epoch" in row]
    held_out = [row for row in epochs if isinstance(row.get("held_out_auroc"), int | float)]
    return render(
        "training",
        row=view.row,
        plot=loss_plot(view.seen.rows),
        best=max(held_out, key=lambda row: float(row["held_out_auroc"])) if held_out else None,
        files=view.files,
    )


def evaluation_html(runner: JobRunner, view: JobView) -> str:
    """The table so far and, at the end, curves and files."""
    shots, lines = table(view.seen.cells)
    names = {file.name for file in view.files}
    drawn: Sequence[Any] = ()
    if "results.json" in names:
        try:
            drawn = curves_of(runner.result_file(view.row.id, "results.json"))
        except (InctrlError, OSError, ValueError, KeyError, TypeError):
            drawn = ()  # the report shows them too
    return render(
        "evaluation",
        row=view.row,
        running=view.row.state in RUNNING,
        shots=shots,
        lines=lines,
        curves=drawn,
        names=names,
    )


def table(cells: Iterable[Mapping[str, Any]]) -> tuple[list[int], list[Line]]:
    """Mean image AUROC over the seeds that are there, by contender, set and number of shots."""
    found: dict[tuple[str, str], dict[int, list[float | None]]] = {}
    for cell in cells:
        row = found.setdefault((str(cell["contender"]), str(cell["set"])), {})
        row.setdefault(int(cell["k"]), []).append(cell.get("image_auroc"))
    shots = sorted({k for row in found.values() for k in row})
    return shots, [
        Line(contender, name, tuple(_mean(row.get(k, ())) for k in shots))
        for (contender, name), row in found.items()
    ]


def _mean(values: Iterable[float | None]) -> tuple[float | None, int]:
    there = [float(v) for v in values if isinstance(v, int | float) and math.isfinite(v)]
    return (fmean(there) if there else None), len(there)


def curves_of(path: Path) -> tuple[Roc, ...]:
    """One picture for each data set, at its largest number of shots."""
    stat = path.stat()
    return _curves(path, stat.st_mtime_ns) if stat.st_size <= MOST_BYTES else ()


@functools.lru_cache(maxsize=8)
def _curves(path: Path, _changed: int) -> tuple[Roc, ...]:
    evaluation = from_json(path.read_bytes())
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
                drawn.append(Roc(dataset, k, both[0], auroc))
                break
    return tuple(drawn)
