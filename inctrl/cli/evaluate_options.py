"""Options of `inctrl evaluate`."""

import argparse
from pathlib import Path

from inctrl.cli.options import (
    add_alpha,
    add_cache,
    add_data,
    add_domain,
    add_fit,
    add_several,
    add_views,
)


def add_data_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("data")
    add_data(group)
    add_several(group, "--only", "CATEGORY", "categories to take")
    add_several(group, "--exclude", "CATEGORY", "categories to leave out")
    group.add_argument(
        "--shots",
        nargs="+",
        type=_count,
        metavar="K",
        help="normal images shown to the detectors (default: 1 2 4 8)",
    )
    group.add_argument(
        "--seeds", type=_seeds, default=5, metavar="N", help="draws of shots (default: 5)"
    )
    group.add_argument(
        "--group-by",
        default="",
        metavar="group|REGEX",
        help="refuse shots that share a group with a test image: the group that the layout names, "
        "or what a regular expression finds in the names of the images",
    )
    group.add_argument(
        "--protocol",
        choices=("inctrl",),
        default="",
        help="shots of a published protocol; the page shows its figures beside yours",
    )


def add_contender_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("contenders")
    form = "NAME[:KEY=VALUE,...][@BACKBONE] (default: incontext); `inctrl detectors` lists them"
    add_several(group, "--detector", "SPEC", form)
    words = "trained adapters, by name or folder, each a contender"
    add_several(group, "--adapter", "NAME", words)
    add_domain(group)
    add_fit(group)
    add_views(group)
    add_alpha(group, 0.05)


def add_output_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("output")
    group.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="a fresh folder, or that of a former evaluation to go on with "
        "(default: runs/evaluate-N)",
    )
    group.add_argument(
        "--audit",
        action="store_true",
        help="do not evaluate; test that scores depend on shots and query alone, and exit with 1 "
        "if one does not",
    )
    group.add_argument("--json", action="store_true", help="print results.json, not the tables")
    add_cache(group)
    group.add_argument(
        "--cache-size",
        type=float,
        default=2.0,
        metavar="GB",
        help="how much is remembered; what was unused for longest goes first (default: 2)",
    )


def _count(text: str) -> int:
    """argparse shows this name for what is no number."""
    number = int(text)
    if not 0 <= number <= 10_000:
        raise argparse.ArgumentTypeError(f"{text} is not in 0..10000")
    return number


def _seeds(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 1000:
        raise argparse.ArgumentTypeError(f"{text} is not in 1..1000")
    return number
