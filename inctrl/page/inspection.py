"""An inspection as the page keeps it: what a report keeps, and what feedback needs.

Everything that is shown follows from it, so that looking at another image or moving the limit asks
no model.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import PIL.Image

from inctrl.inspection.fitted import FittedInspector
from inctrl.maths.limits import exceeds
from inctrl.page.uploads import Added, read
from inctrl.reporting.colours import Scale
from inctrl.reporting.overlay import layer
from inctrl.reporting.pictures import SHOT, pictures
from inctrl.reporting.run import AnyRow, FailedRow, Row, RunInfo, row
from inctrl.service.detection import answer
from inctrl.service.uploads import Outcome
from inctrl.service.workbench import Asked, Prepared, Workbench
from inctrl.types import Failure, Result, Verdict
from inctrl.views import Views

LONGEST, SHORTEST = 1280, 320
"""Long side of a view: larger images are reduced, smaller ones grow by a whole factor."""


@dataclass(frozen=True)
class View:
    """Encoded, for the memory of an open page: the image as JPEG, its heat as PNG."""

    image: bytes
    heat: bytes

    @property
    def pair(self) -> tuple[PIL.Image.Image, PIL.Image.Image]:
        """The original, and the same with heat, contour and boxes over it."""
        original = PIL.Image.open(io.BytesIO(self.image)).convert("RGB")
        heat = PIL.Image.open(io.BytesIO(self.heat)).convert("RGBA")
        over = PIL.Image.alpha_composite(original.convert("RGBA"), heat)
        return original, over.convert("RGB")


@dataclass(frozen=True, eq=False)
class Inspection:
    """The answers for some queries.

    rows       in the order of the queries
    shown      of each row the pictures at a size to look at; None where it could not be read
    queries    of each row the file that was added, and which image of it
    shots      the normal images, where they were no registered set
    reference  NAME@VERSION of the set
    refused    normal images that were left out, and why
    seconds    of the queries together
    """

    info: RunInfo
    rows: tuple[AnyRow, ...]
    shown: tuple[View | None, ...]
    queries: tuple[Added, ...]
    shots: tuple[Added, ...]
    reference: str | None
    refused: tuple[str, ...]
    seconds: float

    @property
    def views(self) -> Views:
        """How shots and queries were seen."""
        return Views(self.info.card.orientation, self.info.card.tiles)

    @property
    def set_name(self) -> str | None:
        return self.reference.partition("@")[0] if self.reference else None

    def judged(self, limit: float | None) -> tuple[AnyRow, ...]:
        """The rows at another limit; at the calibrated one (None) as they are.

        What lies above a limit that somebody chose is anomalous, and what lies below it normal,
        unless something of it was not compared.
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
    prepared, values = found.prepared, [one.value for one in found.outcomes]
    version = prepared.version
    return Inspection(
        info=run_info(prepared.fitted, found.preparing),
        rows=tuple(
            FailedRow(i, one.name, one.error)
            if isinstance(one, Failure)
            else replace(one[0], number=i)
            for i, one in enumerate(values)
        ),
        shown=tuple(None if isinstance(one, Failure) else one[1] for one in values),
        queries=tuple(_which(queries[one.index], one) for one in found.outcomes),
        shots=tuple(shots),
        reference=f"{version.name}@{version.version}" if version else None,
        refused=tuple(one.error for one in prepared.refused),
        seconds=found.inspecting,
    )


def _which(file: Added, one: Outcome[tuple[Row, View]]) -> Added:
    """The file of a row and, where it holds several images, which of them the row is of."""
    if one.frame is None:
        return file
    shown = None if isinstance(one.value, Failure) else one.value[0].pictures
    return replace(file, frame=one.frame, picture=shown.original if shown else "")


def drawn(index: int, result: Result, prepared: Prepared, _: str | None) -> tuple[Row, View]:
    """A result without its arrays, as a report and as the page show it."""
    fitted = prepared.fitted
    scale = Scale.of(fitted.calibration)
    shown = pictures(result, scale, fitted.shots)
    return row(index, result, ("", ""), shown), view(result, scale)


def run_info(fitted: FittedInspector, seconds: float) -> RunInfo:
    """A run's, fit to be shown to anybody and to be kept as long as a page is open."""
    found = RunInfo.of(fitted, seconds)
    card = found.card
    return replace(
        found,
        card=replace(card, adapter=Path(card.adapter).name if card.adapter else None),
        shot_images=tuple(shot.bounded(SHOT * SHOT) for shot in found.shot_images),
    )


def view(result: Result, scale: Scale) -> View:
    height, width = result.image.size
    longest = max(height, width)
    factor = min(1.0, LONGEST / longest) if longest >= SHORTEST else -(-SHORTEST // longest)
    size = max(1, round(width * factor)), max(1, round(height * factor))
    enlarged = PIL.Image.Resampling.NEAREST if factor > 1 else PIL.Image.Resampling.BICUBIC
    picture = PIL.Image.fromarray(result.image.rgb).resize(size, enlarged, reducing_gap=2.0)
    image, heat = io.BytesIO(), io.BytesIO()
    picture.save(image, "JPEG", quality=95, subsampling=0)
    layer(result, scale, size).save(heat, "PNG", compress_level=3)
    return View(image.getvalue(), heat.getvalue())


def _at(one: Row, limit: float) -> Row:
    below: Verdict = "undecided" if one.doubted else "normal"
    verdict: Verdict = "anomalous" if exceeds(one.score, limit) else below
    return replace(one, threshold=limit, verdict=verdict)
