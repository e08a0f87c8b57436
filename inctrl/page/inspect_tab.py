"""Inspect: from images to a verdict, and what to do about it."""

import asyncio
import functools
import math
import secrets
from pathlib import Path
from typing import Any

import gradio as gr

from inctrl.errors import UsageError
from inctrl.page import shown
from inctrl.page.events import html, number_of, on, picks, shows_errors
from inctrl.page.feedback import Feedback
from inctrl.page.html import render
from inctrl.page.inputs import SAVED, Inputs, choice_of
from inctrl.page.inspection import Inspection, inspect
from inctrl.page.offline import private_folder
from inctrl.page.seen import views_of
from inctrl.page.uploads import Added, read
from inctrl.reporting.page import render as render_report
from inctrl.service.workbench import Asked, Workbench

BOTH, HEAT, IMAGE = "Compare", "Heat map", "Image"


class InspectTab:
    """The tab's components and what happens when they are used."""

    def __init__(self, bench: Workbench, kept: float) -> None:
        self._bench = bench
        self.inspection = gr.State(None, time_to_live=kept)
        self.chosen = gr.State(0)
        with gr.Row(elem_classes=["columns"]):
            with gr.Column(scale=2, min_width=300, elem_classes=["asked"]):
                self.inputs = Inputs(bench, kept)
                self.go = gr.Button("Inspect", variant="primary", elem_id="inspect")
            with gr.Column(scale=3, min_width=300, elem_classes=["answered"]):
                self._answer()
        self._wire()

    def _answer(self) -> None:
        self.start = html(value=self._start_html())
        with gr.Column(visible=False, elem_id="answer") as self.answer:
            self.queries = html(elem_id="queries", js_on_load=picks("row"))
            self.verdict = html(elem_id="verdict")
            self.look = gr.Radio(
                [BOTH, HEAT, IMAGE], value=BOTH, label="Show", elem_id="look", show_label=False
            )
            self.picture = gr.ImageSlider(
                label="Image and heat map",
                show_label=False,
                format="png",
                interactive=False,
                max_height=560,
                elem_id="picture",
                slider_position=12,
                buttons=["fullscreen", "download"],
            )
            with gr.Column(elem_classes=["card"]):
                self.limit = gr.Slider(
                    label="Limit", minimum=0, maximum=1, elem_id="limit", buttons=[]
                )
                self.effect = html(elem_id="effect")
                self.back = gr.Button("Undo my limit", size="md", elem_id="limit-back")
            self.facts = html(elem_id="facts")
            with gr.Accordion("All scores", open=False, elem_id="all-scores"):
                self.scores = html(elem_id="scores")
            self.feedback = Feedback(self._bench, self.inputs, self.inspection, self.chosen)
            self.report = gr.DownloadButton(
                "Download this as a report", size="md", elem_id="report", variant="secondary"
            )

    def _start_html(self) -> str:
        history = self._bench.settings.history
        return render("start", examples=bool(self.inputs.examples), history=history)

    def _wire(self) -> None:
        asked = self.inputs
        inputs = [asked.source, asked.set, asked.shots.files, asked.queries.files, asked.item]
        inputs += [*asked.seen.answers, asked.detector, asked.adapter, self.look]
        answers = [self.inspection, self.chosen, *self._shown, self.limit, self.start, self.answer]
        answers += [self.report, *self.feedback.groups]
        busy = {"show_progress_on": [self.verdict, self.start]}
        on(self.go.click, self.run, inputs, answers, **busy)
        for button, example in asked.example_buttons:
            load = functools.partial(asked.example, example)
            filled = on(button.click, load, [], asked.example_outputs)
            on(filled.success, self.run, inputs, answers, **busy)
        state = [self.inspection, self.chosen, self.limit, self.look]
        on(self.queries.click, self.choose, state, [self.chosen, *self._shown])
        judged = [self.queries, self.verdict, self.effect, self.scores]
        quiet = {"show_progress": "hidden"}
        # Not `change`, which also follows an inspection: all would be drawn twice.
        for trigger in (self.limit.input, self.limit.release):
            on(trigger, self.move, state[:3], judged, trigger_mode="always_last", **quiet)
        on(self.back.click, self.reset, state[:2], [self.limit, *judged], **quiet)
        on(self.look.change, self.turn, state, [self.picture], **quiet)

    @property
    def _shown(self) -> list[Any]:
        return [
            *(self.queries, self.verdict, self.picture, self.effect),
            *(self.facts, self.scores),
        ]

    @shows_errors
    async def run(
        self,
        source: str,
        reference: str | None,
        shots: tuple[Added, ...],
        queries: tuple[Added, ...],
        item: str,
        way: str,
        tiles: str,
        detector: str,
        adapter: str,
        look: str,
    ) -> Any:
        """Inspect what is there, and show the most anomalous query."""
        saved = source == SAVED
        choice = choice_of(detector, adapter)
        if saved and not reference:
            raise UsageError("choose a saved set, or add new normal images")
        if not saved and not shots and self.inputs.needs_shots(choice):
            raise UsageError("add normal images first, two or more: they show what is good")
        if not queries:
            raise UsageError("add an image to inspect")
        used = () if saved else tuple(one for one in shots if not one.error)
        uploads = tuple(await read(one.path for one in used))
        name, views = (reference, None) if saved else (None, views_of(way, tiles))
        asked = Asked(name, uploads, item.strip() or "object", choice, views)
        found = await inspect(self._bench, asked, queries, used)
        return await self._answered(found, look)

    async def _answered(self, found: Inspection, look: str) -> tuple[Any, ...]:
        chosen, place = shown.first(found), shown.limit_range(found)
        slider = gr.Slider(
            minimum=place.low, maximum=place.high, step=place.step, value=place.start
        )
        report = await asyncio.to_thread(_report, found)
        return (
            found,
            chosen,
            *await asyncio.to_thread(self._pieces, found, chosen, None, look),
            slider,
            gr.HTML(visible=False),
            gr.Column(visible=True),
            gr.DownloadButton(value=report),
            *self.feedback.for_inspection(found),
        )

    async def choose(
        self, found: Inspection | None, chosen: int, value: float, look: str, event: gr.EventData
    ) -> Any:
        """Show another query; no model is asked."""
        if found is None:
            return gr.skip()
        number = number_of(event, len(found.rows))
        chosen = chosen if number is None else number
        limit = shown.own_limit(found, value)
        return chosen, *await asyncio.to_thread(self._pieces, found, chosen, limit, look)

    async def move(self, found: Inspection | None, chosen: int, value: float) -> Any:
        """Judge the scores that are there by another limit; no model is asked."""
        if found is None:
            return gr.skip()
        limit = shown.own_limit(found, value)
        return (
            shown.queries_html(found, chosen, limit),
            shown.verdict_html(found, chosen, limit),
            shown.limit_html(found, limit),
            shown.scores_html(found, limit),
        )

    async def reset(self, found: Inspection | None, chosen: int) -> Any:
        """The limit as the normal images set it."""
        if found is None:
            return gr.skip()
        start = shown.limit_range(found).start
        return gr.Slider(value=start), *await self.move(found, chosen, start)

    async def turn(self, found: Inspection | None, chosen: int, _value: float, look: str) -> Any:
        """The image, its heat map, or one beside the other."""
        return await asyncio.to_thread(_picture, found, chosen, look) if found else gr.skip()

    def _pieces(
        self, found: Inspection, chosen: int, limit: float | None, look: str
    ) -> tuple[Any, ...]:
        return (
            shown.queries_html(found, chosen, limit),
            shown.verdict_html(found, chosen, limit),
            _picture(found, chosen, look),
            shown.limit_html(found, limit),
            shown.facts_html(found, chosen),
            shown.scores_html(found, limit),
        )


def _picture(found: Inspection, chosen: int, look: str) -> Any:
    view = found.shown[chosen]
    if view is None:
        return gr.ImageSlider(value=None, visible=False)
    image, heat = view.pair
    pair = {HEAT: (heat, heat), IMAGE: (image, image)}.get(look, (image, heat))
    return gr.ImageSlider(value=pair, visible=True, elem_classes=[] if look == BOTH else ["alone"])


def _report(found: Inspection) -> str:
    """The same page that `inctrl detect` writes, as a file to download."""
    folder = private_folder() / secrets.token_hex(16)
    folder.mkdir(mode=0o700)
    path = Path(folder, "inctrl-report.html")
    page = render_report(
        found.info, found.rows, found.seconds if math.isfinite(found.seconds) else 0
    )
    path.write_text(page, encoding="utf-8", errors="backslashreplace")
    return str(path)
