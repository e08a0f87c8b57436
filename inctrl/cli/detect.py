"""`inctrl detect`: score queries against k normal images, and write scores, maps and a report.

Without --normal and --context sentences about the item alone give the scores (detector `zeroshot`,
which needs a backbone with text): they rank the queries, but nothing is called anomalous.
"""

import argparse
import json
import logging
import sys
import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inctrl.cli.detect_output import tell, tell_compared
from inctrl.cli.options import (
    add_alpha,
    add_backbone_options,
    add_cache,
    add_command,
    add_domain,
    add_fit,
    add_several,
    add_views,
    chosen,
)
from inctrl.cli.output import next_free, say_json
from inctrl.cli.progress import tracked
from inctrl.errors import UsageError

if TYPE_CHECKING:
    from inctrl.inspection.fitted import FittedInspector
    from inctrl.inspection.inputs import Input
    from inctrl.inspection.inspector import Inspector

EXAMPLES = """examples:
  inctrl detect query.png --normal good1.png good2.png good3.png good4.png
  inctrl detect incoming/ --normal good/ --recursive --out runs/monday
  inctrl detect query.png --normal good/ --save-context bottle-cap
  inctrl detect board.png --normal good/ --tiles auto --orientation any
  inctrl detect query.png --context bottle-cap --fail-on anomalous
  inctrl detect query.png --set bottle-cap            # what `inctrl sets add bottle-cap ...` keeps
  inctrl detect incoming/ --item hazelnut --domain industrial    # no normal image: ranks only
"""
DEFAULT_OUT = Path("runs", "detect")
logger = logging.getLogger("inctrl")


def register(commands: "argparse._SubParsersAction[Any]") -> None:
    add_command(
        commands,
        "detect",
        run,
        "score queries against k normal images",
        __doc__,
        _add_normal_options,
        add_backbone_options,
        _add_detector_options,
        _add_output_options,
        examples=EXAMPLES,
    )


def _add_normal_options(parser: argparse.ArgumentParser) -> None:
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
    add_views(normal)


def _add_detector_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("detector")
    group.add_argument(
        "--detector",
        help="incontext (default), zeroshot (default without normal images), or another; "
        "`inctrl detectors` lists them and what each needs",
    )
    group.add_argument("--adapter", metavar="NAME", help="a trained adapter, by name or folder")
    add_domain(group, default=None)
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


def _add_output_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("input and output")
    group.add_argument(
        "--frame",
        default="all",
        metavar="N|first|all",
        help="of files that hold several images, as TIFF stacks do: each as one of its own "
        "(FILE#1, FILE#2; default), the first, or the N-th; for queries and normal images",
    )
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


def run(args: argparse.Namespace) -> int:
    from inctrl.reporting import RunInfo, RunWriter

    started = time.perf_counter()
    queries = _queries(args)
    fitted = _fitted(args)
    info = RunInfo.of(fitted, time.perf_counter() - started)
    with RunWriter(args.out or next_free(DEFAULT_OUT), info, overwrite=args.overwrite) as writer:
        outcomes, compared = fitted.stream(queries), dict[str, list[str]]()
        for outcome in tracked(outcomes, len(queries), "inspecting", args.quiet):
            writer.add(outcome)
            tell(outcome, args.json)
            for note in getattr(outcome, "compared", ()):
                compared.setdefault(note, []).append(outcome.name)
    tell_compared(compared)
    if fitted.inspector.cache:
        fitted.inspector.cache.prune()
    if args.json:
        say_json(json.loads((writer.out / "scores.json").read_bytes()))
    if not args.quiet:
        sys.stderr.write(f"report: {writer.out / 'report.html'}\n")
    verdicts = {getattr(row, "verdict", "unreadable") for row in writer.rows}
    if args.fail_on in verdicts:
        return 3
    return 4 if "unreadable" in verdicts else 0


