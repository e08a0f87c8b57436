"""Detection: queries against a registered set, or against shots that come along.

These paths are admitted or refused before their bodies are read (`admission.Gate`).
"""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, File, Form, Request, UploadFile
from starlette.responses import Response

from inctrl.service import detection
from inctrl.service.answers import MEDIA_TYPES
from inctrl.service.detection_schemas import Detection, MapFormat
from inctrl.service.fields import Reference
from inctrl.service.http.forms import FormRoute
from inctrl.service.requests import (
    Bench,
    Chosen,
    Files,
    Item,
    TileCount,
    WayRound,
    Which,
    json_response,
    ticket_of,
    uploads,
    while_connected,
)
from inctrl.service.workbench import Asked
from inctrl.views import Views

router = APIRouter(prefix="/v1", tags=["detect"], route_class=FormRoute)
ONE_OF = (
    "what is normal: a set by name, or shots that come along; give one of `set` and `shots`, not "
    "both (detectors without normal images take neither)"
)


async def asked(
    bench: Bench,
    choice: Chosen,
    reference: Annotated[Reference | None, Form(alias="set", description=ONE_OF)] = None,
    shots: Annotated[list[UploadFile], File(description=ONE_OF)] = [],  # noqa: B006  a declaration
    item: Item = "object",
    orientation: WayRound = None,
    tiles: TileCount = None,
    frame: Which = "all",
) -> Asked:
    """What the form compares with; name a set, or send shots and say how they are seen."""
    sent = await uploads(shots, bench.settings.limits, frame)
    views = Views(orientation or "fixed", tiles or 1) if orientation or tiles else None
    return Asked(reference, tuple(sent), item, choice, views)


AskedForm = Annotated[Asked, Depends(asked)]


@router.post("/detect", response_model=Detection)
async def detect(
    request: Request,
    bench: Bench,
    compared: AskedForm,
    queries: Files,
    maps: Annotated[MapFormat | None, Form()] = None,
    frame: Which = "all",
) -> Response:
    """Score 1..n queries; an unreadable one is told as such, and the others are scored.

    Of a file that holds several images each is scored, unless `frame` names one (shots alike).
    With `maps` every outcome carries its map in base64.
    """
    sent = await uploads(queries, bench.settings.limits, frame)
    work = detection.detect(bench, compared, sent, ticket_of(request), maps)
    found = await while_connected(request, work)
    # Maps make a long document, which would hold up everybody else on the event loop.
    return await asyncio.to_thread(json_response, found) if maps else json_response(found)


@router.post(
    "/maps",
    response_class=Response,
    responses={200: {"content": {"image/png": {}, "application/zip": {}}}},
)
async def draw_map(
    request: Request,
    bench: Bench,
    compared: AskedForm,
    query: UploadFile,
    format: Annotated[MapFormat, Form()] = "overlay",
    frame: Which = "all",
) -> Response:
    """The anomaly map of one query as a file; headers tell verdict, score and limit.

    overlay: the query with heat, contour and boxes; png: the heat alone; npz: float32 values.
    """
    sent = await uploads([query], bench.settings.limits, frame)
    work = detection.draw(bench, compared, sent[0], ticket_of(request), format)
    scored, data = await while_connected(request, work)
    suffix = "npz" if format == "npz" else "png"
    headers = {
        "Inctrl-Verdict": scored.verdict,
        "Inctrl-Score": repr(scored.score),
        "Inctrl-Threshold": "" if scored.threshold is None else repr(scored.threshold),
        "Content-Disposition": f'inline; filename="map.{suffix}"',
    }
    return Response(data, 200, headers, MEDIA_TYPES[format])
