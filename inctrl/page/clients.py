"""`/inspect` for programs that talk to the page by gradio_client: what `POST /v1/detect` says."""

from pathlib import Path
from typing import Any

import gradio as gr

from inctrl.errors import InctrlError, UsageError
from inctrl.page.events import on
from inctrl.page.uploads import read
from inctrl.service.detection import detect
from inctrl.service.error_replies import FIXES, TooLarge
from inctrl.service.http.problems import spoken
from inctrl.service.inspectors import Choice
from inctrl.service.uploads import Upload
from inctrl.service.workbench import Asked, Workbench


def offer_inspection(bench: Workbench) -> None:
    """client.predict([shots], [queries], "NAME@N or nothing", "item", api_name="/inspect")"""
    with gr.Column(visible=False):
        shots = gr.File(label="shots", file_count="multiple")
        queries = gr.File(label="queries", file_count="multiple")
        reference = gr.Textbox(label="set")
        item = gr.Textbox(label="item", value="object", max_length=200)
        answer = gr.JSON(label="detection")
        button = gr.Button()

    async def inspect(
        shots: list[str] | None = None,
        queries: list[str] | None = None,
        set: str | None = None,
        item: str | None = None,
    ) -> dict[str, Any]:
        """Score queries against normal images (shots), or against a registered set: give one."""
        try:
            return await _detected(bench, shots, queries, set, item)
        except InctrlError as error:
            # Programs are told in plain words: nothing of it is shown as HTML.
            said = f"{error}; {FIXES[error.fix]}" if error.fix else str(error)
            raise gr.Error(spoken(said), print_exception=False) from None

    inputs = [shots, queries, reference, item]
    on(button.click, inspect, inputs, [answer], api_name="inspect", api_visibility="public")


async def _detected(
    bench: Workbench,
    shots: list[str] | None,
    queries: list[str] | None,
    reference: str | None,
    item: str | None,
) -> dict[str, Any]:
    if not queries:
        raise UsageError("no query was sent; give 'queries' one file or several")
    asked = Asked(reference or None, await _read(bench, shots), item or "object", Choice())
    sent = await _read(bench, queries)
    with bench.admission.admit(bench.settings.limits.longest_deadline) as ticket:
        found = await detect(bench, asked, sent, ticket)
    return found.model_dump(mode="json")


async def _read(bench: Workbench, files: list[str] | None) -> tuple[Upload, ...]:
    most = bench.settings.limits.images
    if files and len(files) > most:
        raise TooLarge(f"{len(files)} images were sent; the most at once is {most}")
    return tuple(await read(map(Path, files or ())))
