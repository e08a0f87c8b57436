"""The options of `inctrl detect`."""

import argparse
from pathlib import Path

from inctrl.cli.options import add_alpha, add_cache, add_domain, add_fit, add_several


def add_normal_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("queries", nargs="+", metavar="QUERY", help="image files or folders")
    normal = parser.add_argument_group("what is normal")
    source = normal.add_mutually_exclusive_group()
    add_several(
        source,
        "--normal",
        "DIR|FILE",
        "normal images: files, folders, or a few-shot list (.pt) of the InCTRL release; "
        "optional, but only they give a limit and verdicts",
    )
    source.add_argument("--context", metavar="DIR", help="what --save-context wrote before")
    source.add_argument(
        "--set", metavar="NAME[@N]", help="a normal set of the store, as `inctrl sets` keeps them"
    )
    normal.add_argument("--store", type=Path, metavar="DIR", help="default: the user's store")
    normal.add_argument("--save-context", metavar="DIR", help="keep the prepared shots for later")
    normal.add_argument("--item", help="what the images show, in words (default: object)")
    normal.add_argument(
        "--window",
        nargs=2,
        type=float,
        metavar=("LOW", "HIGH"),
        help="values shown as black and white in images of more than 8 bits (default: from shots)",
    )


def add_detector_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("detector")
    group.add_argument(
        "--detector",
        help="incontext (default), zeroshot (default without normal images), or another; "
        "`inctrl detectors` lists them and what each needs",
    )
    group.add_argument("--adapter", metavar="NAME", help="a trained adapter, by name or folder")
    add_domain(group)
    group.add_argument(
        "-o",
        "--option",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="an option of the detector, such as top_share=0.01",
    )
    add_fit(group)
    add_alpha(group)
    group.add_argument("--batch", type=int, default=8, help="images at a time (default: 8)")
    add_cache(group)


def add_output_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("input and output")
    group.add_argument("--recursive", action="store_true", help="read folders with subfolders")
    group.add_argument(
        "--out", type=Path, metavar="DIR", help="fresh folder (default: runs/detect-N)"
    )
    group.add_argument("--overwrite", action="store_true", help="replace the --out of a former run")
    group.add_argument("--json", action="store_true", help="print scores.json on stdout")
    group.add_argument(
        "--fail-on",
        choices=("none", "anomalous"),
        default="none",
        help="exit code 3 if any query is anomalous (default: none)",
    )
