"""Templates of reports and of the page: every value is escaped, and none may be missing."""

from pathlib import Path

import jinja2

from inctrl.reporting import words

FILTERS = (
    *("printable", "file_name", "number", "percent", "plural", "score_words", "p_words"),
    *("region_words", "evidence_words", "trust_words", "picture_words"),
)


def environment(*folders: Path) -> jinja2.Environment:
    """What fills the templates of these folders, with the words of reports as filters."""
    found = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folders),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters.update({name: getattr(words, name) for name in FILTERS})
    return found
