"""What is known of a data set or a format: a row of the table of sources."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from inctrl.data.categories import Category


@dataclass(frozen=True)
class Source:
    """A row of the table.

    title       name of the data set, or of the format
    tree        what lies where
    licence     terms as the publisher states them
    steps       how to get it by hand
    recognise   whether a path looks like it; named sources need not
    read        path -> categories
    """

    title: str
    tree: str
    licence: str
    steps: str
    recognise: Callable[[Path], bool]
    read: Callable[[Path], list[Category]]
