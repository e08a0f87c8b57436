"""The data sets that trainings and evaluations may be given, or what to do where there are none."""

from dataclasses import dataclass

from inctrl.errors import InctrlError
from inctrl.page.html import render
from inctrl.service.jobs import JobRunner


@dataclass(frozen=True)
class Found:
    """Label and name of each set; `words` is HTML where there is none."""

    sets: tuple[tuple[str, str], ...]
    words: str


def find(runner: JobRunner, title: str) -> Found:
    try:
        listing = runner.data_sets()
    except InctrlError as error:
        return Found((), render("noroot", title=title, missing=str(error)))
    sets = tuple(
        (f"{'the data root itself' if one.name == '.' else one.name}  ({one.layout})", one.name)
        for one in listing.sets
    )
    return Found(sets, "" if sets else render("noroot", title=title, missing=""))
