"""Train: an adapter from labelled images below the server's data root."""

import asyncio
from typing import Any

import gradio as gr

from inctrl.errors import UsageError
from inctrl.page.board import Board, data_sets
from inctrl.page.events import html, on, shows_errors
from inctrl.page.jobviews import training_html
from inctrl.service.jobs import JobRunner
from inctrl.store import Store

TITLE = "Training needs labelled images"
METHODS = {
    "inctrl": "residuals to the normal images (InCTRL)",
    "coop": "learned prompts (CoOp)",
    "regad": "registration (RegAD)",
}
EMPTY = (
    "Choose data sets, give the adapter a name, and start. The curve of the loss appears here, and "
    "the adapter to download at the end."
)


class TrainTab:
    """The tab's components and what happens when they are used."""

    def __init__(self, runner: JobRunner, store: Store) -> None:
        self._runner = runner
        self.words = html(elem_id="train-words")
        with gr.Row(visible=False, elem_classes=["columns"]) as self.form:
            with gr.Column(scale=2, min_width=300):
                self._form()
            with gr.Column(scale=3, min_width=300):
                self.board = Board(runner, store, "train", "Training", training_html, EMPTY)
        on(self.go.click, self.start, self._inputs, self.board.outputs)

    def _form(self) -> None:
        self.data = gr.Dropdown(
            [], label="Data sets to learn from", multiselect=True, elem_id="train-data"
        )
        self.name = gr.Textbox(
            label="Name of the adapter",
            placeholder="my-adapter",
            max_length=64,
            elem_id="train-name",
        )
        self.method = gr.Dropdown(
            [(words, name) for name, words in METHODS.items()], value="inctrl", label="Method"
        )
        with gr.Accordion("More", open=False, elem_id="train-more"):
            usual = "the usual number"
            self.epochs = gr.Textbox(label="Epochs", placeholder=usual, elem_id="train-epochs")
            self.steps = gr.Textbox(
                label="Steps of an epoch", placeholder=usual, elem_id="train-steps"
            )
            self.batch = gr.Textbox(label="Batch", placeholder=usual, elem_id="train-batch")
            self.shots = gr.Textbox(
                label="Normal images of an example", placeholder="2 4 8", elem_id="train-shots"
            )
            self.seed = gr.Textbox(label="Seed", placeholder="0", elem_id="train-seed")
            self.hold_out = gr.Textbox(
                label="Category held out",
                placeholder="by which the best epoch is chosen",
                max_length=200,
                elem_id="train-hold-out",
            )
        self.go = gr.Button("Start training", variant="primary", elem_id="train-start")

    @property
    def _inputs(self) -> list[Any]:
        numbers = [self.epochs, self.steps, self.batch, self.shots, self.seed, self.hold_out]
        return [self.data, self.name, self.method, *numbers]

    @property
    def outputs(self) -> list[Any]:
        return [self.words, self.form, self.data, *self.board.outputs]

    @shows_errors
    async def look(self, id: str | None) -> Any:
        """The data sets there are now, and the newest job."""
        found = await asyncio.to_thread(data_sets, self._runner, TITLE)
        return (
            found.words,
            gr.Row(visible=bool(found.sets)),
            gr.Dropdown(choices=list(found.sets)),
            *await self.board.shown(id),
        )

    @shows_errors
    async def start(
        self,
        data: list[str],
        name: str,
        method: str,
        epochs: str,
        steps: str,
        batch: str,
        shots: str,
        seed: str,
        hold_out: str,
    ) -> Any:
        """Queue the training."""
        if not data:
            raise UsageError("choose a data set to learn from")
        if not name.strip():
            raise UsageError("give the adapter a name")
        values = {
            "epochs": number(epochs),
            "steps": number(steps),
            "batch": number(batch),
            "shots": numbers(shots),
            "seed": number(seed),
            "hold_out": hold_out.strip() or None,
        }
        given = {key: value for key, value in values.items() if value is not None}
        return await self.board.submit(
            {"data": data, "name": name.strip(), "method": method, **given}
        )


def numbers(text: str) -> tuple[int, ...] | None:
    """'2 4, 8' as numbers; None for an empty text."""
    parts = text.replace(",", " ").split()
    if not all(part.isascii() and part.isdigit() and len(part) < 10 for part in parts):
        raise UsageError(f"{text!r} is not a list of whole numbers, such as 2 4 8")
    return tuple(int(part) for part in parts) or None


def number(text: str) -> int | None:
    """The same of a single one."""
    found = numbers(text)
    if found and len(found) > 1:
        raise UsageError(f"{text!r} is more than one number")
    return found[0] if found else None
