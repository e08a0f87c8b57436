"""The service put together: store, engine, decoders, jobs, routes, and the layers around them."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

import torch
from fastapi import FastAPI
from starlette.types import ASGIApp

from inctrl import __version__
from inctrl.service.admission import Gate
from inctrl.service.decoding import Decoders
from inctrl.service.drain import Drain
from inctrl.service.engine import Engine
from inctrl.service.jobs.runner import JobRunner
from inctrl.service.layers import protected
from inctrl.service.metrics import Metrics, Observed, Routed
from inctrl.service.openapi import describe
from inctrl.service.refusals import add_handlers
from inctrl.service.requests import deadline_of
from inctrl.service.routes import detect, feedback, health, jobs, scores, sets, store
from inctrl.service.settings import Settings
from inctrl.service.tokens import TokenFile
from inctrl.service.workbench import Workbench
from inctrl.store import open_store

logger = logging.getLogger("inctrl")

ROUTERS = (detect, sets, store, feedback, scores, jobs, health)
GATED = ("/v1/detect", "/v1/maps", "/v1/feedback", "/v1/sets")
"""Whose POSTs are admitted: they need the model, or the decoders before it."""
IMPORTED = 2_000_000_000
"""Bytes of an archive; its reader bounds what is in it."""
HOUSEKEEPING = 3600.0
"""Seconds between looks for what is too old to keep."""


def build(settings: Settings) -> FastAPI:
    """The routes over a store; `guarded` puts the layers around them.

    The workbench is there at once (`app.state.workbench`), so that a page can be built on it;
    the model is loaded when the app starts.
    """
    if settings.threads:
        torch.set_num_threads(settings.threads)
    metrics = Metrics()
    limits, kept = settings.limits, open_store(settings.store)
    engine = Engine(settings.batch, metrics.batches.observe)
    decoders = Decoders(
        2,
        seconds=limits.decode_seconds,
        memory=limits.decode_bytes,
        pixels=limits.pixels,
        largest=limits.file_bytes,
    )
    bench = Workbench(settings, kept, engine, decoders, metrics.query)
    runner = JobRunner(
        kept.jobs,
        kept.jobs_folder,
        data_root=settings.data_root,
        store=kept.folder,
        environment=settings.of_jobs,
    )
    metrics.count_jobs(kept.jobs.counts)
    app = FastAPI(
        title="inctrl",
        version=__version__,
        summary="Few-shot visual anomaly detection",
        lifespan=_lifespan,
        openapi_url="/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # it would build a URL from the request's Host
    )
    app.state.workbench, app.state.runner, app.state.metrics = bench, runner, metrics
    app.state.drain, app.state.loaded = Drain(), False
    add_handlers(app)
    for room in ROUTERS:
        app.include_router(room.router)
    describe(app)
    return app


def guarded(app: FastAPI) -> ASGIApp:
    """The app inside of the layers that every request passes."""
    state = app.state
    settings: Settings = state.workbench.settings
    limits, metrics = settings.limits, state.metrics
    gate = Gate(
        Routed(app),
        state.workbench.admission,
        GATED,
        lambda headers: deadline_of(headers, limits),
        lambda reason: metrics.rejected.labels(reason).inc(),
    )
    layers = protected(
        gate,
        limits=limits,
        drain=state.drain,
        hosts=settings.hosts,
        origins=settings.origins,
        larger={"/v1/imports": IMPORTED},
        verify=TokenFile.read(settings.tokens).check if settings.tokens else None,
    )
    return Observed(layers, metrics)


@contextlib.asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    bench: Workbench = app.state.workbench
    bench.store.replies.clear_in_flight()
    bench.engine.start()
    async with bench.decoders:
        await app.state.runner.start()
        tasks = [asyncio.create_task(_load(app)), asyncio.create_task(_tidy(bench))]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await app.state.runner.close()
            await asyncio.to_thread(bench.engine.close)
    bench.store.close()


async def _load(app: FastAPI) -> None:
    """Get ready; a model that cannot be loaded leaves the service unready and says why."""
    try:
        await app.state.workbench.warm_up()
    except Exception as error:
        logger.error("the model cannot be loaded: %s", error)
        return
    app.state.loaded = True
    app.state.metrics.loaded.set(1)


async def _tidy(bench: Workbench) -> None:
    """Forget what is too old: scores, replies, files that nothing refers to."""
    while True:
        try:
            await asyncio.to_thread(bench.store.history.prune, bench.settings.keep_days)
            await asyncio.to_thread(bench.store.replies.prune)
            await asyncio.to_thread(bench.store.sweep)
        except Exception as error:
            logger.warning("the store could not be tidied: %s", error)
        await asyncio.sleep(HOUSEKEEPING)
