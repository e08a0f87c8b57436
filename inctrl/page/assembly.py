"""The page put together: its tabs over the workbench and the job runner of an app."""

import gradio as gr
from fastapi import FastAPI

from inctrl.page.boundary import Bounded
from inctrl.page.clients import offer_inspection
from inctrl.page.evaluate_tab import EvaluateTab
from inctrl.page.events import html, on
from inctrl.page.html import render
from inctrl.page.inspect_tab import InspectTab
from inctrl.page.offline import private_folder
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
            with gr.Tab("Inspect", id="inspect") as opened_inspect:
                inspect = InspectTab(bench, kept)
            with gr.Tab("Normal sets", id="sets") as opened_sets:
                sets = SetsTab(bench, kept)
            with gr.Tab("Train", id="train") as opened_train:
                train = TrainTab(runner, bench.store)
            with gr.Tab("Evaluate", id="evaluate") as opened_evaluate:
                evaluate = EvaluateTab(bench, runner)
        offer_inspection(bench)
        lists = [inspect.inputs.set, inspect.inputs.adapter]
        quiet = {"show_progress": "hidden"}
        for trigger in (page.load, opened_inspect.select):
            on(trigger, inspect.inputs.refresh, lists, lists, **quiet)
        on(opened_sets.select, sets.look, [sets.set], sets.outputs, **quiet)
        on(opened_train.select, train.look, [train.board.job], train.outputs, **quiet)
        on(opened_evaluate.select, evaluate.look, [evaluate.board.job], evaluate.outputs, **quiet)
    page.queue(max_size=WAITING, default_concurrency_limit=AT_ONCE, api_open=False)
    return page
