"""What a run keeps: what made it, and a small row for each query, in the order of arrival."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from inctrl.identity import Card
from inctrl.images import Image
from inctrl.machine import machine
from inctrl.reporting.colours import Scale
from inctrl.reporting.pictures import Pictures
from inctrl.types import Evidence, Region, Result, Verdict

if TYPE_CHECKING:
    from inctrl.inspection.fitted import FittedInspector

ALL_PICTURED = 200
"""Up to so many results, and so many pictures at the most: the page has to stay openable."""
HIGHEST_PICTURED = 100


@dataclass(frozen=True, eq=False)
class RunInfo:
    """What is known of a run before its first query.

    alpha               the wanted share of false alarms
    method              name of the calibration method
    limit_words         one sentence saying how the limit was set
    calibration_scores  scores of the normal shots, each held out of its own references
    threshold           the limit; infinite where none could be given
    p_floor             the least p-value that the calibration can show
    scale               colours of all maps of the run
    shot_images         the shots, in the order that evidence counts them
    seconds             time taken to prepare and calibrate, before the first query
    started             date and time for people, ISO 8601
    machine             processor, threads and library that compute the scores
    """

    card: Card
    alpha: float
    method: str
    limit_words: str
    calibration_scores: tuple[float, ...]
    threshold: float
    p_floor: float
    scale: Scale
    shot_images: tuple[Image, ...]
    warnings: tuple[str, ...]
    seconds: float
    started: str
    machine: str = field(default_factory=machine)

    @classmethod
    def of(cls, fitted: "FittedInspector", seconds: float) -> "RunInfo":
        """Of a run with prepared shots, which begins now."""
        limits = fitted.calibration
        return cls(
            card=fitted.card,
            alpha=limits.alpha,
            method=limits.method,
            limit_words=limits.limit_words,
            calibration_scores=limits.scores,
            threshold=limits.threshold,
            p_floor=limits.p_floor,
            scale=Scale.of(limits),
            shot_images=fitted.shots,
            warnings=limits.warnings,
            seconds=seconds,
            started=datetime.now().astimezone().isoformat(timespec="seconds"),
        )


@dataclass(frozen=True)
class Row:
    """A scored query without its arrays; `map` and `overlay` are paths inside the run folder.

    doubted   whether it is called normal by no limit, however high (the notes say why)
    """

    number: int
    name: str
    size: tuple[int, int]
    sha256: str
    score: float
    threshold: float
    p_value: float
    p_floor: float
    verdict: Verdict
    pixel_max: float
    pixel_limit: float
    regions: tuple[Region, ...]
    evidence: Evidence | None
    notes: tuple[str, ...]
    map: str
    overlay: str
    timing: Mapping[str, float] = field(default_factory=dict)
    pictures: Pictures | None = None
    doubted: bool = False


@dataclass(frozen=True)
class FailedRow:
    """A query that could not be scored."""

    number: int
    name: str
    error: str


AnyRow: TypeAlias = "Row | FailedRow"


def row(number: int, result: Result, files: tuple[str, str], pictures: Pictures | None) -> Row:
    """The row of a result whose (map, overlay) lie in `files`."""
    values = result.anomaly_map
    highest = float(np.fmax.reduce(values, axis=None)) if values.size else math.nan
    return Row(
        number=number,
        name=result.name,
        size=result.image.size,
        sha256=result.image.sha256,
        score=result.score,
        threshold=result.threshold,
        p_value=result.p_value,
        p_floor=result.p_floor,
        verdict=result.verdict,
        pixel_max=highest,
        pixel_limit=result.pixel_limit,
        regions=result.regions,
        evidence=result.evidence,
        notes=(*result.image.notes, *(n for n in result.notes if n not in result.image.notes)),
        map=files[0],
        overlay=files[1],
        timing=dict(result.timing),
        pictures=pictures,
        doubted=bool(result.image.doubts),
    )


def scored(rows: Sequence[AnyRow]) -> list[Row]:
    """The scored rows, most anomalous first; rows of one score keep their order."""
    # A score that is no number is something to look at, so it comes first.
    return sorted(
        (r for r in rows if isinstance(r, Row)),
        key=lambda r: -math.inf if math.isnan(r.score) else -r.score,
    )


def failed(rows: Sequence[AnyRow]) -> list[FailedRow]:
    """The failed rows, in order of arrival."""
    return [r for r in rows if isinstance(r, FailedRow)]


def pictured(rows: Sequence[AnyRow]) -> frozenset[int]:
    """Numbers of the rows that the page shows as pictures.

    All of up to 200; of more, the 100 highest scores and further non-normal ones up to 200.
    Later rows never bring back an earlier one that is left out, so a run may call this early.
    """
    ranked = scored(rows)
    if len(ranked) <= ALL_PICTURED:
        return frozenset(r.number for r in ranked)
    further = [r for r in ranked[HIGHEST_PICTURED:] if r.verdict != "normal"]
    chosen = [*ranked[:HIGHEST_PICTURED], *further[: ALL_PICTURED - HIGHEST_PICTURED]]
    return frozenset(r.number for r in chosen)
