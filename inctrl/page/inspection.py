"""An inspection as the page keeps it: what a report keeps, and what feedback needs.

Everything that is shown follows from it, so that looking at another image or moving the limit asks
no model.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from inctrl.page.uploads import Added, read
from inctrl.page.views import View, view
from inctrl.reporting.pictures import SHOT, pictures
from inctrl.reporting.run import AnyRow, FailedRow, Row, RunInfo, row
from inctrl.service.answers import scale_of
from inctrl.service.detection import Asked, answer
from inctrl.service.workbench import Prepared, Workbench
from inctrl.types import Failure, Result


@dataclass(frozen=True, eq=False)
class Inspection:
    """The answers for some queries.

    rows       in the order of the queries
    views      of each row the pictures at a size to look at; None where it could not be read
    queries    the queries as they were added
    shots      the normal images, where they were no registered set
    reference  NAME@VERSION of the set
    refused    normal images that were left out, and why
    seconds    of the queries together
    """

    info: RunInfo
    rows: tuple[AnyRow, ...]
    views: tuple[View | None, ...]
    queries: tuple[Added, ...]
    shots: tuple[Added, ...]
    reference: str | None
    refused: tuple[str, ...]
    seconds: float

    @property
    def set_name(self) -> str | None:
        return self.reference.partition("@")[0] if self.reference else None

    def judged(self, limit: float | None) -> tuple[AnyRow, ...]:
        """The rows at another limit; at the calibrated one (None) as they are.

        A limit that somebody chose leaves no doubt: what lies above it is anomalous.
        """
        if limit is None:
            return self.rows
        return tuple(_at(one, limit) if isinstance(one, Row) else one for one in self.rows)


async def inspect(
    bench: Workbench,
    asked: Asked,
    queries: Sequence[Added],
    shots: Sequence[Added] = (),
) -> Inspection:
    """Score queries as `POST /v1/detect` does; the scores are in the history when this returns."""
    uploads = await read(one.path for one in queries)
    with bench.admission.admit(bench.settings.limits.longest_deadline) as ticket:
        found = await answer(bench, asked, uploads, ticket, drawn)
    prepared, outcomes = found.prepared, found.outcomes
    version = prepared.version
    return Inspection(
        info=run_info(prepared, found.preparing),
        rows=tuple(
            FailedRow(i, one.name, one.error) if isinstance(one, Failure) else one[0]
            for i, one in enumerate(outcomes)
        ),
        views=tuple(None if isinstance(one, Failure) else one[1] for one in outcomes),
        queries=tuple(queries),
        shots=tuple(shots),
        reference=f"{version.name}@{version.version}" if version else None,
        refused=tuple(one.error for one in prepared.refused),
        seconds=found.inspecting,
    )


def drawn(index: int, result: Result, prepared: Prepared, _: str | None) -> tuple[Row, View]:
    """A result without its arrays, as a report and as the page show it."""
    fitted = prepared.fitted
    scale = scale_of(fitted)
    shown = pictures(result, scale, fitted.shots)
    return row(index, result, ("", ""), shown), view(result, scale)


def run_info(prepared: Prepared, seconds: float) -> RunInfo:
    """What is known without any query."""
    fitted = prepared.fitted
    calibration, card = fitted.calibration, fitted.card
    return RunInfo(
        card=replace(card, adapter=Path(card.adapter).name if card.adapter else None),
        alpha=calibration.alpha,
        method=calibration.method,
        limit_words=calibration.limit_words,
        calibration_scores=calibration.scores,
        threshold=calibration.threshold,
        p_floor=calibration.p_floor,
        scale=scale_of(fitted),
        # Small, for they are kept as long as the page is open.
        shot_images=tuple(shot.bounded(SHOT * SHOT) for shot in fitted.shots),
        warnings=calibration.warnings,
        seconds=seconds,
        started=datetime.now().astimezone().isoformat(timespec="seconds"),
    )


def _at(one: Row, limit: float) -> Row:
    return replace(one, threshold=limit, verdict="anomalous" if one.score > limit else "normal")
