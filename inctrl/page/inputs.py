"""What is compared with what: the left side of the Inspect tab."""

import asyncio
from typing import Any

import gradio as gr

from inctrl.decoding import SUFFIXES
from inctrl.detectors import DETECTORS, detector_entry
from inctrl.page.events import choices, html, number_of, on, picks, shows_errors
from inctrl.page.html import render
from inctrl.page.jobviews import adapters
from inctrl.page.seen import Seen
from inctrl.page.setviews import set_choices
from inctrl.page.uploads import Added, Example, added, examples, joined
from inctrl.service.inspectors import Choice
from inctrl.service.workbench import Workbench

NEW, SAVED = "New images", "A saved set"
OWN = ""
"""The service's own detector, or no adapter."""


class ImageDrop:
    """A place to drop images, and those that were dropped, in their order."""

    def __init__(self, bench: Workbench, what: str, label: str, name: str, kept: float) -> None:
        self._bench, self._what = bench, what
        self.files = gr.State((), time_to_live=kept)
        self.zone = gr.File(
            label=label,
            file_count="multiple",
            file_types=sorted(SUFFIXES),
            height=132,
            elem_id=f"{name}-drop",
            elem_classes=["drop"],
        )
        self.shown = html(elem_id=f"{name}-added", js_on_load=picks("away"))
        on(self.zone.upload, self.add, [self.files, self.zone], [self.files, self.zone, self.shown])
        on(self.shown.click, self.take_away, [self.files], [self.files, self.shown])

    @property
    def outputs(self) -> list[Any]:
        return [self.files, self.shown]

    @shows_errors
    async def add(self, there: tuple[Added, ...], coming: list[str] | None) -> Any:
        paths = joined(self._bench, there, coming)
        files = (*there, *await added(self._bench, paths))
        return files, gr.File(value=None), self.html(files)

    async def take_away(self, there: tuple[Added, ...], event: gr.EventData) -> Any:
        number = number_of(event, len(there))
        files = there if number is None else (*there[:number], *there[number + 1 :])
        return files, self.html(files)

    def html(self, files: tuple[Added, ...]) -> str:
        bad = sum(bool(one.error) for one in files)
        return render("added", files=files, what=self._what, bad=bad)


class Inputs:
    """Normal images or a set, queries, the item and the detector."""

    def __init__(self, bench: Workbench, kept: float) -> None:
        self._bench = bench
        self.examples = examples()
        self._example_buttons()
        gr.HTML("<h2>1 &nbsp;What is normal?</h2>", elem_classes=["ic", "step"])
        self.source = gr.Radio(
            [NEW, SAVED], value=NEW, label="Compare with", elem_id="source", show_label=False
        )
        with gr.Column(visible=True) as self.new:
            self.shots = ImageDrop(bench, "normal image", "Normal images", "shots", kept)
            self.item = gr.Textbox(
                label="What is shown (optional)",
                placeholder="for example: metal nut",
                max_length=200,
                elem_id="item",
            )
            self.seen = Seen("shots")
        with gr.Column(visible=False) as self.saved:
            self.set = gr.Dropdown([], label="Normal set", value=None, elem_id="set")
        gr.HTML("<h2>2 &nbsp;What should be inspected?</h2>", elem_classes=["ic", "step"])
        self.queries = ImageDrop(bench, "image", "Images to inspect", "queries", kept)
        self._models()
        on(self.source.change, self.turn, [self.source, self.set], [self.new, self.saved, self.set])

    def _example_buttons(self) -> None:
        self.example_buttons: list[tuple[gr.Button, Example]] = []
        if not self.examples:
            return
        with gr.Row(elem_classes=["examples"]):
            for one in self.examples:
                button = gr.Button(
                    f"Try an example: {one.name}", size="md", elem_id=f"try-{one.name}"
                )
                self.example_buttons.append((button, one))

    def _models(self) -> None:
        settings = self._bench.settings
        own = f"{settings.detector}" + (f" with {settings.adapter}" if settings.adapter else "")
        with gr.Accordion("Detector", open=False):
            self.detector = gr.Dropdown(
                [(f"The usual one ({own})", OWN), *((name, name) for name in DETECTORS)],
                value=OWN,
                label="Detector",
                elem_id="detector",
            )
            self.adapter = gr.Dropdown(
                self._adapters(), value=OWN, label="Trained adapter", elem_id="adapter"
            )

    def _adapters(self) -> list[tuple[str, str]]:
        return [("None", OWN), *adapters(self._bench)]

    def needs_shots(self, choice: Choice) -> bool:
        """Whether nothing can be said without normal images; an adapter is taken to need some."""
        name = choice.detector or (None if choice.adapter else self._bench.settings.detector)
        return name is None or detector_entry(name).needs_shots

    async def turn(self, source: str, value: str | None) -> Any:
        """New images, or the list of sets as it is now."""
        saved = source == SAVED
        sets = await self.sets_now(value)
        return gr.Column(visible=not saved), gr.Column(visible=saved), sets

    def sets(self, value: str | None) -> Any:
        """The sets that there are now."""
        found = set_choices(self._bench.store)
        if value is None and found:
            value = found[0][1]
        info = None if found else "There is none yet. Inspect with new images, then save them."
        return choices(found, value, info=info)

    async def sets_now(self, value: str | None) -> Any:
        """The same, looked up off the event loop."""
        return await asyncio.to_thread(self.sets, value)

    async def refresh(self, name: str | None, adapter: str | None) -> Any:
        """The sets and adapters that there are now."""
        adapters = await asyncio.to_thread(self._adapters)
        return await self.sets_now(name), choices(adapters, adapter or OWN)

    @shows_errors
    async def example(self, one: Example) -> tuple[Any, ...]:
        """The images and the item of an example."""
        shots = await added(self._bench, one.normal)
        queries = await added(self._bench, one.queries)
        return (
            *(shots, self.shots.html(shots)),
            *(queries, self.queries.html(queries)),
            *(gr.Radio(value=NEW), gr.Column(visible=True), gr.Column(visible=False)),
            one.name,
        )

    @property
    def example_outputs(self) -> list[Any]:
        images = [*self.shots.outputs, *self.queries.outputs]
        return [*images, self.source, self.new, self.saved, self.item]


def choice_of(detector: str | None, adapter: str | None) -> Choice:
    return Choice(detector or None, adapter or None)
