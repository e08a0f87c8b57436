"""What `inctrl evaluate` tells: how it goes, what it came to, and what the audit found.

On the way a live table where a person watches, plain lines elsewhere; at the end means over seeds.
"""

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
from inctrl.evaluation.audit import Finding
from inctrl.evaluation.plan import Plan
from inctrl.evaluation.results import Cell, Evaluation
from inctrl.evaluation.tables import Mean, Tables, tables
from inctrl.maths.metrics import METRICS, image_figures
from inctrl.reporting.words import plural, printable

OVERALL = (
    *("image_auroc", "image_ap", "pixel_auroc", "aupro_30"),
    *("false_alarms", "undecided", "recall"),
)
"""The figures that the last tables show."""
FEWER = (
    "* mean over fewer categories: a contender failed, see the notes, or nothing can be measured "
    "there"
)


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
        each = len(plan.shots) * len(plan.seeds)
        self._total = len(plan.entrants) * len(plan.categories) * each
        self._done = self._computed = 0
        self._started = time.monotonic()

    def show_on(self, live: Live) -> None:
        self._live = live
        self._refresh()

    def cell(self, cell: Cell, category: Category, *, computed: bool) -> None:
        labels = [sample.anomalous for sample in category.test]
        auroc = image_figures(labels, cell.scores)["image_auroc"]
        values = [] if auroc is None else [auroc]
        self._aurocs.setdefault((cell.contender, cell.k), []).extend(values)
        self._pending.setdefault(cell.k, []).extend(values)
        self._done += 1
        self._computed += computed
        where = f"{category.dataset}/{category.name}"
        row = {"contender": cell.contender, "set": where, "k": cell.k, "seed": cell.seed}
        lines().put({"cell": {**row, "image_auroc": auroc}})
        lines().place("cells", self._done, self._total, last=self._done == self._total)
        if cell.k == self._plan.shots[-1] and cell.seed == self._plan.seeds[-1]:
            self._line(f"{where}  {cell.contender}", self._pending)
            self._pending = {}
        self._refresh()

    def failed(self, label: str, category: Category, reason: str) -> None:
        where = f"{category.dataset}/{category.name}"
        self.faults.append(printable(f"{label} on {where}: {reason}"))
        self._pending = {}
        if self._lines:
            sys.stderr.write(printable(f"{where}  {label}  failed: {reason}") + "\n")

    def _line(self, name: str, values: dict[int, list[float]]) -> None:
        if self._lines:
            means = "  ".join(f"k={k} {_auroc(values[k])}" for k in sorted(values))
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
            means = [_auroc(self._aurocs.get((label, k), [])) for k in self._plan.shots]
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


def _auroc(values: list[float]) -> str:
    return f"{100 * fmean(values):.1f}" if values else "n/a"


def summary(evaluation: Evaluation) -> str:
    """Image AUROC by data set, then the main figures over all; in per cent."""
    found = tables(evaluation)
    seeds = len(evaluation.seeds)
    blocks = [f"per cent, mean +- standard deviation over {plural(seeds, 'seed')}"]
    if len(found.datasets) > 1:
        blocks += [_block(found, "image_auroc", name) for name in found.datasets]
    blocks += [_block(found, metric, None) for metric in OVERALL]
    return "\n\n".join(block for block in blocks if block) + "\n"


def audit_line(finding: Finding) -> str:
    """One check: pass or FAIL, how far scores moved, and where."""
    name = f"{finding.contender}  {finding.category}  {finding.check}"
    if finding.fault:
        return printable(f"FAIL  {name}  {finding.fault}") + "\n"
    where = f"  ({finding.where})" if finding.moved else ""
    verdict = "pass" if finding.passed else "FAIL"
    return printable(f"{verdict}  {name}  moved {finding.moved:.1e}{where}") + "\n"


def _block(found: Tables, metric: str, dataset: str | None) -> str:
    """A table of one figure; empty where no contender has it."""
    evaluation = found.evaluation
    rows = [
        (
            printable(contender.label),
            [
                found.dataset(metric, c, dataset, k) if dataset else found.overall(metric, c, k)
                for k in range(len(evaluation.shots))
            ],
        )
        for c, contender in enumerate(evaluation.contenders)
    ]
    if all(mean.spread.mean is None for _, means in rows for mean in means):
        return ""
    width = max(24, *(len(label) for label, _ in rows))
    where = printable(f"{dataset or _everything(found)}: {METRICS[metric].title}")
    head = f"{'':{width}}" + "".join(f"{f'k={k}':>16}" for k in evaluation.shots)
    lines = [
        f"{label:{width}}" + "".join(f"{_cell(m):>16}" for m in means) for label, means in rows
    ]
    fewer = any(_fewer(mean) for _, means in rows for mean in means)
    return "\n".join([where, head, *lines, *([FEWER] if fewer else [])])


def _everything(found: Tables) -> str:
    if len(found.datasets) > 1:
        return f"mean of {len(found.datasets)} data sets"
    return f"{found.datasets[0]}, {plural(len(found.evaluation.tests), 'category', 'categories')}"


def _cell(mean: Mean) -> str:
    if mean.spread.mean is None:
        return "n/a"
    sd = "" if mean.spread.sd is None else f" +-{100 * mean.spread.sd:5.2f}"
    return f"{100 * mean.spread.mean:.2f}{sd}{'*' if _fewer(mean) else ''}"


def _fewer(mean: Mean) -> bool:
    """Whether it lacks categories, and may not be compared with one that does not."""
    return mean.spread.mean is not None and mean.parts < mean.of
