"""The page put together, its tabs over the workbench and the job runner of an app, and mounted."""

import asyncio
import contextlib
import warnings
from collections.abc import AsyncIterator
from typing import Any

import gradio as gr
from fastapi import FastAPI

from inctrl.page import theme
from inctrl.page.boundary import ApiFirst, Bounded
from inctrl.page.clients import offer_inspection
from inctrl.page.evaluate_tab import EvaluateTab
from inctrl.page.events import html, on
from inctrl.page.html import render
from inctrl.page.inspect_tab import InspectTab
from inctrl.page.offline import discard, private_folder
from inctrl.page.sets_tab import SetsTab
from inctrl.page.train_tab import TrainTab
from inctrl.service.jobs import JobRunner
from inctrl.service.workbench import Workbench

KEPT, UNKEPT = 3600, 300
"""Seconds that uploads and answers of a page last: with a history, and where none is kept."""
SWEEP = 30
WAITING, AT_ONCE = 16, 8
"""Presses that may wait, and those of one button that are served at once."""


def build(app: FastAPI) -> gr.Blocks:
    """The tabs, wired; events run on the app's event loop."""
    bench: Workbench = app.state.workbench
    runner: JobRunner = app.state.runner
    kept = KEPT if bench.settings.history else UNKEPT
    page = Bounded(title="inctrl", analytics_enabled=False, delete_cache=(SWEEP, kept))
    page.folder = private_folder()
    with page:
        html(value=render("top", settings=bench.settings), elem_id="top")
        with gr.Tabs(elem_id="tabs"):
            with gr.Tab("Inspect", id="inspect") as inspect_tab:
                inspect = InspectTab(bench, kept)
            with gr.Tab("Normal sets", id="sets") as sets_tab:
                sets = SetsTab(bench, kept)
            with gr.Tab("Train", id="train") as train_tab:
                train = TrainTab(runner, bench.store)
            with gr.Tab("Evaluate", id="evaluate") as evaluate_tab:
                evaluate = EvaluateTab(bench, runner)
        offer_inspection(bench)
        lists = [inspect.inputs.set, inspect.inputs.adapter]
        quiet = {"show_progress": "hidden"}
        for trigger in (page.load, inspect_tab.select):
            on(trigger, inspect.inputs.refresh, lists, lists, **quiet)
        on(sets_tab.select, sets.look, [sets.set], sets.outputs, **quiet)
        on(train_tab.select, train.look, [train.board.job], train.outputs, **quiet)
        on(evaluate_tab.select, evaluate.look, [evaluate.board.job], evaluate.outputs, **quiet)
    page.queue(max_size=WAITING, default_concurrency_limit=AT_ONCE, api_open=False)
    return page


def mount(app: FastAPI) -> None:
    """Gradio at `/`; nothing of it reaches past what the page needs."""
    bench: Workbench = app.state.workbench
    page = build(app)
    app.router.routes.append(ApiFirst(app.router.routes, app.state.routes, private_folder()))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        gr.mount_gradio_app(
            app,
            page,
            "/",
            theme=theme.theme(),
            head=theme.head(),
            favicon_path=str(theme.FAVICON),
            footer_links=[],
            run_history=False,
            show_error=False,
            enable_monitoring=False,
            ssr_mode=False,
            mcp_server=False,
            pwa=False,
            allowed_paths=[],
            max_file_size=bench.settings.limits.file_bytes,
        )
    _clear_at_the_end(app)


def _clear_at_the_end(app: FastAPI) -> None:
    """What was uploaded goes with the service."""
    inner = app.router.lifespan_context

    @contextlib.asynccontextmanager
    async def lifespan(served: FastAPI) -> AsyncIterator[Any]:
        try:
            async with inner(served) as state:
                yield state
        finally:
            await asyncio.to_thread(discard)

    app.router.lifespan_context = lifespan
