"""How an evaluation goes, on stderr: a live table where a person watches, plain lines elsewhere."""

import contextlib
import sys
import time
from collections.abc import Iterator
from statistics import fmean

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from inctrl.cli.progress import lines
from inctrl.data.categories import Category
from inctrl.evaluation.plan import Plan
from inctrl.evaluation.results import Cell
from inctrl.maths.metrics import image_figures
from inctrl.reporting.words import printable


class Watch:
    """Image AUROC of the finished cells, by contender and number of shots.

    faults   what failed, in words
    """

    def __init__(self, plan: Plan, *, lines: bool = False) -> None:
        self.faults: list[str] = []
        self._plan = plan
        self._lines = lines
        self._live: Live | None = None
        self._aurocs: dict[tuple[str, int], list[float]] = {}
        self._pending: dict[int, list[float]] = {}
        self._total = len(plan.entrants) * len(plan.categories) * self._cells
        self._done = self._computed = 0
        self._started = time.monotonic()

    def show_on(self, live: Live) -> None:
        self._live = live
        self._refresh()

    def cell(self, cell: Cell, category: Category, *, computed: bool) -> None:
        labels = [sample.anomalous for sample in category.test]
        auroc = image_figures(labels, cell.scores, cell.threshold, self._plan.alpha)["image_auroc"]
        values = [] if auroc is None else [auroc]
        self._aurocs.setdefault((cell.contender, cell.k), []).extend(values)
        self._pending.setdefault(cell.k, []).extend(values)
        self._done += 1
        self._computed += computed
        self._note(cell, category, auroc)
        last = cell.k == self._plan.shots[-1] and cell.seed == self._plan.seeds[-1]
        if last:
            self._line(f"{category.dataset}/{category.name}  {cell.contender}", self._pending)
            self._pending = {}
        self._refresh()

    def failed(self, label: str, category: Category, reason: str) -> None:
        where = f"{category.dataset}/{category.name}"
        self.faults.append(printable(f"{label} on {where}: {reason}"))
        self._pending = {}
        if self._lines:
            sys.stderr.write(printable(f"{where}  {label}  failed: {reason}") + "\n")

    @property
    def _cells(self) -> int:
        """Of one contender on one category."""
        return len(self._plan.shots) * len(self._plan.seeds)

    def _note(self, cell: Cell, category: Category, auroc: float | None) -> None:
        row = {"contender": cell.contender, "set": f"{category.dataset}/{category.name}"}
        lines().put({"cell": {**row, "k": cell.k, "seed": cell.seed, "image_auroc": auroc}})
        lines().place("cells", self._done, self._total, last=self._done == self._total)

    def _line(self, name: str, values: dict[int, list[float]]) -> None:
        if self._lines:
            means = "  ".join(f"k={k} {_mean(values[k])}" for k in sorted(values))
            sys.stderr.write(f"[{self._done}/{self._total}] {printable(name)}  {means}\n")

    def _refresh(self) -> None:
        if self._live is None:
            return
        table = Table(title="image AUROC so far", title_justify="left")
        table.add_column("contender")
        for k in self._plan.shots:
            table.add_column(f"k={k}", justify="right")
        for entrant in self._plan.entrants:
            label = entrant.contender.label
            means = [_mean(self._aurocs.get((label, k), [])) for k in self._plan.shots]
            table.add_row(Text(printable(label)), *means)
        table.caption = f"{self._done} of {self._total} cells, {self._left()}"
        self._live.update(table)

    def _left(self) -> str:
        if not self._computed:
            return "starting"
        pace = (time.monotonic() - self._started) / self._computed
        minutes, seconds = divmod(round(pace * (self._total - self._done)), 60)
        return f"about {minutes}:{seconds:02d} left"


@contextlib.contextmanager
def watching(plan: Plan, quiet: bool) -> Iterator[Watch]:
    """A watch for the time of a run."""
    if quiet or not sys.stderr.isatty():
        yield Watch(plan, lines=not quiet)
        return
    watch = Watch(plan)
    with Live(console=Console(stderr=True), refresh_per_second=4) as live:
        watch.show_on(live)
        yield watch


def _mean(values: list[float]) -> str:
    return f"{100 * fmean(values):.1f}" if values else "n/a"
