"""From results to what the service says of them."""

import base64
import io
from pathlib import Path

import numpy as np
import PIL.Image
from starlette.responses import FileResponse
from starlette.types import Receive, Scope, Send

from inctrl.identity import Card
from inctrl.images import Image
from inctrl.inspection.fitted import FittedInspector
from inctrl.reporting.colours import Scale
from inctrl.reporting.overlay import layer, overlay
from inctrl.service.detection_schemas import (
    EvidenceReply,
    LimitReply,
    MapFormat,
    ModelReply,
    Scored,
    Unreadable,
)
from inctrl.service.schemas import Refused, SetReply, finite
from inctrl.store import SetVersion
from inctrl.types import Evidence, Failure, Result

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
    return Scored.made_of(
        result,
        index=index,
        id=id,
        sha256=result.image.sha256,
        height=height,
        width=width,
        evidence=_evidence(result.evidence, fitted),
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
    return LimitReply.made_of(
        calibration,
        words=calibration.limit_words,
        normal_scores=calibration.scores,
        defect_scores=calibration.defects,
        low=calibration.map_low,
        pixel=calibration.pixel_limit,
        high=finite(calibration.map_high) or 0.0,
    )


def model_of(card: Card) -> ModelReply:
    return ModelReply.made_of(card, adapter=Path(card.adapter).name if card.adapter else None)


def set_reply(version: SetVersion, refused: tuple[Failure, ...] = ()) -> SetReply:
    return SetReply.made_of(version, refused=refused)


def refusals(refused: tuple[Failure, ...]) -> list[Refused]:
    return [Refused.model_validate(one) for one in refused]


def shown_png(image: Image, longest: int | None = None) -> bytes:
    """An image as a fresh PNG, of which no side has over `longest` pixels.

    Nothing of the file that came survives.
    """
    buffer, picture = io.BytesIO(), PIL.Image.fromarray(image.rgb)
    if longest is not None:
        picture.thumbnail((longest, longest), PIL.Image.Resampling.LANCZOS)
    picture.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _evidence(evidence: Evidence | None, fitted: FittedInspector) -> EvidenceReply | None:
    if evidence is None:
        return None
    return EvidenceReply.made_of(evidence, shot_sha256=fitted.shots[evidence.shot].sha256)