def _queries(args: argparse.Namespace) -> list[Path]:
    """The files to inspect; an empty folder among several is left in, to be reported."""
    from inctrl.data.folders import expand

    return expand(args.queries, recursive=args.recursive, keep_empty=len(args.queries) > 1)


def _fitted(args: argparse.Namespace) -> "FittedInspector":
    """The prepared shots: from --normal, or as --save-context wrote them."""
    from inctrl.images import Window
    from inctrl.inspection.saved import load_context, refuse_others, save_context

    if args.context or args.set:
        kind = "context" if args.context else "set"
        for flag in ("item", "window", "save_context"):
            if getattr(args, flag) is not None:
                name = flag.replace("_", "-")
                raise UsageError(f"--{name} belongs to --normal; the saved {kind} has its own")
    if args.context:
        fitted = load_context(_inspector(args), args.context, alpha=chosen(args, "alpha"))
        refuse_others(f"context {args.context!r}", fitted.views, args.orientation, args.tiles)
        return fitted
    if args.set:
        return _registered(args)
    if args.fail_on == "anomalous" and not args.normal:
        raise UsageError(
            "--fail-on anomalous can never fire without normal images; give them with --normal"
        )
    if args.save_context and not args.normal:
        raise UsageError("--save-context keeps normal images; give them with --normal")
    low, high = args.window or (0, 1)
    if not low < high:
        raise UsageError(f"--window {low:g} {high:g}: LOW must be below HIGH")
    window = Window(low, high) if args.window else None
    # An adapter names a detector of its own.
    default = None if args.normal or args.adapter else "zeroshot"
    fitted = _inspector(args, default).fit(
        _normals(args),
        item=args.item or "object",
        window=window,
        orientation=args.orientation or "fixed",
        tiles=1 if args.tiles is None else args.tiles,
    )
    if args.save_context:
        save_context(fitted, args.save_context, overwrite=args.overwrite)
    return fitted


def _registered(args: argparse.Namespace) -> "FittedInspector":
    """A set of the store; it is prepared where this detector meets it for the first time."""
    from inctrl.inspection.registered import Registered
    from inctrl.inspection.saved import refuse_others
    from inctrl.store import open_store

    with open_store(args.store, make=False) as store:
        fitted = Registered(store, _inspector(args)).fitted(args.set, alpha=args.alpha)
    refuse_others(f"set {fitted.normal_set!r}", fitted.views, args.orientation, args.tiles)
    for warning in fitted.calibration.warnings:
        logger.warning("%s", warning)
    return fitted


def _inspector(args: argparse.Namespace, detector: str | None = None) -> "Inspector":
    """From the flags; what they leave open is taken from a saved context, where there is one.

    detector   the one by default
    """
    from inctrl.inspection.inspector import Inspector
    from inctrl.inspection.saved import arguments

    for text in args.option:
        if "=" not in text:
            raise UsageError(f"--option {text!r} is not KEY=VALUE")
    pairs = (text.split("=", 1) for text in args.option)
    names = ("backbone", "adapter", "domain", "fit", "image_size", "layers", "precision")
    # What a context records goes before what is set for all runs.
    value = partial(chosen if args.context else getattr, args)
    given = {name: value(name) for name in names if value(name) is not None}
    given["detector"] = args.detector or detector
    given["options"] = {key.strip(): text.strip() for key, text in pairs}
    if args.context:
        given = arguments(args.context, given)
    return Inspector.load(
        **given,
        frame=args.frame,
        alpha=0.05 if args.alpha is None else args.alpha,
        device=args.device,
        cache=args.cache,
        batch=args.batch,
        allow_network=args.allow_network,
    )


def _normals(args: argparse.Namespace) -> "Iterable[Input]":
    from inctrl.data.folders import expand
    from inctrl.data.sources.released import read_fewshot_list

    for path in expand(args.normal, recursive=args.recursive):
        if path.suffix == ".pt":
            yield from read_fewshot_list(path)
        else:
            yield path
