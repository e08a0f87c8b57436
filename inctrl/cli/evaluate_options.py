"""Options of `inctrl evaluate`."""

import argparse
from pathlib import Path


def add_evaluate_options(parser: argparse.ArgumentParser) -> None:
    _add_data_options(parser)
    _add_contender_options(parser)
    _add_output_options(parser)


def _add_data_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("data")
    group.add_argument(
        "--data",
        nargs="+",
        action="extend",
        required=True,
        metavar="[LAYOUT:]PATH",
        help="data sets; a layout that is not recognised can be named",
    )
    for name, what in (("only", "categories to take"), ("exclude", "categories to leave out")):
        group.add_argument(
            f"--{name}", nargs="+", action="extend", default=[], metavar="CATEGORY", help=what
        )
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


def _add_contender_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("contenders")
    group.add_argument(
        "--detector",
        nargs="+",
        action="extend",
        default=[],
        metavar="SPEC",
        help="NAME[:KEY=VALUE,...][@BACKBONE] (default: incontext); `inctrl detectors` lists them",
    )
    group.add_argument(
        "--adapter",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME",
        help="trained adapters, by name or folder, each a contender",
    )
    group.add_argument(
        "--domain",
        default="inctrl",
        metavar="NAME|FILE.toml",
        help="sentence bank of detectors that use text (default: inctrl)",
    )
    group.add_argument(
        "--fit",
        choices=("squash", "crop", "pad"),
        help="how an image becomes a square (default: squash, or the adapter's)",
    )
    group.add_argument(
        "--alpha",
        type=float,
        default=0.05,
        help="wanted share of normal images called anomalous (default: 0.05)",
    )


def _add_output_options(parser: argparse.ArgumentParser) -> None:
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
    group.add_argument(
        "--cache", metavar="DIR|off", help="where features are remembered (default: user cache)"
    )
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
