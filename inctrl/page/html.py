"""HTML from templates, in which every value is escaped."""

import functools
from pathlib import Path
from typing import Any

import jinja2

from inctrl.reporting import words

HERE = Path(__file__).parent
FILTERS = (
    *("printable", "file_name", "number", "percent", "plural", "score_words", "p_words"),
    *("region_words", "evidence_words", "trust_words", "picture_words"),
)


def render(template: str, **values: Any) -> str:
    """A piece of the page, by the name of its template."""
    return _environment().get_template(f"{template}.html.j2").render(**values)


@functools.cache
def _environment() -> jinja2.Environment:
    reports = HERE.parent / "reporting" / "evaluation"
    environment = jinja2.Environment(
        # The evaluation's report lends the macro of its curves.
        loader=jinja2.FileSystemLoader([HERE / "templates", reports]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update({name: getattr(words, name) for name in FILTERS})
    environment.filters["moment"] = moment
    environment.filters["duration"] = duration
    return environment


def moment(stamp: str) -> str:
    """'2026-11-21 16:30' of an ISO time in UTC."""
    return f"{stamp[:10]} {stamp[11:16]}"


def duration(seconds: float) -> str:
    """'40 s', '3 min', '2 h 10 min'."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
