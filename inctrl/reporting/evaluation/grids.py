"""Tables as the page draws them: heads, rows and what each cell says."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from inctrl.evaluation.tables import COMPARED, Mean, Tables
from inctrl.maths.intervals import Difference, Spread
from inctrl.maths.metrics import METRICS
from inctrl.reporting.evaluation import figures
from inctrl.reporting.evaluation.findings import label, ranking
from inctrl.reporting.words import plural, printable


@dataclass(frozen=True)
class Entry:
    """One cell.

    value  what sorting goes by; NaN where undefined
    note   small words under it
    mark   "worst", "clear" or ""
    """

    text: str
    value: float = math.nan
    note: str = ""
    mark: str = ""


@dataclass(frozen=True)
class Line:
    """A row: its header, small words under it, and its cells."""

    head: str
    entries: tuple[Entry, ...]
    note: str = ""


@dataclass(frozen=True)
class Grid:
    """A table; `stub` heads the column of row headers, `foot` stands apart below."""

    caption: str
    stub: str
    heads: tuple[str, ...]
    lines: tuple[Line, ...]
    foot: tuple[Line, ...] = ()
    notes: tuple[str, ...] = ()


ORACLE = "F1-max is an oracle: its threshold is chosen on the test labels."
UNWEIGHTED = "Means are unweighted: over the categories of a data set, then over the data sets."


def overall(tables: Tables, metric: str) -> Grid:
    """Contenders by number of shots, over all data sets."""
    lines = []
    for c in range(len(tables.evaluation.contenders)):
        means = [tables.overall(metric, c, k) for k in range(len(tables.evaluation.shots))]
        lines.append(Line(label(tables, c), tuple(_mean(m, metric) for m in means)))
    notes = (ORACLE,) if METRICS[metric].oracle else ()
    caption = f"{_capital(METRICS[metric].title)}{' (oracle)' * METRICS[metric].oracle}, %"
    return Grid(caption, "Detector", _shots(tables), tuple(lines), notes=notes)


def differences(
    tables: Tables, metric: str, dataset: str | None = None, most: int | None = None
) -> Grid | None:
    """Pairs by number of shots, those of the best contender first, `most` at the most.

    None where nothing was compared.
    """
    lines = []
    order = [contender for contender, _ in ranking(tables, metric)]
    ks: list[int | None] = [None, *range(len(tables.evaluation.shots))]
    for first, second in list(combinations(order, 2))[:most]:
        found = [tables.difference(metric, first, second, k, dataset) for k in ks]
        if found[0] is not None:
            pair = f"{label(tables, first)} {figures.MINUS} {label(tables, second)}"
            mean = found[0]
            wins = f"higher in {mean.wins}, lower in {mean.losses} of {mean.categories}"
            lines.append(Line(pair, tuple(map(_difference, found)), wins))
    if not lines:
        return None
    where = "all data sets" if dataset is None else printable(dataset)
    caption = f"{_capital(METRICS[metric].title)}, {where}: difference in points"
    return Grid(caption, "Pair", ("all shots", *_shots(tables)), tuple(lines))


def categories(tables: Tables, dataset: str, k: int) -> Grid:
    """Image AUROC of each category by contender, the worst category of each marked."""
    contenders = range(len(tables.evaluation.contenders))
    seeds = len(tables.evaluation.seeds)
    spreads = {
        test: [tables.category("image_auroc", c, test, k) for c in contenders]
        for test in _tests(tables, dataset)
    }
    worst = [_lowest({test: row[c] for test, row in spreads.items()}) for c in contenders]
    lines = [
        _category_line(
            tables,
            test,
            [_marked(_spread(row[c], "", seeds), worst[c] == test) for c in contenders],
        )
        for test, row in spreads.items()
    ]
    means = [_mean(tables.dataset("image_auroc", c, dataset, k), "") for c in contenders]
    heads = tuple(label(tables, c) for c in contenders)
    shots = plural(tables.evaluation.shots[k], "shot")
    caption = f"{printable(dataset)}: image AUROC by category with {shots}, %"
    return Grid(caption, "Category", heads, tuple(lines), (Line("mean", tuple(means)),))


def detail(tables: Tables, contender: int, dataset: str, k: int) -> Grid:
    """All figures of a contender by category."""
    tests, seeds = _tests(tables, dataset), len(tables.evaluation.seeds)
    worst = _lowest({i: tables.category("image_auroc", contender, i, k) for i in tests})
    lines = []
    for i in tests:
        entries = [_spread(tables.category(m, contender, i, k), m, seeds) for m in METRICS]
        entries[0] = _marked(entries[0], worst == i)
        lines.append(_category_line(tables, i, entries))
    means = [_mean(tables.dataset(m, contender, dataset, k), m) for m in METRICS]
    heads = tuple(m.column + " (oracle)" * m.oracle for m in METRICS.values())
    shots = plural(tables.evaluation.shots[k], "shot")
    caption = f"{label(tables, contender)} with {shots}, %"
    foot = (Line("mean", tuple(means)),)
    return Grid(caption, "Category", heads, tuple(lines), foot, (ORACLE,))


def memory(tables: Tables) -> Grid:
    """Mean size of what is kept of the shots."""
    sizes: dict[tuple[str, int], list[int]] = {}
    for cell in tables.evaluation.cells:
        sizes.setdefault((cell.contender, cell.k), []).append(cell.bytes)
    lines = []
    for c, contender in enumerate(tables.evaluation.contenders):
        found = [sizes.get((contender.label, k), []) for k in tables.evaluation.shots]
        means = [sum(row) / len(row) if row else None for row in found]
        entries = [Entry(figures.size(m), math.nan if m is None else m) for m in means]
        lines.append(Line(label(tables, c), tuple(entries)))
    caption = "Kept of the shots of one category, on disk"
    return Grid(caption, "Detector", _shots(tables), tuple(lines))


def compared(tables: Tables) -> list[str]:
    """The compared figures that are defined for someone."""
    contenders, ks = range(len(tables.evaluation.contenders)), range(len(tables.evaluation.shots))
    return [
        metric
        for metric in COMPARED
        if any(tables.overall(metric, c, k).parts for c in contenders for k in ks)
    ]


def _tests(tables: Tables, dataset: str) -> list[int]:
    return [i for i, test in enumerate(tables.evaluation.tests) if test.dataset == dataset]


def _shots(tables: Tables) -> tuple[str, ...]:
    return tuple(plural(k, "shot") for k in tables.evaluation.shots)


def _category_line(tables: Tables, test: int, entries: Sequence[Entry]) -> Line:
    found = tables.evaluation.tests[test]
    bad = sum(found.anomalous)
    counts = f"{len(found.anomalous) - bad} normal, {bad} anomalous"
    return Line(printable(found.category), tuple(entries), counts)


def _spread(found: Spread, metric: str = "", seeds: int = 0) -> Entry:
    """With how many seeds it is over, where these are not all."""
    value = math.nan if found.mean is None else found.mean
    note = f"{found.seeds} of {plural(seeds, 'seed')}" if 0 < found.seeds < seeds else ""
    return Entry(figures.with_spread(found, metric), value, note)


def _mean(found: Mean, metric: str) -> Entry:
    """With how many categories it is over, where these are not all."""
    entry = _spread(found.spread, metric)
    if found.spread.seeds and found.parts < found.of:
        return replace(entry, note=f"{found.parts} of {found.of} categories")
    return entry


def _difference(found: Difference | None) -> Entry:
    if found is None:
        return Entry(figures.NONE)
    note = figures.interval(found) + (" (rough)" if found.rough and found.low is not None else "")
    return Entry(figures.points(found.mean), found.mean, note, "clear" if found.clear else "")


def _marked(entry: Entry, worst: bool) -> Entry:
    return replace(entry, mark="worst") if worst else entry


def _lowest(spreads: dict[int, Spread]) -> int | None:
    """The test set with the lowest mean; None where none is lower than all others."""
    defined = {test: found.mean for test, found in spreads.items() if found.mean is not None}
    lowest = [test for test, mean in defined.items() if mean == min(defined.values())]
    return lowest[0] if len(lowest) == 1 and len(defined) > 1 else None


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
