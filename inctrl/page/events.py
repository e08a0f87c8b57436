"""How components are wired, and how errors reach a person.

An event is the page's own unless it is given a name for clients. An error is one line beside the
page, without path or traceback, and never markup.
"""

import functools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from html import escape
from typing import Any, TypeVar

import gradio as gr

from inctrl.errors import Busy, Fix, InctrlError
from inctrl.service.http.problems import spoken

Handler = TypeVar("Handler", bound=Callable[..., Awaitable[Any]])
FIXES: Mapping[Fix, str] = {
    "name an adapter": "choose an adapter",
    "leave the adapter out": "choose no adapter",
    "give normals": "add normal images, or choose a saved set",
    "allow the network": "or have the service started with the network allowed",
    "use another cache": "have the service started with another cache",
    "read subfolders": "choose the folder below",
    "use another store": "have the service started with another store",
    "name a store": "have the service started with a store",
    "name a folder": "have the service started with INCTRL_ADAPTERS set",
    "overwrite": "choose another name",
}
"""What somebody at the page can do about an error."""


def on(
    trigger: Callable[..., Any],
    handler: Callable[..., Any] | None,
    inputs: Sequence[Any] = (),
    outputs: Sequence[Any] = (),
    **more: Any,
) -> Any:
    """An event that programs are not offered."""
    options = {"show_progress": "minimal", "api_visibility": "private", **more}
    return trigger(handler, list(inputs), list(outputs), **options)


def html(**options: Any) -> gr.HTML:
    """A piece of HTML that the templates fill; our own style, and no events of its own."""
    classes = ["ic", *options.pop("elem_classes", [])]
    script = options.pop("js_on_load", None)
    return gr.HTML(elem_classes=classes, apply_default_css=False, js_on_load=script, **options)


def picks(attribute: str) -> str:
    """A script for `html`: a press on an element with data-ATTRIBUTE is a click with its number.

    The pressed button gets the focus back when the piece is drawn anew.
    """
    return f"""
    let last = null;
    element.addEventListener('click', (event) => {{
      const button = event.target.closest('[data-{attribute}]');
      if (!button) return;
      last = button.dataset.{attribute};
      trigger('click', {{ number: Number(last) }});
    }});
    watch('value', () => {{
      if (last === null || document.activeElement !== document.body) return;
      const all = [...element.querySelectorAll('[data-{attribute}]')];
      const found = all.find((one) => one.dataset.{attribute} === last) || all[all.length - 1];
      last = null;
      if (found) found.focus();
    }});
    """


def number_of(event: gr.EventData, below: int) -> int | None:
    """The number that `picks` sent; None for one that no button has."""
    data = event._data
    number = data.get("number") if isinstance(data, dict) else None
    fits = isinstance(number, int) and not isinstance(number, bool) and 0 <= number < below
    return number if fits else None


def choices(options: Sequence[Any], value: Any, **more: Any) -> gr.Dropdown:
    """An update of a dropdown whose value is kept only where it is still among the choices."""
    values = [one[1] if isinstance(one, tuple) else one for one in options]
    return gr.Dropdown(choices=list(options), value=value if value in values else None, **more)


def shows_errors(handler: Handler) -> Handler:
    """An event handler whose expected errors are shown beside the page, which stays as it is."""

    @functools.wraps(handler)
    async def guarded(*args: Any, **kwargs: Any) -> Any:
        try:
            return await handler(*args, **kwargs)
        except InctrlError as error:
            message = f"{error}; {FIXES[error.fix]}" if error.fix else str(error)
            warn(message, "Busy" if isinstance(error, Busy) else "That did not work")
            return gr.skip()

    return guarded  # type: ignore[return-value]


def warn(message: str, title: str = "Please note") -> None:
    """A line that the person should read."""
    gr.Warning(plain(message), title=title)


def inform(message: str, title: str = "Done") -> None:
    """A line that is good news."""
    gr.Info(plain(message), duration=4, title=title)


def plain(message: str) -> str:
    """Words as they are to be seen; Gradio shows messages as HTML."""
    return escape(spoken(message))
