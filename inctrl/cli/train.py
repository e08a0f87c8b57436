"""`inctrl train`: train an adapter on sets of other items than those to be inspected."""

import argparse
from typing import Any

from inctrl.cli import train_coop, train_inctrl, train_regad

METHODS = (train_inctrl, train_coop, train_regad)
HELP = ("-h", "--help")


def register(commands: "argparse._SubParsersAction[Any]") -> None:
    parser = commands.add_parser("train", help="train an adapter", description=__doc__)
    methods = parser.add_subparsers(dest="method", metavar="METHOD", required=True)
    for method in METHODS:
        method.register(methods)


def completed(argv: list[str]) -> list[str]:
    """The arguments, with the method put in where `train` is followed by an option at once."""
    if argv[:1] == ["train"] and argv[1:] and argv[1].startswith("-") and argv[1] not in HELP:
        return ["train", "inctrl", *argv[1:]]
    return argv
