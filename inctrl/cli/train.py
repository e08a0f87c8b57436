"""`inctrl train`: train an adapter on sets of other items than those to be inspected."""

import argparse
from typing import Any

from inctrl.cli import train_coop, train_regad

METHODS = (train_coop, train_regad)


def register(commands: "argparse._SubParsersAction[Any]") -> None:
    parser = commands.add_parser("train", help="train an adapter", description=__doc__)
    methods = parser.add_subparsers(dest="method", metavar="METHOD", required=True)
    for method in METHODS:
        method.register(methods)
