"""`inctrl detect`: score queries against k normal images, and write scores, maps and a report.

Without --normal and --context sentences about the item alone give the scores (detector `zeroshot`,
which needs a backbone with text): they rank the queries, but nothing is called anomalous.
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inctrl.cli.options import add_backbone_options, add_common_options
from inctrl.cli.output import say
from inctrl.errors import UsageError

if TYPE_CHECKING:
    from inctrl.fitted import FittedInspector
    from inctrl.inputs import Input
    from inctrl.inspector import Inspector
    from inctrl.reporting import RunInfo
    from inctrl.reporting.run import AnyRow
    from inctrl.types import Failure, Result

EXAMPLES = """examples:
  inctrl detect query.png --normal good1.png good2.png good3.png good4.png
  inctrl detect incoming/ --normal good/ --recursive --out runs/monday
  inctrl detect query.png --normal good/ --save-context bottle-cap
  inctrl detect query.png --context bottle-cap --fail-on anomalous
  inctrl detect incoming/ --item hazelnut --domain industrial    # no normal image: ranks only
"""
DEFAULT_OUT = Path("runs", "detect")


def register(commands: "argparse._SubParsersAction[Any]") -> None:
    parser = commands.add_parser(
        "detect",
        help="score queries against k normal images",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("queries", nargs="+", metavar="QUERY", help="image files or folders")
    normal = parser.add_argument_group("what is normal")
    source = normal.add_mutually_exclusive_group()
    source.add_argument(
        "--normal",
        nargs="+",
        action="extend",
        metavar="DIR|FILE",
        help="normal images: files, folders, or a few-shot list (.pt) of the InCTRL release; "
        "optional, but only they give a limit and verdicts",
    )
    source.add_argument("--context", metavar="DIR", help="what --save-context wrote before")
    normal.add_argument("--save-context", metavar="DIR", help="keep the prepared shots for later")
    normal.add_argument("--item", help="what the images show, in words (default: object)")
    normal.add_argument(
        "--window",
        nargs=2,
        type=float,
        metavar=("LOW", "HIGH"),
        help="values shown as black and white in images of more than 8 bits (default: from shots)",
    )
    add_backbone_options(parser)
    _add_detector_options(parser)
    _add_output_options(parser)
    add_common_options(parser)
    parser.set_defaults(run=run)


def _add_detector_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("detector")
    group.add_argument(
        "--detector",
        help="incontext (default), zeroshot (default without normal images), or another; "
        "`inctrl detectors` lists them and what each needs",
    )
    group.add_argument("--adapter", metavar="NAME", help="a trained adapter, by name or folder")
    group.add_argument(
        "--domain",
        default="inctrl",
        metavar="NAME|FILE.toml",
        help="sentence bank of detectors that use text: inctrl, industrial, medical, natural, or "
        "your own (default: inctrl)",
    )
    group.add_argument(
        "-o",
        "--option",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="an option of the detector, such as top_share=0.01",
    )
    group.add_argument(
        "--fit",
        choices=("squash", "crop", "pad"),
        help="how an image becomes a square (default: squash, or the adapter's)",
    )
    group.add_argument(
        "--alpha",
        type=float,
        help="wanted share of normal images called anomalous (default: 0.05)",
    )
    group.add_argument("--batch", type=int, default=8, help="images at a time (default: 8)")
    group.add_argument(
        "--cache", metavar="DIR|off", help="where features are remembered (default: user cache)"
    )


def _add_output_options(parser: argparse.ArgumentParser) -> None:
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


def run(args: argparse.Namespace) -> int:
    from inctrl.reporting import RunWriter

    started = time.perf_counter()
    queries = _queries(args)
    fitted = _fitted(args)
    info = _run_info(fitted, time.perf_counter() - started)
    with RunWriter(_out(args.out), info, overwrite=args.overwrite) as writer:
        for outcome in _with_progress(fitted.stream(queries), len(queries), args.quiet):
            writer.add(outcome)
            _tell(outcome, args.json)
    if fitted.inspector.cache:
        fitted.inspector.cache.prune()
    if args.json:
        # Escaped to ASCII, which every terminal and pipe can carry.
        document = json.loads((writer.out / "scores.json").read_bytes())
        say(json.dumps(document, indent=1) + "\n")
    if not args.quiet:
        sys.stderr.write(f"report: {writer.out / 'report.html'}\n")
    return _exit_code(writer.rows, args.fail_on)


def _queries(args: argparse.Namespace) -> list[Path]:
    """The files to inspect; an empty folder among several is left in, to be reported."""
    from inctrl.data.folders import expand

    if len(args.queries) == 1:
        return expand(args.queries, recursive=args.recursive)
    found: list[Path] = []
    for query in args.queries:
        try:
            found += expand([query], recursive=args.recursive)
        except UsageError:
            found.append(Path(query))
    return found


def _exit_code(rows: "list[AnyRow]", fail_on: str) -> int:
    verdicts = [getattr(row, "verdict", "unreadable") for row in rows]
    if fail_on == "anomalous" and "anomalous" in verdicts:
        return 3
    return 4 if "unreadable" in verdicts else 0


def _fitted(args: argparse.Namespace) -> "FittedInspector":
    """The prepared shots: from --normal, or as --save-context wrote them."""
    from inctrl.contexts import load_context, save_context
    from inctrl.images import Window

    if args.context:
        for flag in ("item", "window", "save_context"):
            if getattr(args, flag) is not None:
                name = flag.replace("_", "-")
                raise UsageError(f"--{name} belongs to --normal; the saved context has its own")
        inspector = _inspector(args, _made_with(Path(args.context)))
        return load_context(inspector, args.context, alpha=args.alpha)
    if args.fail_on == "anomalous" and not args.normal:
        raise UsageError(
            "--fail-on anomalous can never fire without normal images; give them with --normal"
        )
    if args.save_context and not args.normal:
        raise UsageError("--save-context keeps normal images; give them with --normal")
    window = Window(*args.window) if args.window else None
    if window and not window.low < window.high:
        raise UsageError(f"--window {window.low:g} {window.high:g}: LOW must be below HIGH")
    # An adapter names a detector of its own.
    default = {} if args.normal or args.adapter else {"detector": "zeroshot"}
    fitted = _inspector(args, default).fit(
        _normals(args), item=args.item or "object", window=window
    )
    if args.save_context:
        save_context(fitted, args.save_context, overwrite=args.overwrite)
    return fitted


def _inspector(args: argparse.Namespace, recorded: dict[str, Any]) -> "Inspector":
    """From the flags; what they leave open is taken from a record (as of a saved context)."""
    from inctrl.inspector import Inspector

    options = dict(_pair(text) for text in args.option)
    return Inspector.load(
        args.backbone or recorded.get("backbone"),
        detector=args.detector or recorded.get("detector"),
        adapter=args.adapter or recorded.get("adapter"),
        domain=args.domain,
        options=options or recorded.get("options"),
        fit=args.fit or recorded.get("fit"),
        alpha=0.05 if args.alpha is None else args.alpha,
        image_size=recorded.get("image_size") if args.image_size is None else args.image_size,
        layers=args.layers or recorded.get("layers"),
        device=args.device,
        cache=args.cache,
        batch=args.batch,
        allow_network=args.allow_network,
    )


def _made_with(folder: Path) -> dict[str, Any]:
    from inctrl.contexts import read_index

    card: dict[str, Any] = read_index(folder)["card"]
    return card


def _normals(args: argparse.Namespace) -> "Iterable[Input]":
    from inctrl.data.fewshot import read_fewshot_list
    from inctrl.data.folders import expand

    for path in expand(args.normal or [], recursive=args.recursive):
        if path.suffix == ".pt":
            yield from read_fewshot_list(path)
        else:
            yield path


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"--option {text!r} is not KEY=VALUE")
    return key.strip(), value.strip()


def _out(chosen: Path | None) -> Path:
    """The folder asked for, or the next free runs/detect-N."""
    if chosen:
        return chosen
    number = 1
    while True:
        folder = DEFAULT_OUT.with_name(f"{DEFAULT_OUT.name}-{number}")
        if not folder.exists() and not folder.with_name(f"{folder.name}.partial").exists():
            return folder
        number += 1


def _run_info(fitted: "FittedInspector", seconds: float) -> "RunInfo":
    from inctrl.reporting import RunInfo, Scale

    calibration = fitted.calibration
    return RunInfo(
        card=fitted.card,
        alpha=calibration.alpha,
        method=calibration.method,
        limit_words=calibration.limit_words,
        calibration_scores=calibration.scores,
        threshold=calibration.threshold,
        p_floor=calibration.p_floor,
        scale=Scale(calibration.map_low, calibration.pixel_limit, calibration.map_high),
        shot_images=fitted.shots,
        warnings=calibration.warnings,
        seconds=seconds,
        started=datetime.now().astimezone().isoformat(timespec="seconds"),
    )


def _with_progress(
    outcomes: "Iterator[Result | Failure]", total: int, quiet: bool
) -> "Iterator[Result | Failure]":
    """A progress bar on stderr where a person watches, nothing elsewhere."""
    if quiet or not sys.stderr.isatty():
        yield from outcomes
        return
    from rich.console import Console
    from rich.progress import track

    yield from track(outcomes, "inspecting", total=total, console=Console(stderr=True))


def _tell(outcome: "Result | Failure", as_json: bool) -> None:
    """One line for each query on stdout: verdict, score, limit, p-value, name."""
    from inctrl.reporting.words import printable
    from inctrl.types import Failure

    if isinstance(outcome, Failure):
        sys.stderr.write(f"inctrl: {outcome.error}\n")
        line = f"unreadable  {'':29}  {printable(outcome.name)}\n"
    else:
        limit = f"limit {_figure(outcome.threshold)}  p {outcome.p_value:.3f}"
        if not math.isfinite(outcome.threshold):
            limit = "no limit"
        numbers = f"{_figure(outcome.score):>8}  {limit:21}"
        line = f"{outcome.verdict:10}  {numbers:29}  {printable(outcome.name)}\n"
    if not as_json:
        say(line)


def _figure(score: float) -> str:
    """Distances of some detectors run to thousands, residuals lie below one."""
    return f"{score:.4f}" if abs(score) < 100 else f"{score:.1f}"
