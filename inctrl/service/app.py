"""The service put together: store, engine, decoders, jobs, routes, and the layers around them."""

import asyncio
import contextlib
import gc
import logging
from collections.abc import AsyncIterator

import torch
from fastapi import FastAPI
from starlette.routing import Route
from starlette.types import ASGIApp

from inctrl.inspection.registered import prune_features
from inctrl.service.admission import Gate
from inctrl.service.engine import Engine
from inctrl.service.error_replies import add_handlers
from inctrl.service.housekeeping import ServiceLock, sweep
from inctrl.service.http.drain import Drain
from inctrl.service.http.layers import protected
from inctrl.service.http.tokens import TokenFile
from inctrl.service.inspectors import Choice
from inctrl.service.jobs import JobRunner, Machine
from inctrl.service.metrics import Metrics, Observed, Routed
from inctrl.service.openapi import describe
from inctrl.service.requests import deadline_of
from inctrl.service.routes import detect, feedback, health, jobs, scores, sets, store
from inctrl.service.sandbox.decoding import Decoders
from inctrl.service.settings import Settings
from inctrl.service.workbench import Workbench
from inctrl.store import open_store
from inctrl.version import __version__

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
    limits, kept, drain = settings.limits, open_store(settings.store), Drain()
    engine = Engine(settings.batch, metrics.batches.observe)
    decoders = Decoders(
        2,
        seconds=limits.decode_seconds,
        memory=limits.decode_bytes,
        pixels=limits.pixels,
        largest=limits.file_bytes,
    )
    bench = Workbench(settings, kept, engine, decoders, metrics.query)
    machine = Machine(
        kept.jobs,
        kept.jobs_folder,
        settings.data_root,
        kept.folder,
        environment=settings.of_jobs,
        ending=lambda: drain.draining,
    )
    runner = JobRunner(machine)
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
    app.state.drain, app.state.limits, app.state.loaded = drain, limits, False
    app.state.give_up = lambda error: logger.error("the model cannot be loaded: %s", error)
    add_handlers(app)
    described = [one for one in app.router.routes if isinstance(one, Route)]
    app.state.routes = [*described, *(one for room in ROUTERS for one in room.router.routes)]
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
    runner: JobRunner = app.state.runner
    bench.engine.start()
    with ServiceLock(bench.store):
        async with bench.decoders:
            await runner.start()
            tasks = [asyncio.create_task(_load(app)), asyncio.create_task(_tidy(bench, runner))]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                await runner.close()
                await asyncio.to_thread(bench.engine.close)
    bench.store.close()


async def _load(app: FastAPI) -> None:
    """Get ready; what is done where the model cannot be loaded is `app.state.give_up`."""
    try:
        bench: Workbench = app.state.workbench
        await bench.engine.call(lambda: bench.inspectors.inspector(Choice()))
    except Exception as error:
        app.state.give_up(error)
        return
    # What is loaded by now stays: without it a full collection stops everything for a fifth of a
    # second, again and again under load.
    gc.collect()
    gc.freeze()
    app.state.loaded = True
    app.state.metrics.loaded.set(1)


async def _tidy(bench: Workbench, runner: JobRunner) -> None:
    """Forget what is too old: scores, jobs, replies, files that nothing refers to."""
    while True:
        try:
            await asyncio.to_thread(bench.store.history.prune, bench.settings.keep_days)
            await asyncio.to_thread(runner.prune, bench.settings.keep_days)
            await asyncio.to_thread(bench.store.replies.prune)
            await asyncio.to_thread(bench.store.sweep)
            await asyncio.to_thread(prune_features, bench.store)
            await asyncio.to_thread(sweep, bench.store)
        except Exception as error:
            logger.warning("the store could not be tidied: %s", error)
        await asyncio.sleep(HOUSEKEEPING)
