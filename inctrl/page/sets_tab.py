"""Normal sets: their images and versions, and what can be done with them."""

import asyncio
from pathlib import Path
from typing import Any

import gradio as gr
from fastapi import UploadFile

from inctrl.errors import UsageError
from inctrl.page import setviews
from inctrl.page.events import choices, html, inform, on, shows_errors, warn
from inctrl.page.inputs import ImageDrop
from inctrl.page.seen import Seen, shown_as, views_of
from inctrl.page.uploads import Added, read
from inctrl.service.workbench import Workbench
from inctrl.views import AS_THEY_ARE


class SetsTab:
    """The tab's components and what happens when they are used."""

    def __init__(self, bench: Workbench, kept: float) -> None:
        self._bench, self._store = bench, bench.store
        with gr.Row(elem_classes=["columns"]):
            with gr.Column(scale=3, min_width=300):
                with gr.Row(elem_classes=["act"]):
                    self.set = gr.Dropdown([], label="Normal set", scale=3, elem_id="sets-set")
                    self.refresh = gr.Button(
                        "Refresh", scale=1, min_width=100, elem_id="sets-refresh"
                    )
                self.shown = html(elem_id="set-shown")
            with gr.Column(scale=2, min_width=300):
                self._about_one(kept)
                self._about_all()
        self._wire()

    def _about_one(self, kept: float) -> None:
        with gr.Column(visible=False) as self.tools:
            with gr.Accordion("Add normal images", open=False, elem_id="sets-add"):
                self.more = ImageDrop(self._bench, "normal image", "Normal images", "more", kept)
                self.note = gr.Textbox(label="Note (optional)", max_length=2000)
                self.add = gr.Button("Add as a new version", elem_id="sets-add-now")
            with gr.Accordion("How it is looked at", open=False, elem_id="sets-seen"):
                self.seen = Seen("sets")
                self.change = gr.Button("Change in a new version", elem_id="sets-change-now")
            with gr.Accordion("Compare versions", open=False, elem_id="sets-compare"):
                with gr.Row():
                    self.before = gr.Dropdown([], label="From", min_width=120, elem_id="sets-from")
                    self.after = gr.Dropdown([], label="To", min_width=120, elem_id="sets-to")
                self.difference = html(elem_id="difference")
            with gr.Accordion("Remove this set", open=False, elem_id="sets-remove"):
                self.warned = html(
                    value="<p class='small'>All its versions and images go, and cannot be brought "
                    "back unless it was exported. Scores in the history stay.</p>"
                )
                self.sure = gr.Checkbox(label="Yes, remove it for good", elem_id="sets-sure")
                self.remove = gr.Button(
                    "Remove", variant="stop", interactive=False, elem_id="sets-remove-now"
                )

    def _about_all(self) -> None:
        with gr.Accordion("Bring in a set", open=False, elem_id="sets-import"):
            self.archive = gr.File(label="Exported zip", file_types=[".zip"], height=110)
            self.name = gr.Textbox(label="Under another name (optional)", max_length=64)
            self.bring = gr.Button("Import", elem_id="sets-import-now")
        with gr.Accordion("Check the store", open=False, elem_id="sets-verify"):
            self.check = gr.Button("Check every byte", elem_id="sets-verify-now")
            self.checked = html(elem_id="verified")

    def _wire(self) -> None:
        seen = self.outputs
        compared = [self.set, self.before, self.after]
        on(self.refresh.click, self.look, [self.set], seen)
        on(self.set.input, self.look, [self.set], seen)
        for dropdown in (self.before, self.after):
            on(dropdown.input, self.compare, compared, [self.difference])
        added = [*self.more.outputs, self.note]
        on(self.add.click, self.add_version, [self.set, *added[::2]], [*added, *seen])
        on(self.change.click, self.change_set, [self.set, *self.seen.answers], seen)
        on(self.sure.change, self.dare, [self.sure], [self.remove], show_progress="hidden")
        on(self.remove.click, self.remove_set, [self.set, self.sure], seen)
        on(self.bring.click, self.import_set, [self.archive, self.name], [self.archive, *seen])
        on(self.check.click, self.verify, [], [self.checked])

    @property
    def outputs(self) -> list[Any]:
        shown = [self.set, self.shown, self.tools, self.before, self.after]
        return [*shown, self.difference, self.sure, *self.seen.answers]

    @shows_errors
    async def look(self, name: str | None) -> Any:
        """A set as it is now; the first where this one is gone."""
        return await asyncio.to_thread(self._seen, name)

    def _seen(self, name: str | None) -> tuple[Any, ...]:
        found = setviews.set_choices(self._store)
        names = [value for _, value in found]
        name = name if name in names else (names[0] if names else None)
        versions = setviews.numbers(self._store, name)
        new, old, *_ = (*(number for _, number in versions), None, None)
        return (
            choices(found, name),
            setviews.set_html(self._store, name),
            gr.Column(visible=name is not None),
            gr.Dropdown(choices=versions, value=old),
            gr.Dropdown(choices=versions, value=new),
            setviews.difference_html(self._store, name, old, new),
            gr.Checkbox(value=False),
            *shown_as(self._store.sets.get(name).views if name else AS_THEY_ARE),
        )

    @shows_errors
    async def compare(self, name: str | None, before: int | None, after: int | None) -> Any:
        return await asyncio.to_thread(setviews.difference_html, self._store, name, before, after)

    @shows_errors
    async def add_version(self, name: str | None, files: tuple[Added, ...], note: str) -> Any:
        """More normal images, as a new version."""
        if not name or not files:
            raise UsageError("add normal images first")
        uploads = await read(one.path for one in files if not one.error)
        before, after, refused = await self._bench.add_images(name, uploads, note)
        if after.version == before.version:
            warn("The set has all of these images already.")
        else:
            inform(f"{name}@{after.version} has {len(after.shots)} images.")
        for one in refused:
            warn(one.error)
        return (), "", "", *await asyncio.to_thread(self._seen, name)

    @shows_errors
    async def change_set(self, name: str | None, way: str | None, tiles: str | None) -> Any:
        """The same images seen in another way, as a new version."""
        if not name:
            raise UsageError("choose a set first")
        before, after = await self._bench.change_set(name, views_of(way, tiles))
        if after.version == before.version:
            warn("It is looked at so already.")
        else:
            inform(f"{name}@{after.version} is looked at so from now on.")
        return await asyncio.to_thread(self._seen, name)

    async def dare(self, sure: bool) -> Any:
        return gr.Button(interactive=sure)

    @shows_errors
    async def remove_set(self, name: str | None, sure: bool) -> Any:
        """Only where it was confirmed."""
        if not name or not sure:
            raise UsageError("tick the box first: removing cannot be undone")
        await self._bench.remove_set(name)
        inform(f"{name} was removed.")
        return await asyncio.to_thread(self._seen, None)

    @shows_errors
    async def import_set(self, archive: str | None, name: str) -> Any:
        """What an export holds, read by a process of its own."""
        if not archive:
            raise UsageError("choose the zip of an export first")
        with Path(archive).open("rb") as file:
            upload = UploadFile(file, filename=Path(archive).name)
            version = await self._bench.importer.bring(upload, name.strip() or None)
        inform(f"{version.name}@{version.version} is here, with {len(version.shots)} images.")
        return gr.File(value=None), *await asyncio.to_thread(self._seen, version.name)

    @shows_errors
    async def verify(self) -> Any:
        return setviews.verify_html(*await self._bench.verifier.verify())
