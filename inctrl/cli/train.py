"""`inctrl train`: train an adapter on sets of other items than those to be inspected.

Here is what its methods share: which sets, which folder, how losses fall.
"""

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inctrl.cli.adapters import check_name
from inctrl.cli.options import add_data, add_fit, add_several
from inctrl.cli.progress import curve, tracked
from inctrl.errors import OutputError, UsageError

if TYPE_CHECKING:
    from inctrl.data.categories import Category

HELP = ("-h", "--help")


def register(commands: "argparse._SubParsersAction[Any]") -> None:
    from inctrl.cli import train_coop, train_inctrl, train_regad  # they use this module

    about = "`inctrl train`: train an adapter on sets of other items than those to be inspected."
    parser = commands.add_parser("train", help="train an adapter", description=about)
    methods = parser.add_subparsers(dest="method", metavar="METHOD", required=True)
    for method in (train_inctrl, train_coop, train_regad):
        method.register(methods)


def completed(argv: list[str]) -> list[str]:
    """The arguments, with the method put in where `train` is followed by an option at once."""
    if argv[:1] == ["train"] and argv[1:] and argv[1].startswith("-") and argv[1] not in HELP:
        return ["train", "inctrl", *argv[1:]]
    return argv


def add_set_options(parser: argparse.ArgumentParser) -> None:
    data = parser.add_argument_group("examples")
    add_data(data)
    add_several(data, "--exclude", "SET", "sets to leave out")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--out", type=Path, metavar="DIR", help="folder of the adapter")
    where.add_argument("--name", help="name to keep it under, for --adapter NAME")


def add_seed_and_fit(group: argparse._ArgumentGroup, drawn: str) -> None:
    """`drawn` says what the seed draws besides the order of the examples."""
    group.add_argument("--seed", type=seed, default=0, help=f"of {drawn} and order (default: 0)")
    add_fit(group, "squash")


def seed(text: str) -> int:
    """A seed that every generator takes; argparse shows this name for what is no number."""
    number = int(text)
    if not 0 <= number < 2**31:
        raise argparse.ArgumentTypeError(f"{text} is not in 0..{2**31 - 1}")
    return number


def chosen_sets(args: argparse.Namespace, *, labelled: bool = True) -> "list[Category]":
    """The sets of --data without those of --exclude.

    labelled   sets without test images are refused
    """
    from inctrl.data.sources import read_data
    from inctrl.registry import unknown

    found = [data for root in args.data for data in read_data(root, labelled=labelled)]
    names = {name for data in found for name in (data.name, f"{data.dataset}/{data.name}")}
    for name in args.exclude:
        if name not in names:
            raise unknown(name, {data.name for data in found}, "set to exclude")
    kept = [d for d in found if not {d.name, f"{d.dataset}/{d.name}"} & set(args.exclude)]
    if not kept:
        raise UsageError("--exclude leaves no set to train on")
    return kept


def fresh_folder(args: argparse.Namespace) -> Path:
    """The folder to write; refused here if it is taken, not after the training."""
    from inctrl.adapters.file import user_folder

    path: Path = args.out or user_folder() / check_name(args.name)
    if not path.name:
        raise UsageError(f"--out {str(path)!r} is no new folder; name one")
    if path.is_file() or (path.is_dir() and any(path.iterdir())):
        raise OutputError(f"{str(path)!r} is there already; choose another folder or name")
    return path


def followed(descent: Iterable[float], steps: int, epochs: int, quiet: bool) -> dict[str, float]:
    """Train to the end; what the adapter keeps of it, with the mean loss of the last epoch."""
    losses = list(tracked(curve(descent), steps, "training", quiet))
    last = losses[-(steps // epochs) :]
    return {"epochs": epochs, "steps": steps, "loss": sum(last) / len(last)}
