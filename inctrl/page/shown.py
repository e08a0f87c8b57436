"""An inspection in words and pictures, at the limit and for the query that were chosen."""

import math
from dataclasses import dataclass

from inctrl.maths.limits import exceeds
from inctrl.page.html import render
from inctrl.page.inspection import Inspection
from inctrl.reporting import words
from inctrl.reporting.plot import plot
from inctrl.reporting.run import AnyRow, FailedRow, Row, failed, scored

STEPS = 1000
"""Of the slider of the limit."""


@dataclass(frozen=True)
class Range:
    """Of the slider of the limit; it starts at the calibrated one, or at its end without one."""

    low: float
    high: float
    step: float
    start: float


def limit_range(inspection: Inspection) -> Range:
    """From nothing to beyond every score and the limit, in steps that show three digits."""
    limit = inspection.info.threshold
    scores = [row.score for row in inspection.rows if isinstance(row, Row)]
    values = [v for v in (*scores, *inspection.info.calibration_scores) if math.isfinite(v)]
    # A limit far above all scores would leave them a hair of the slider.
    near = [limit] if math.isfinite(limit) and limit <= 20 * max(values, default=limit) else []
    highest = max((*values, *near), default=1.0) or 1.0
    step = 10.0 ** math.floor(math.log10(1.2 * abs(highest) / STEPS))
    low = min(0.0, math.floor(min(values, default=0.0) / step) * step)
    high = math.ceil(1.2 * highest / (100 * step)) * 100 * step
    digits = max(0, -math.floor(math.log10(step)))
    start = min(high, limit)
    return Range(low, round(high, digits), step, round(start, digits))


def own_limit(inspection: Inspection, value: float | None) -> float | None:
    """The limit that the slider says; None where it stands as it was put."""
    found = limit_range(inspection)
    if value is None or abs(value - found.start) < found.step / 2:
        return None
    return float(value)


def ranked(rows: tuple[AnyRow, ...]) -> list[AnyRow]:
    """Most anomalous first, those that could not be read last."""
    return [*scored(rows), *failed(rows)]


def first(inspection: Inspection) -> int:
    """The query that is shown first: the most anomalous one."""
    return ranked(inspection.rows)[0].number


def queries_html(inspection: Inspection, chosen: int, limit: float | None) -> str:
    rows = inspection.judged(limit)
    return render(
        "queries",
        headline=words.headline(rows),
        tally=words.tally(rows),
        rows=ranked(rows),
        thumbs=[one.picture for one in inspection.queries],
        chosen=chosen,
    )


def verdict_html(inspection: Inspection, chosen: int, limit: float | None) -> str:
    row = inspection.judged(limit)[chosen]
    return render("verdict", row=row, info=inspection.info, own=limit is not None)


def facts_html(inspection: Inspection, chosen: int) -> str:
    row = inspection.rows[chosen]
    info = inspection.info
    return render(
        "facts",
        row=row,
        info=info,
        limited=math.isfinite(info.threshold),
        warnings=(*inspection.refused, *info.warnings),
        reference=inspection.reference,
        seen=inspection.views.words,
        timing="" if isinstance(row, FailedRow) else _timing(row),
    )


def scores_html(inspection: Inspection, limit: float | None) -> str:
    rows, info = inspection.judged(limit), inspection.info
    return render(
        "scores",
        plot=plot(
            scored(rows), info.calibration_scores, info.threshold if limit is None else limit
        ),
        rows=ranked(rows),
        tally=words.tally(rows),
        info=info,
    )


def limit_html(inspection: Inspection, limit: float | None) -> str:
    """What the limit does to the queries, and to the scores of the normal images behind it."""
    info = inspection.info
    value = info.threshold if limit is None else limit
    scores = [row.score for row in inspection.rows if isinstance(row, Row)]
    # Views of a single shot are no further images.
    normals = info.calibration_scores if info.method != "views" else ()
    return render(
        "limit",
        limit=value,
        own=limit is not None,
        limited=math.isfinite(value),
        above=sum(exceeds(score, value) for score in scores),
        total=len(scores),
        normals=len(normals),
        rejected=sum(exceeds(score, value) for score in normals),
    )


def _timing(row: Row) -> str:
    """'0.12 s (decode 0.04, encode 0.06, ...)'."""
    parts = [f"{name} {seconds:.3f}" for name, seconds in row.timing.items() if seconds >= 0.0005]
    total = sum(row.timing.values())
    return f"{total:.2f} s ({', '.join(parts)})" if parts else f"{total:.2f} s"
