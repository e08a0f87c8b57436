"""The page in an app, behind its routes."""

import asyncio
import contextlib
import warnings
from collections.abc import AsyncIterator
from typing import Any

import gradio as gr
from fastapi import FastAPI

from inctrl.page import look
from inctrl.page.assembly import build
from inctrl.page.boundary import Border
from inctrl.page.offline import discard, private_folder
from inctrl.service.workbench import Workbench


def mount(app: FastAPI) -> None:
    """Gradio at `/`; nothing of it reaches past what the page needs."""
    bench: Workbench = app.state.workbench
    page = build(app)
    app.router.routes.append(Border(app.router.routes, private_folder()))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        gr.mount_gradio_app(
            app,
            page,
            "/",
            theme=look.theme(),
            head=look.head(),
            favicon_path=str(look.FAVICON),
            footer_links=[],
            run_history=False,
            show_error=False,
            enable_monitoring=False,
            ssr_mode=False,
            mcp_server=False,
            pwa=False,
            allowed_paths=[],
            max_file_size=bench.settings.limits.file_bytes,
        )
    _clear_at_the_end(app)


def _clear_at_the_end(app: FastAPI) -> None:
    """What was uploaded goes with the service."""
    inner = app.router.lifespan_context

    @contextlib.asynccontextmanager
    async def lifespan(served: FastAPI) -> AsyncIterator[Any]:
        try:
            async with inner(served) as state:
                yield state
        finally:
            await asyncio.to_thread(discard)

    app.router.lifespan_context = lifespan
