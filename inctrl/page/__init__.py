"""The page: inspect, keep normal sets, train and evaluate in a browser.

It is built on the service's app and calls the same workbench as the routes. Nothing heavy is
imported before it is asked for.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import gradio as gr
    from fastapi import FastAPI


def build(app: "FastAPI") -> "gr.Blocks":
    """The page over an app of `inctrl.service.app.build`, not yet mounted."""
    from inctrl.page.offline import prepare

    prepare()
    from inctrl.page.assembly import build as assembled

    return assembled(app)


def mount(app: "FastAPI") -> None:
    """Put the page at `/`, behind all routes that the app has by now."""
    from inctrl.page.offline import prepare

    prepare()
    from inctrl.page.assembly import mount as mounted

    mounted(app)
