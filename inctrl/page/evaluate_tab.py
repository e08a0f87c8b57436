"""Evaluate: detectors and adapters against each other on labelled images."""

import asyncio
import functools
from typing import Any

import gradio as gr

from inctrl.detectors import DETECTORS
from inctrl.errors import UsageError
from inctrl.page.board import Board, data_sets
from inctrl.page.events import html, on, shows_errors
from inctrl.page.jobviews import adapters, evaluation_html
from inctrl.page.seen import Seen, views_of
from inctrl.service.jobs import JobRunner
from inctrl.service.workbench import Workbench

TITLE = "Evaluating needs labelled images"
SHOTS = (0, 1, 2, 4, 8)
EMPTY = (
    "Choose data sets and detectors, and start. The table grows here as results come; curves and "
    "the whole report follow at the end."
)


class EvaluateTab:
    """The tab's components and what happens when they are used."""

    def __init__(self, bench: Workbench, runner: JobRunner) -> None:
        self._bench, self._runner = bench, runner
        self.words = html(elem_id="evaluate-words")
        details = functools.partial(evaluation_html, runner)
        with gr.Row(visible=False, elem_classes=["columns"]) as self.form:
            with gr.Column(scale=2, min_width=300):
                self._form()
            with gr.Column(scale=3, min_width=300):
                self.board = Board(runner, bench.store, "evaluate", "Evaluation", details, EMPTY)
        inputs = [self.data, self.detectors, self.adapters, self.shots, self.seeds]
        inputs += self.seen.answers
        on(self.go.click, self.start, inputs, self.board.outputs)

    def _form(self) -> None:
        self.data = gr.Dropdown([], label="Data sets", multiselect=True, elem_id="evaluate-data")
        self.detectors = gr.Dropdown(
            list(DETECTORS),
            value=[self._bench.settings.detector],
            label="Detectors",
            multiselect=True,
            elem_id="evaluate-detectors",
        )
        self.adapters = gr.Dropdown(
            [], label="Trained adapters", multiselect=True, elem_id="evaluate-adapters"
        )
        self.shots = gr.CheckboxGroup(
            [str(k) for k in SHOTS], value=["2", "4"], label="Normal images given (shots)"
        )
        self.seeds = gr.Slider(
            1, 10, value=3, step=1, label="Seeds", info="draws of the normal images",
            elem_id="evaluate-seeds",
        )  # fmt: skip
        with gr.Accordion("How the images are looked at", open=False):
            self.seen = Seen("evaluate")
        self.go = gr.Button("Start evaluation", variant="primary", elem_id="evaluate-start")

    @property
    def outputs(self) -> list[Any]:
        return [self.words, self.form, self.data, self.adapters, *self.board.outputs]

    @shows_errors
    async def look(self, id: str | None) -> Any:
        """The data sets and adapters there are now, and the newest job."""
        found = await asyncio.to_thread(data_sets, self._runner, TITLE)
        adapters = await asyncio.to_thread(self._adapters)
        return (
            found.words,
            gr.Row(visible=bool(found.sets)),
            gr.Dropdown(choices=list(found.sets)),
            gr.Dropdown(choices=adapters),
            *await self.board.shown(id),
        )

    def _adapters(self) -> list[tuple[str, str]]:
        return adapters(self._bench)

    @shows_errors
    async def start(
        self,
        data: list[str],
        detectors: list[str],
        adapters: list[str],
        shots: list[str],
        seeds: float,
        way: str,
        tiles: str,
    ) -> Any:
        """Queue the evaluation."""
        if not data:
            raise UsageError("choose a data set")
        if not detectors and not adapters:
            raise UsageError("choose a detector or an adapter")
        if not shots:
            raise UsageError("choose how many normal images are given")
        values = {
            "data": data,
            "detectors": detectors or (),
            "adapters": adapters or (),
            "shots": sorted(int(k) for k in shots),
            "seeds": int(seeds),
            **vars(views_of(way, tiles)),
        }
        return await self.board.submit(values)
