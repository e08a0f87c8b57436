"""From results to what the service says of them."""

import base64
import io
import math
from dataclasses import asdict
from pathlib import Path

import numpy as np
import PIL.Image
from starlette.responses import FileResponse
from starlette.types import Receive, Scope, Send

from inctrl import store
from inctrl.images import Image
from inctrl.inspection.fitted import FittedInspector
from inctrl.reporting.colours import Scale
from inctrl.reporting.overlay import layer, overlay
from inctrl.service.schemas import (
    BoxReply,
    DifferenceReply,
    EvidenceReply,
    LimitReply,
    MapFormat,
    ModelReply,
    Refused,
    RegionReply,
    Scored,
    SetReply,
    ShotReply,
    Unreadable,
    VersionSummary,
)
from inctrl.service.workbench import Refusal
from inctrl.store import Difference, SetVersion, Shot
from inctrl.types import Box, Card, Evidence, Failure, Result

MEDIA_TYPES: dict[MapFormat, str] = {
    "overlay": "image/png",
    "png": "image/png",
    "npz": "application/zip",
}


class WholeFile(FileResponse):
    """A file as a whole: no part of it can be asked for, and so none can be asked for wrongly."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.headers["accept-ranges"] = "none"
        headers = [pair for pair in scope["headers"] if pair[0] not in (b"range", b"if-range")]
        await super().__call__({**scope, "headers": headers}, receive, send)


def scored(
    index: int, result: Result, fitted: FittedInspector, id: str | None, map: MapFormat | None
) -> Scored:
    """A result without its arrays, or with its map in a format."""
    height, width = result.image.size
    return Scored(
        index=index,
        name=result.name,
        id=id,
        sha256=result.image.sha256,
        height=height,
        width=width,
        score=result.score,
        threshold=finite(result.threshold),
        p_value=result.p_value,
        p_floor=result.p_floor,
        verdict=result.verdict,
        pixel_limit=finite(result.pixel_limit),
        regions=[
            RegionReply(box=_box(region.box), peak=region.peak, area=region.area)
            for region in result.regions
        ],
        evidence=_evidence(result.evidence, fitted),
        notes=list(result.notes),
        timing=dict(result.timing),
        map=base64.b64encode(map_file(result, fitted, map)).decode() if map else None,
    )


def unreadable(index: int, failure: Failure) -> Unreadable:
    return Unreadable(index=index, name=failure.name, error=failure.error)


def map_file(result: Result, fitted: FittedInspector, format: MapFormat) -> bytes:
    """The map of a result as a file, at the query's size.

    overlay    the query with heat, contour and boxes over it, PNG
    png        the heat alone, clear below the limit
    npz        `anomaly_map`, float32 H W
    """
    buffer = io.BytesIO()
    if format == "npz":
        np.savez_compressed(buffer, allow_pickle=False, anomaly_map=result.anomaly_map)
        return buffer.getvalue()
    scale = Scale.of(fitted.calibration)
    height, width = result.image.size
    picture = (
        overlay(result, scale) if format == "overlay" else layer(result, scale, (width, height))
    )
    picture.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def limit_of(fitted: FittedInspector) -> LimitReply:
    calibration = fitted.calibration
    return LimitReply(
        threshold=finite(calibration.threshold),
        calibrated=finite(calibration.calibrated),
        alpha=calibration.alpha,
        method=calibration.method,
        words=calibration.limit_words,
        p_floor=calibration.p_floor,
        shots=calibration.shots,
        normal_scores=list(calibration.scores),
        defect_scores=list(calibration.defects),
        low=calibration.map_low,
        pixel=finite(calibration.pixel_limit),
        high=finite(calibration.map_high) or 0.0,
        warnings=list(calibration.warnings),
    )


def model_of(card: Card) -> ModelReply:
    return ModelReply(
        inctrl=card.inctrl,
        backbone=card.backbone,
        fingerprint=card.fingerprint,
        image_size=card.image_size,
        layers=list(card.layers),
        detector=card.detector,
        options=dict(card.options),
        adapter=Path(card.adapter).name if card.adapter else None,
        adapter_sha256=card.adapter_sha256,
        fit=card.fit,
        text_prior=card.text_prior,
        text_weight=card.text_weight,
    )


def set_reply(version: SetVersion, refused: tuple[Refusal, ...] = ()) -> SetReply:
    return SetReply(
        name=version.name,
        version=version.version,
        item=version.item,
        shots=[shot_reply(shot) for shot in version.shots],
        created=version.created,
        note=version.note,
        origin=version.origin,
        digest=version.digest,
        refused=refusals(refused),
    )


def version_summary(version: store.VersionSummary) -> VersionSummary:
    return VersionSummary(
        version=version.version,
        shots=version.shots,
        created=version.created,
        note=version.note,
        origin=version.origin,
        digest=version.digest,
    )


def difference_reply(name: str, before: int, after: int, found: Difference) -> DifferenceReply:
    return DifferenceReply(
        name=name,
        before=before,
        after=after,
        added=[shot_reply(shot) for shot in found.added],
        removed=[shot_reply(shot) for shot in found.removed],
        kept=[shot_reply(shot) for shot in found.kept],
    )


def shot_reply(shot: Shot) -> ShotReply:
    return ShotReply(sha256=shot.sha256, name=shot.name, height=shot.height, width=shot.width)


def refusals(refused: tuple[Refusal, ...]) -> list[Refused]:
    return [Refused(name=one.name, error=one.error) for one in refused]


def finite(value: float) -> float | None:
    """JSON has no infinity: a limit that does not exist is null."""
    return value if math.isfinite(value) else None


def shown_png(image: Image, longest: int | None = None) -> bytes:
    """An image as a fresh PNG, of which no side has over `longest` pixels.

    Nothing of the file that came survives.
    """
    buffer, picture = io.BytesIO(), PIL.Image.fromarray(image.rgb)
    if longest is not None:
        picture.thumbnail((longest, longest), PIL.Image.Resampling.LANCZOS)
    picture.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _box(box: Box) -> BoxReply:
    return BoxReply(**asdict(box))


def _evidence(evidence: Evidence | None, fitted: FittedInspector) -> EvidenceReply | None:
    if evidence is None:
        return None
    return EvidenceReply(
        query_box=_box(evidence.query_box),
        shot=evidence.shot,
        shot_name=evidence.shot_name,
        shot_sha256=fitted.shots[evidence.shot].sha256,
        shot_box=_box(evidence.shot_box),
        distance=evidence.distance,
        normal_distance=evidence.normal_distance,
    )
