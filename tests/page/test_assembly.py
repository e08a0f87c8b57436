"""The page as a whole: what it is set to, and that it asks nobody."""

import math
import os
import re
from dataclasses import replace

import gradio as gr
import pytest

from inctrl.page import build as build_page
from inctrl.page import theme
from inctrl.page.assembly import KEPT, SWEEP, UNKEPT
from inctrl.service.app import build
from inctrl.service.settings import Settings


@pytest.mark.parametrize("history", [True, False])
def test_uploads_go_soon_where_nothing_is_kept(settings: Settings, history: bool) -> None:
    app = build(replace(settings, history=history))
    page = build_page(app)
    assert page.delete_cache == (SWEEP, KEPT if history else UNKEPT)
    assert UNKEPT <= 300
    kept = {one.time_to_live for one in page.blocks.values() if isinstance(one, gr.State)}
    assert kept - {math.inf} == {KEPT if history else UNKEPT}
    app.state.workbench.store.close()


def test_one_event_is_offered_to_programs_and_the_queue_is_short(settings: Settings) -> None:
    app = build(settings)
    page = build_page(app)
    public = [fn.api_name for fn in page.fns.values() if fn.api_visibility != "private"]
    assert public == ["inspect"]
    assert page._queue.max_size == 16
    assert not page.analytics_enabled
    app.state.workbench.store.close()


def test_gradio_was_told_to_talk_to_nobody() -> None:
    assert os.environ["GRADIO_ANALYTICS_ENABLED"] == "False"
    assert os.environ["HF_HUB_OFFLINE"] == "1"


def test_the_look_names_no_other_host() -> None:
    texts = [theme.head(), theme.theme()._get_theme_css(), *theme.theme()._stylesheets]
    found = {url for text in texts for url in re.findall(r"(?:https?:)?//[a-z0-9.]+\.\w+", text)}
    assert found <= {"http://www.w3.org"}  # the name of SVG, which nobody fetches
