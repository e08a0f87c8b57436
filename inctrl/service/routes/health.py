"""Whether the service is alive and ready, what it takes, and what it counts."""

from typing import get_args

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from inctrl.decoding import FORMATS
from inctrl.detectors import DETECTORS
from inctrl.service.detection_schemas import MapFormat
from inctrl.service.effort import SENT_ALONG
from inctrl.service.http.strict import StrictRoute
from inctrl.service.requests import Bench
from inctrl.service.schemas import Health, LimitsReply, ModelsReply
from inctrl.views import MOST_TILES

router = APIRouter(tags=["service"], route_class=StrictRoute)


@router.get("/livez")
async def live() -> Health:
    """200 as long as the process answers; no model is asked."""
    return Health(status="alive")


@router.get("/readyz", response_model=Health, responses={503: {"model": Health}})
async def ready(request: Request) -> Response:
    """200 once the model is loaded, and until the service is told to stop."""
    state = request.app.state
    status = "draining" if state.drain.draining else "ready" if state.loaded else "starting"
    return JSONResponse({"status": status}, 200 if status == "ready" else 503)


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
def metrics(request: Request, bench: Bench) -> Response:
    """Counters for Prometheus."""
    state = request.app.state
    state.metrics.queue.set(bench.admission.images)
    for job_state, count in bench.store.jobs.counts().items():
        state.metrics.jobs.labels(job_state).set(count)
    return Response(state.metrics.text(), media_type="text/plain; version=0.0.4")


@router.get("/v1/limits")
async def limits(bench: Bench) -> LimitsReply:
    """What a request may hold."""
    found = bench.settings.limits
    return LimitsReply.made_of(
        found,
        tiles=MOST_TILES,
        looks=SENT_ALONG,
        deadline_seconds=found.deadline,
        longest_deadline_seconds=found.longest_deadline,
        formats=[name.lower() for name in FORMATS],
        map_formats=list(get_args(MapFormat)),
    )


@router.get("/v1/models")
def models(bench: Bench) -> ModelsReply:
    """What `detector` and `adapter` may name."""
    return ModelsReply(
        backbone=bench.settings.backbone,
        detector=bench.settings.detector,
        detectors=list(DETECTORS),
        adapters=sorted(bench.inspectors.adapters()),
    )
