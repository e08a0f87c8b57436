"""The jobs of one kind: which one is shown, how far it is, what can be done with it."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr

from inctrl.errors import InctrlError, NotStored, UsageError
from inctrl.page.events import choices, html, inform, on, shows_errors
from inctrl.page.html import render
from inctrl.page.jobviews import RUNNING, job_choices, log_html, status_html
from inctrl.service.jobs import JobRunner, JobView
from inctrl.service.jobs.specs import read_spec
from inctrl.service.schemas import DataSetReply
from inctrl.store import Store

PAUSE = 1.0
"""Seconds between looks at a job that runs; one that has ended is not looked at."""


class Board:
    """Components of a job, which a timer keeps up to date while it runs.

    details   what is shown of it besides progress and log
    """

    def __init__(
        self,
        runner: JobRunner,
        store: Store,
        kind: str,
        label: str,
        details: Callable[[JobView], str],
        empty: str,
    ) -> None:
        self._runner, self._store, self._kind = runner, store, kind
        self._details, self._empty, self._label = details, empty, label
        self.job = gr.Dropdown([], label=label, visible=False, elem_id=f"{kind}-job")
        self.status = html(elem_id=f"{kind}-status", elem_classes=["live"])
        with gr.Row(elem_classes=["act"]):
            self.stop = gr.Button("Stop", variant="stop", visible=False, elem_id=f"{kind}-stop")
            self.resume = gr.Button("Go on", visible=False, elem_id=f"{kind}-resume")
        self.details = html(elem_id=f"{kind}-details", elem_classes=["live"])
        with gr.Accordion("Log", open=False, visible=False, elem_id=f"{kind}-log") as self.logged:
            self.log = html(elem_classes=["live"])
        self.timer = gr.Timer(PAUSE, active=False)
        quiet = {"show_progress": "hidden"}
        on(self.timer.tick, self.look, [self.job], self._shown, **quiet)
        on(self.job.input, self.look, [self.job], self._shown, **quiet)
        on(self.stop.click, self.cancel, [self.job], [self.job, *self._shown])
        on(self.resume.click, self.go_on, [self.job], [self.job, *self._shown])

    @property
    def _shown(self) -> list[Any]:
        return [
            *(self.status, self.details, self.log, self.logged),
            *(self.stop, self.resume, self.timer),
        ]

    @property
    def outputs(self) -> list[Any]:
        return [self.job, *self._shown]

    async def submit(self, values: Mapping[str, Any]) -> tuple[Any, ...]:
        """Queue a job, and show it; UsageError where its values make none."""
        spec = read_spec({"kind": self._kind, **values})
        row = await asyncio.to_thread(self._runner.submit, spec)
        inform("It was started. You may close this page; it goes on.", "Started")
        return await self.shown(row.id)

    @shows_errors
    async def look(self, id: str | None) -> Any:
        return await asyncio.to_thread(self._seen, id)

    @shows_errors
    async def cancel(self, id: str | None) -> Any:
        """End it; what it has made is removed."""
        if not id:
            raise UsageError("there is nothing to stop")
        await asyncio.to_thread(self._runner.cancel, id)
        await self._runner.wait(id)
        return await self.shown(id)

    @shows_errors
    async def go_on(self, id: str | None) -> Any:
        """Queue an interrupted one again."""
        if not id:
            raise UsageError("there is nothing to go on with")
        await asyncio.to_thread(self._runner.resume, id)
        return await self.shown(id)

    async def shown(self, id: str | None) -> tuple[Any, ...]:
        """A job, the newest where none is named, and the list as it is now."""
        return await asyncio.to_thread(self._all, id)

    def _all(self, id: str | None) -> tuple[Any, ...]:
        found = job_choices(self._store, self._kind)
        known = [value for _, value in found]
        chosen = id if id in known else (known[0] if known else None)
        return choices(found, chosen, visible=bool(found)), *self._seen(chosen)

    def _seen(self, id: str | None) -> tuple[Any, ...]:
        view = None
        if id:
            try:
                view = self._runner.view(id)
            except NotStored:
                view = None
        if view is None:
            nothing = render("nojob", title=f"{self._label}: none yet", words=self._empty)
            hidden = gr.Button(visible=False)
            return (
                nothing,
                "",
                "",
                gr.Accordion(visible=False),
                hidden,
                hidden,
                gr.Timer(active=False),
            )
        state = view.row.state
        return (
            status_html(view),
            self._details(view),
            log_html(view),
            gr.Accordion(visible=True),
            gr.Button(visible=state in RUNNING),
            gr.Button(visible=state == "interrupted"),
            gr.Timer(active=state in RUNNING),
        )


@dataclass(frozen=True)
class DataSets:
    """Label and name of each set; `words` is HTML on what is not used, or where there is none."""

    sets: tuple[tuple[str, str], ...]
    words: str


def data_sets(runner: JobRunner, title: str) -> DataSets:
    """The data sets that a job may be given, or what to do where there are none."""
    try:
        listing = runner.data_sets()
    except InctrlError as error:
        return DataSets((), render("noroot", title=title, missing=str(error)))
    sets = tuple((_label(one), one.name) for one in listing.sets)
    if not sets:
        return DataSets((), render("noroot", title=title, missing=""))
    left_out = [(_called(one.name), one.left_out) for one in listing.sets if one.left_out]
    left_out += [("the data root", listing.left_out)] if listing.left_out else []
    return DataSets(sets, render("leftout", sets=left_out, complete=listing.complete))


def _label(one: DataSetReply) -> str:
    many = f", {one.categories} categories" if one.categories and one.categories > 1 else ""
    return f"{_called(one.name)}  ({one.layout}{many})"


def _called(name: str) -> str:
    return "the data root itself" if name == "." else name
