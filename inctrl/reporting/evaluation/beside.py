"""The published figures of InCTRL beside ours."""

import math

from inctrl.evaluation.published import CATEGORIES, SETTING, Published, published
from inctrl.evaluation.tables import Tables
from inctrl.maths.intervals import Spread
from inctrl.maths.metrics import METRICS
from inctrl.reporting.evaluation import figures
from inctrl.reporting.evaluation.findings import label
from inctrl.reporting.evaluation.grids import Entry, Grid, Line
from inctrl.reporting.words import plural, printable

PROTOCOL = "inctrl"
WARNING = (
    f"Published figures belong to {SETTING}. "
    "Another backbone, adapter or list of shots makes another experiment."
)


def beside(tables: Tables) -> list[Grid]:
    """A table for each data set and figure that something was published of."""
    if tables.evaluation.protocol != PROTOCOL:
        return []
    return [
        _grid(tables, dataset, metric, rows)
        for dataset in tables.datasets
        for metric in METRICS
        if (rows := published(dataset, metric))
    ]


def _grid(tables: Tables, dataset: str, metric: str, rows: dict[int, Published]) -> Grid:
    ks = sorted({*tables.evaluation.shots, *rows})
    theirs = Line("InCTRL, published", tuple(_theirs(rows.get(k)) for k in ks))
    ours = [
        Line(label(tables, c), tuple(_ours(tables, metric, c, dataset, k) for k in ks))
        for c in range(len(tables.evaluation.contenders))
    ]
    heads = tuple(plural(k, "shot") for k in ks)
    caption = f"{printable(dataset)}: {METRICS[metric].title}, %"
    sources = sorted({row.source for row in rows.values()})
    notes = (f"{'; '.join(sources)}.", *_other_number(tables, dataset, rows))
    return Grid(caption, "Detector", heads, (theirs, *ours), notes=notes)


def _other_number(tables: Tables, dataset: str, rows: dict[int, Published]) -> tuple[str, ...]:
    """A mean over a part of a set cannot be compared with one over all of it."""
    ours = sum(test.dataset == dataset for test in tables.evaluation.tests)
    theirs = max(CATEGORIES[row.dataset] for row in rows.values())
    if ours == theirs:
        return ()
    published_of = plural(theirs, "category", "categories")
    return (f"The published mean is over {published_of}, ours over {ours}: not the same figure.",)


def _theirs(row: Published | None) -> Entry:
    if row is None:
        return Entry(figures.NONE)
    return Entry(figures.with_spread(Spread(row.mean, row.sd, 0)), row.mean)


def _ours(tables: Tables, metric: str, contender: int, dataset: str, k: int) -> Entry:
    if k not in tables.evaluation.shots:
        return Entry("not run")
    found = tables.dataset(metric, contender, dataset, tables.evaluation.shots.index(k)).spread
    value = math.nan if found.mean is None else found.mean
    return Entry(figures.with_spread(found, metric), value)
