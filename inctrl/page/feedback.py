"""What a person does with an answer: keep the normal images, or say that the answer is wrong."""

import asyncio
from dataclasses import replace
from typing import Any

import gradio as gr

from inctrl.errors import UsageError
from inctrl.page.events import html, inform, on, shows_errors
from inctrl.page.html import render
from inctrl.page.inputs import SAVED, Inputs
from inctrl.page.inspection import Inspection
from inctrl.page.uploads import read
from inctrl.service import adjustments
from inctrl.service.adjustments import Adjusted
from inctrl.service.workbench import Workbench


class Feedback:
    """Save as a set; of a registered set also: false alarm, confirmed defect, undo."""

    def __init__(
        self, bench: Workbench, inputs: Inputs, inspection: gr.State, chosen: gr.State
    ) -> None:
        self._bench, self._inputs = bench, inputs
        self._inspection = inspection
        self.last = gr.State("")
        with gr.Column(visible=False, elem_classes=["card"], elem_id="saving") as self.saving:
            self.kept = html(elem_id="saving-about")
            with gr.Row(elem_classes=["act"]):
                self.name = gr.Textbox(
                    label="Name of the set",
                    placeholder="bottle-cap",
                    max_length=64,
                    info="a-z, 0-9, dot, dash",
                    elem_id="set-name",
                    scale=3,
                )
                self.save = gr.Button("Save as set", elem_id="save-set", scale=1, min_width=140)
        with gr.Column(visible=False, elem_classes=["card"], elem_id="judging") as self.judging:
            self.about = html(elem_id="judging-about")
            with gr.Row(elem_classes=["act"]):
                self.alarm = gr.Button("False alarm: it is normal", elem_id="false-alarm")
                self.defect = gr.Button("Yes, it is a defect", elem_id="confirm-defect")
        self.outcome = html(elem_id="outcome", visible=False)
        self.undo = gr.Button("Undo", visible=False, elem_id="undo", size="md")
        self._wire(chosen)

    def _wire(self, chosen: gr.State) -> None:
        inputs, state = self._inputs, [self._inspection, chosen]
        kept = [self._inspection, *self.groups, inputs.source, inputs.new, inputs.saved, inputs.set]
        for trigger in (self.save.click, self.name.submit):
            on(trigger, self.keep, [self._inspection, self.name], kept)
        results = [self.last, self.outcome, self.undo, inputs.set]
        on(self.alarm.click, self.false_alarm, state, results)
        on(self.defect.click, self.confirm, state, results)
        on(self.undo.click, self.take_back, [self._inspection, self.last], results)

    @property
    def groups(self) -> list[Any]:
        return [self.saving, self.kept, self.judging, self.about, self.outcome, self.undo]

    def for_inspection(self, found: Inspection) -> tuple[Any, ...]:
        """What can be done about it."""
        registered = found.reference is not None
        about = render("judging", reference=found.reference) if registered else ""
        return (
            gr.Column(visible=not registered and bool(found.shots)),
            render("saving", seen=found.views.words),
            gr.Column(visible=registered),
            about,
            gr.HTML(visible=False, value=""),
            gr.Button(visible=False),
        )

    @shows_errors
    async def keep(self, found: Inspection | None, name: str) -> Any:
        """The normal images as a new set, which is then the one that is used."""
        if found is None or not found.shots:
            raise UsageError("there are no normal images to save")
        uploads = await read(one.path for one in found.shots)
        item = found.info.card.item
        version = await self._bench.create_set(name.strip(), uploads, item, found.views)
        saved = replace(found, reference=f"{version.name}@{version.version}", shots=())
        inform(f"Saved as {version.name}@{version.version} with {len(version.shots)} images.")
        sets = await asyncio.to_thread(self._inputs.sets, version.name)
        return (
            saved,
            *self.for_inspection(saved),
            *(gr.Radio(value=SAVED), gr.Column(visible=False), gr.Column(visible=True), sets),
        )

    @shows_errors
    async def false_alarm(self, found: Inspection | None, chosen: int) -> Any:
        """Take the query among the normal images, as a new version."""
        name, (upload,) = _of_set(found), await _query(found, chosen)
        return await self._changed(
            await adjustments.false_alarm(self._bench, name, upload), undoable=True
        )

    @shows_errors
    async def confirm(self, found: Inspection | None, chosen: int) -> Any:
        """Let the query serve the limit."""
        name, (upload,) = _of_set(found), await _query(found, chosen)
        return await self._changed(
            await adjustments.confirm_defect(self._bench, name, upload), undoable=True
        )

    @shows_errors
    async def take_back(self, _found: Inspection | None, last: str) -> Any:
        if not last:
            raise UsageError("there is nothing to undo")
        return await self._changed(await adjustments.undo(self._bench, last), undoable=False)

    async def _changed(self, done: Adjusted, *, undoable: bool) -> tuple[Any, ...]:
        sets = await asyncio.to_thread(self._inputs.sets, done.after.name)
        return (
            done.id if undoable else "",
            gr.HTML(value=render("outcome", done=done, undone=not undoable), visible=True),
            gr.Button(visible=undoable),
            sets,
        )


def _of_set(found: Inspection | None) -> str:
    if found is None or found.set_name is None:
        raise UsageError("save the normal images as a set first: it is the set that learns")
    return found.set_name


async def _query(found: Inspection | None, chosen: int) -> Any:
    if found is None or not 0 <= chosen < len(found.queries):
        raise UsageError("inspect an image first")
    query = found.queries[chosen]
    return [replace(upload, frame=query.frame) for upload in await read([query.path])]
