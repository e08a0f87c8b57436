"""How errors reach a person: as one line, without path or traceback, and never as markup."""

import functools
import html
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import gradio as gr

from inctrl.errors import Busy, InctrlError
from inctrl.service.http.problems import spoken

Handler = TypeVar("Handler", bound=Callable[..., Awaitable[Any]])


def told(handler: Handler) -> Handler:
    """An event handler whose expected errors are shown beside the page, which stays as it is."""

    @functools.wraps(handler)
    async def telling(*args: Any, **kwargs: Any) -> Any:
        try:
            return await handler(*args, **kwargs)
        except InctrlError as error:
            warn(str(error), "Busy" if isinstance(error, Busy) else "That did not work")
            return gr.skip()

    return telling  # type: ignore[return-value]


def warn(message: str, title: str = "Please note") -> None:
    """A line that the person should read."""
    gr.Warning(plain(message), title=title)


def inform(message: str, title: str = "Done") -> None:
    """A line that is good news."""
    gr.Info(plain(message), duration=4, title=title)


def plain(message: str) -> str:
    """Words as they are to be seen; Gradio shows messages as HTML."""
    return html.escape(spoken(message))
