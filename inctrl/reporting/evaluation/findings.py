"""Who is best at what, in words; nobody is called so where the interval of a difference holds 0."""

from collections.abc import Sequence
from dataclasses import dataclass

from inctrl.evaluation.tables import COMPARED, Tables
from inctrl.maths.intervals import Difference
from inctrl.maths.metrics import METRICS
from inctrl.reporting.evaluation import figures
from inctrl.reporting.words import plural, printable


@dataclass(frozen=True)
class Finding:
    """One figure: its verdict in a few words, and what this rests on."""

    verdict: str
    grounds: str


def findings(tables: Tables) -> list[Finding]:
    """One for each figure that is compared and defined, image AUROC first."""
    return [found for metric in COMPARED if (found := _finding(tables, metric)) is not None]


def label(tables: Tables, contender: int) -> str:
    """What a contender is called, printable."""
    return printable(tables.evaluation.contenders[contender].label)


def ranking(tables: Tables, metric: str) -> list[tuple[int, float]]:
    """Contenders and their mean over data sets and numbers of shots, best first."""
    means = []
    for contender in range(len(tables.evaluation.contenders)):
        found = [
            tables.overall(metric, contender, k).spread.mean
            for k in range(len(tables.evaluation.shots))
        ]
        defined = [value for value in found if value is not None]
        if defined:
            means.append((contender, sum(defined) / len(defined)))
    return sorted(means, key=lambda pair: -pair[1])


def _finding(tables: Tables, metric: str) -> Finding | None:
    order = ranking(tables, metric)
    if not order:
        return None
    title = METRICS[metric].column if METRICS[metric].about == "pixels" else METRICS[metric].title
    title = title.partition(" (")[0]
    (first, mean), *others = order
    name = label(tables, first)
    if not others:
        return Finding(
            f"{name} reaches {figures.figure(mean)} % {title}",
            f"{name}: {_by_shots(tables, metric, first)} % {title}, {_over(tables)}.",
        )
    differences = {other: tables.difference(metric, first, other, None) for other, _ in others}
    open_ones = [other for other, found in differences.items() if found is None or not found.clear]
    second = others[0][0]
    if not open_ones:
        clear = f", and clear of the other {len(others) - 1} too" if len(others) > 1 else ""
        return Finding(
            f"{name} is best in {title}",
            f"{name} leads in {title}: ahead of {label(tables, second)} by "
            f"{_grounds(differences[second])}{clear}.",
        )
    close = open_ones[0]
    found = differences[close]
    lead = f"{name} is highest" if mean > others[0][1] else f"{name} is level"
    if found is None:
        reason = f"{lead}, but was never measured together with {label(tables, close)}"
    else:
        # Ranked by means over all that is defined, compared on what both have.
        reason = f"{lead}; against {label(tables, close)} it is at {_grounds(found)}"
        reason += _why_open(found)
    more = f"; {plural(len(open_ones) - 1, 'other')} as open" if len(open_ones) > 1 else ""
    return Finding(f"No clear winner in {title}", f"No clear winner in {title}: {reason}{more}.")


def _grounds(found: Difference | None) -> str:
    """'+2.1 points (95 % interval +0.8 to +3.4; higher in 5 of 6 categories)'."""
    if found is None:
        return "an unknown margin"
    wins = f"higher in {found.wins} of {plural(found.categories, 'category', 'categories')}"
    if found.low is None:
        return f"{figures.points(found.mean)} points (no interval; {wins})"
    shown = figures.interval(found)
    return f"{figures.points(found.mean)} points (95\u00a0% interval {shown}; {wins})"


def _why_open(found: Difference) -> str:
    if found.low is None or found.high is None:
        return ", and nothing was repeated that could say how sure this is"
    if found.low <= 0 <= found.high:
        return ", and the interval holds 0"
    return ", but too few categories and seeds were seen to keep to this interval"


def _by_shots(tables: Tables, metric: str, contender: int) -> str:
    shown: Sequence[str] = [
        f"{figures.with_spread(tables.overall(metric, contender, i).spread, metric)} with {k}"
        for i, k in enumerate(tables.evaluation.shots)
    ]
    return ", ".join(shown)


def _over(tables: Tables) -> str:
    count = plural(len(tables.datasets), "data set")
    categories = plural(len(tables.evaluation.tests), "category", "categories")
    return f"shots, mean over {categories} of {count}"
