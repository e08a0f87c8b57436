"""What of Gradio is not let through: addresses, and files that nobody uploaded here.

Gradio checks paths only in apps that were launched by itself, and fetches what a client names by
an address. Both are closed before it sees them.
"""

from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path, PurePosixPath
from typing import Any

import gradio as gr
from fastapi import HTTPException
from starlette.routing import BaseRoute, Match, Route
from starlette.types import Receive, Scope, Send

from inctrl.service import places
from inctrl.service.http.problems import spoken

FILE = "/gradio_api/file="
CLOSED = (
    *("/gradio_api/proxy=", "/gradio_api/file/", "/gradio_api/stream", "/gradio_api/deep_link"),
    *("/gradio_api/vibe-", "/gradio_api/undo-vibe", "/gradio_api/process_recording"),
    *("/gradio_api/run", "/gradio_api/dev/", "/gradio_api/profiling"),
    *("/gradio_api/custom_component", "/gradio_api/component_server"),
    *("/monitoring", "/login", "/logout", "/svelte"),
)
"""What the page does not use; `/login` and `/logout` are answered by the layers where they are."""


class Foreign(gr.Error):
    """A client named a file that it has not uploaded."""

    def __init__(self) -> None:
        super().__init__("this file was not uploaded here; upload it", print_exception=False)


class NoFile(gr.Error):
    """A client sent a text or another value where a file belongs."""

    def __init__(self, name: str, given: str) -> None:
        super().__init__(
            f"{name}: got the text {spoken(given[:80])!r}, not a file; upload it first (with "
            "gradio_client write handle_file(PATH))",
            print_exception=False,
        )


class Bounded(gr.Blocks):
    """Blocks whose inputs name no file but uploads, wherever in them a file is named.

    One file where several may come is taken as a list of one.
    """

    folder: Path

    async def preprocess_data(
        self, block_fn: Any, inputs: Any, state: Any, explicit_call: bool = False
    ) -> Any:
        refuse_foreign(inputs, self.folder)
        inputs = [
            files_of(block, value) if isinstance(block, gr.File) else value
            for block, value in zip_longest(block_fn.inputs[: len(inputs)], inputs)
        ]
        return await super().preprocess_data(block_fn, inputs, state, explicit_call)


def files_of(block: gr.File, value: Any) -> Any:
    """What came for a place of files, as Gradio reads it; NoFile for a text."""
    for one in value if isinstance(value, list) else [value]:
        if not (one is None or isinstance(one, dict)):
            raise NoFile(str(block.label), str(one))
    several = block.file_count == "multiple"
    return [value] if several and isinstance(value, dict) else value


def refuse_foreign(inputs: Any, folder: Path) -> None:
    """Foreign where a file named anywhere in the inputs does not lie in the folder."""
    if isinstance(inputs, dict):
        if isinstance(inputs.get("path"), str) and not is_upload(inputs["path"], folder):
            raise Foreign
        for value in inputs.values():
            refuse_foreign(value, folder)
    elif isinstance(inputs, list | tuple):
        for value in inputs:
            refuse_foreign(value, folder)


def is_upload(path: str, folder: Path) -> bool:
    """Whether a path leads to a file in the folder; links lead where they lead."""
    try:
        return Path(path).is_absolute() and Path(path).resolve().is_relative_to(folder)
    except (OSError, ValueError):
        return False


class ApiFirst(BaseRoute):
    """Stands between the routes of the API and the page, which would answer everything else.

    A wrong method of a route and an unknown path of the API stay what they are without a page, and
    so does a path of the API that lacks its /v1: it is told, where the page would be shown.
    """

    def __init__(
        self, routes: Sequence[BaseRoute], described: Sequence[Route], folder: Path
    ) -> None:
        """`described` are those of the API, one by one, as its description has them."""
        self.routes = tuple(routes)
        self.described = tuple(described)
        self.folder = folder

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if scope["type"] != "http":
            return Match.NONE, {}
        path = scope["path"]
        if path == "/v1" or path.startswith("/v1/") or self._known(scope) or self._closed(path):
            return Match.FULL, {}
        return (Match.FULL, {}) if places.moved(self.described, path) else (Match.NONE, {})

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        known = self._known(scope)
        if known is None:
            raise HTTPException(404, "there is nothing here")
        route, child = known
        scope.update(child)
        await route.handle(scope, receive, send)  # it says which methods it takes

    def _known(self, scope: Scope) -> tuple[BaseRoute, Scope] | None:
        """The route of this path, which takes another method."""
        for route in self.routes:
            match, child = route.matches(scope)
            if match is Match.PARTIAL:
                return route, child
        return None

    def _closed(self, path: str) -> bool:
        if path.startswith(FILE):
            name = path.removeprefix(FILE)
            return ".." in PurePosixPath(name).parts or not is_upload(name, self.folder)
        return path.startswith(CLOSED)
