"""`inctrl data`: the layouts of data sets that are read; with a name or a path, one of them."""

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from inctrl.cli.options import add_command
from inctrl.cli.output import say

if TYPE_CHECKING:
    from inctrl.data.categories import Category


def register(commands: "argparse._SubParsersAction[Any]") -> None:
    what = {
        "nargs": "?",
        "metavar": "NAME | PATH | NAME:PATH",
        "help": "a layout, to see its folders, licence and where to get it; or data, to see what "
        "is in it (its layout is recognised, or named; ./NAME is a path)",
    }
    about = "data sets that are read, and what is in one"
    add_command(commands, "data", run, about, __doc__, arguments={"what": what})


def run(args: argparse.Namespace) -> int:
    from inctrl.data.sources import SOURCES, describe

    if args.what is None:
        for name, source in SOURCES.items():
            say(f"{name:15}{source.title}\n")
        say("\n`inctrl data NAME` shows a layout, `inctrl data PATH` what is in a folder.\n")
    elif args.what in SOURCES:
        say(f"{args.what}: {SOURCES[args.what].title}\n\n{describe(args.what)}\n")
    else:
        _show(args.what)
    return 0


def _show(spec: str) -> None:
    """The categories of a data set, with how many images of each sort they have."""
    from inctrl.data.sources import SOURCES, find_data, find_layout

    data = find_data(spec, labelled=False)
    found = data.categories
    name, path = find_layout(spec)
    say(f"{path}: {name} ({SOURCES[name].title})\n\n")
    width = max(8, *(len(category.name) for category in found))
    heads = ("train normal", "test normal", "test anomalous", "masks")
    say(f"{'category':{width}}  {'  '.join(heads)}\n")
    for category in found:
        cells = zip(_counts(category), heads, strict=True)
        say(f"{category.name:{width}}  {'  '.join(f'{n:{len(head)}}' for n, head in cells)}\n")
    lines = [line for category in found for line in _remarks(category)]
    for i, line in enumerate([*lines, *data.left_out]):
        say(f"{'' if i else chr(10)}{line}\n")


def _remarks(category: "Category") -> Iterator[str]:
    """What an evaluation will lack."""
    from inctrl.data.masks import unmasked

    if not category.test:
        yield f"{category.name}: no anomalous images; `train` takes it, `evaluate` leaves it out"
    elif not any(sample.anomalous for sample in category.test):
        yield f"{category.name}: no anomalous images; figures that need both are undefined"
    if note := unmasked(category):
        yield f"{note}: pixels are not evaluated"


def _counts(category: "Category") -> tuple[int, int, int, int]:
    anomalous = sum(sample.anomalous for sample in category.test)
    masks = sum(sample.mask is not None for sample in category.test)
    return len(category.train), len(category.test) - anomalous, anomalous, masks
