"""HTML from templates, in which every value is escaped."""

import functools
from pathlib import Path
from typing import Any

import jinja2

from inctrl.reporting.templates import environment

HERE = Path(__file__).parent


def render(template: str, **values: Any) -> str:
    """A piece of the page, by the name of its template."""
    return _environment().get_template(f"{template}.html.j2").render(**values)


@functools.cache
def _environment() -> jinja2.Environment:
    # The evaluation's report lends the macro of its curves.
    found = environment(HERE / "templates", HERE.parent / "reporting" / "evaluation")
    found.filters.update(moment=moment, duration=duration)
    return found


def moment(stamp: str) -> str:
    """'2026-11-21 16:30' of an ISO time in UTC."""
    return f"{stamp[:10]} {stamp[11:16]}"


def duration(seconds: float) -> str:
    """'40 s', '3 min', '2 h 10 min'."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
