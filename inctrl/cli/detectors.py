"""`inctrl detectors`: the detectors and what each needs; with a name, its options."""

import argparse
import textwrap
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from inctrl.cli.options import add_command
from inctrl.cli.output import say

if TYPE_CHECKING:
    from inctrl.detectors import Entry


def register(commands: "argparse._SubParsersAction[Any]") -> None:
    name = {"nargs": "?", "help": "one detector, with its options"}
    about = "the detectors, and what each needs"
    add_command(commands, "detectors", run, about, __doc__, arguments={"name": name})


def run(args: argparse.Namespace) -> int:
    from inctrl.detectors import detector_entry

    if args.name is None:
        return _list()
    entry = detector_entry(args.name)
    say(f"{args.name}: {entry.about}\n{_needs(entry)}")
    listed = fields(entry.options)
    if not listed:
        say("\nIt has no options.\n")
        return 0
    say("\noptions (-o NAME=VALUE), with their defaults\n")
    for option in listed:
        say(f"  {option.name} = {option.default}\n")
    say(f"\n{textwrap.dedent(entry.options.__doc__ or '').strip()}\n")
    return 0


def _list() -> int:
    from inctrl.detectors import DETECTORS, OUTSIDE
    from inctrl.detectors.anomalib import MODELS

    for name, entry in DETECTORS.items():
        say(f"{name:12}{entry.about}\n{_needs(entry)}")
    outside = textwrap.fill(" ".join(f"{OUTSIDE}{model}" for model in MODELS), 96)
    say(f"\nof anomalib (extra inctrl[anomalib], an environment of its own)\n{outside}\n")
    say("\n`inctrl detectors NAME` shows the options of one.\n")
    return 0


def _needs(entry: "Entry") -> str:
    """What it needs and which layers it taps, each on a line of its own."""
    lines = [f"needs {entry.needs}"] if entry.needs else []
    lines += [
        f"taps {', '.join(layers)} of {prefix}: backbones"
        for prefix, layers in entry.layers.items()
    ]
    return "".join(f"{'':12}{line}\n" for line in lines)
