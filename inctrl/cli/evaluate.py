"""`inctrl evaluate`: detectors x categories x shots x seeds, as tables and a page.

Shots are drawn from normal training images alone and limits are set from the shots alone. Every
finished cell is kept in OUT, so that the same command goes on where it was stopped, and one with
a detector more computes that detector alone. A spec of a detector is NAME[:KEY=VALUE,...], and
@BACKBONE behind it gives it a backbone of its own.
"""

import argparse
import io
import json
import logging
import math
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inctrl.cli.evaluate_options import (
    add_contender_options,
    add_data_options,
    add_output_options,
)
from inctrl.cli.options import add_backbone_options, add_command, backbone_arguments
from inctrl.cli.output import next_free, say, say_json
from inctrl.cli.progress import tracked
from inctrl.errors import InctrlError, UsageError

if TYPE_CHECKING:
    from inctrl.backbones.cache import FeatureCache
    from inctrl.backbones.features import Tally
    from inctrl.evaluation.content import Content
    from inctrl.evaluation.features import SharedFeatures
    from inctrl.evaluation.plan import Plan
    from inctrl.evaluation.results import Evaluation
    from inctrl.evaluation.run import Run
    from inctrl.inspection.fitted import FittedInspector
    from inctrl.types import Result

logger = logging.getLogger("inctrl")
EXAMPLES = """examples:
  inctrl evaluate --data sets/mvtec --detector incontext patchcore --shots 1 2 4 8 --seeds 5
  inctrl evaluate --data visa:sets/VisA --only candle --detector patchcore:keep_shots=0
  inctrl evaluate --data sets/mvtec --adapter my-adapter --protocol inctrl --out runs/paper
  inctrl evaluate --data sets/scans --group-by 'patient(\\d+)' --shots 4
  inctrl evaluate --data sets/mvtec --detector incontext --audit    # does anything leak?
"""
DEFAULT_OUT = Path("runs", "evaluate")
FILES = ("results.json", "results.csv", "shots.json", "report.html", "timings.json")
THUMBNAIL = 240
"""Long side in pixels of an example's picture."""


def register(commands: "argparse._SubParsersAction[Any]") -> None:
    add_command(
        commands,
        "evaluate",
        run,
        "measure detectors on labelled data",
        __doc__,
        add_data_options,
        add_contender_options,
        add_output_options,
        add_backbone_options,
        examples=EXAMPLES,
    )


def run(args: argparse.Namespace) -> int:
    from inctrl.backbones.features import Tally
    from inctrl.cli.evaluate_output import watching
    from inctrl.evaluation.content import Reader
    from inctrl.evaluation.features import SharedFeatures
    from inctrl.evaluation.kept import Kept
    from inctrl.evaluation.leaks import learned, refuse_leaks
    from inctrl.evaluation.run import Run, evaluate, mask_notes
    from inctrl.evaluation.timings import Timings

    if args.audit and args.json:
        raise UsageError("--audit writes no results.json that --json could print; leave one out")
    kept = Kept(args.out or next_free(DEFAULT_OUT), FILES)
    if not args.audit:
        kept.check()
    features, tally, read = SharedFeatures(_cache(args)), Tally(), Reader()
    plan = _plan(args, features, tally)
    contents = []
    # Without a bar: a person reads the lines.
    for category in tracked(plan.categories, len(plan.categories), "reading", quiet=True):
        _tell(args, f"reading {category.dataset}/{category.name}")
        contents.append(read(category, plan.drawn(category)))
    refuse_leaks(plan, contents)
    _warn(mask_notes(plan, contents))
    _warn_of_learned(learned(plan, contents))
    if args.audit:
        return _audit(args, plan, tuple(contents), features)
    kept.open()
    _tell_replaced(args, plan, kept.out)
    _tell(args, f"writing {kept.out}; if this is stopped, --out {kept.out} goes on there")
    with watching(plan, args.quiet) as watch:
        work = Run(plan, tuple(contents), kept, features, tally, draw, watch, Timings())
        _warn_of_small_cache(args, work)
        evaluation = evaluate(work)
    features.prune()
    _write(work, evaluation)
    _tell_end(args, work, evaluation)
    if watch.faults:
        sys.stderr.write(f"inctrl: {len(watch.faults)} failed and are n/a: {watch.faults[0]}\n")
    return 4 if watch.faults else 0


def _plan(args: argparse.Namespace, features: "SharedFeatures", tally: "Tally") -> "Plan":
    from inctrl.data.sources import find_data
    from inctrl.evaluation.contenders import adapter_spec, load_entrants, read_spec
    from inctrl.evaluation.plan import Plan, chosen, shots_of
    from inctrl.views import Views, orientation_of, tiles_of

    tiles = 1 if args.tiles is None else tiles_of(args.tiles)
    views = Views(orientation_of(args.orientation or "fixed"), tiles)
    shots, seeds = shots_of(args.protocol, args.shots), tuple(range(args.seeds))
    specs = [read_spec(text) for text in args.detector] + [adapter_spec(n) for n in args.adapter]
    found = [find_data(spec) for spec in args.data]
    left_out = tuple(line for one in found for line in one.warnings)
    _warn(left_out)
    categories = chosen([c for one in found for c in one.categories], args.only, args.exclude)
    entrants = load_entrants(
        specs or [read_spec("incontext")],
        features,
        tally,
        domain=args.domain,
        alpha=args.alpha,
        views=views,
        **backbone_arguments(args),
    )
    return Plan(
        entrants, categories, shots, seeds, args.alpha, args.group_by, args.protocol, left_out
    )


def _cache(args: argparse.Namespace) -> "FeatureCache | None":
    from inctrl.backbones.cache import open_cache

    if not 0 < args.cache_size < math.inf:  # false for nan
        raise UsageError(
            f"--cache-size {args.cache_size:g} is not a size above 0; --cache off keeps none"
        )
    return open_cache(args.cache, limit=int(args.cache_size * 1024**3))


def _audit(
    args: argparse.Namespace,
    plan: "Plan",
    contents: "tuple[Content, ...]",
    features: "SharedFeatures",
) -> int:
    from inctrl.cli.evaluate_output import audit_line
    from inctrl.evaluation.audit import audit

    findings = []
    for finding in audit(plan, contents, features):
        findings.append(finding)
        say(audit_line(finding))
    failed = [finding for finding in findings if not finding.passed]
    if failed:
        raise InctrlError(
            f"audit failed: {len(failed)} of {len(findings)} checks; scores depend on more than "
            "the shots and the query"
        )
    _tell(args, f"audit passed: {len(findings)} checks")
    return 0


def _tell_end(args: argparse.Namespace, work: "Run", evaluation: "Evaluation") -> None:
    from inctrl.cli.evaluate_output import summary
    from inctrl.reporting.words import printable

    out, tally = work.kept.out, work.tally
    if args.json:
        say_json(json.loads((out / "results.json").read_bytes()))
    else:
        say(f"{summary(evaluation)}\nreport: {printable(str(out / 'report.html'))}\n")
    _tell(args, f"encoded {tally.encoded} images, {tally.cached} remembered")
    if len(evaluation.machines) > 1:
        logger.warning(
            "cells were computed on different machines or numbers of threads, between which scores "
            "differ by up to 1e-6: %s",
            printable("; ".join(evaluation.machines)),
        )


def _warn(lines: Iterable[str]) -> None:
    from inctrl.reporting.words import printable

    for line in lines:
        logger.warning("%s", printable(line))


def _warn_of_learned(notes: list[str]) -> None:
    """In one line, however many categories an adapter has seen; the notes name all."""
    from inctrl.reporting.words import printable

    if notes:
        more = f" (and {len(notes) - 1} more, see the notes)" if len(notes) > 1 else ""
        logger.warning("%s%s", printable(notes[0]), more)


def _tell_replaced(args: argparse.Namespace, plan: "Plan", out: Path) -> None:
    """Cells of a former evaluation stay; what it came to is written over."""
    from inctrl.evaluation.plan import FEW

    file = out / "results.json"
    try:
        lacks = plan.lacks(json.loads(file.read_bytes()))
    except (OSError, ValueError, KeyError, TypeError):
        return  # there are none that can be read
    if lacks:
        told = ", ".join(lacks[:FEW]) + (", ..." if len(lacks) > FEW else "")
        said = "results of a former evaluation with other options are replaced"
        _tell(args, f"{file}: {said} ({told})")


def _warn_of_small_cache(args: argparse.Namespace, work: "Run") -> None:
    """A cache that cannot hold all features would make a second run encode them again."""
    from inctrl.evaluation.features import bytes_needed
    from inctrl.evaluation.run import waiting

    todo = waiting(work)
    if not todo or not work.features.on_disk:
        return
    needed = bytes_needed(todo, work.plan.categories, lambda c: len(work.plan.drawn(c)))
    if needed > args.cache_size * 1024**3:
        size = needed / 1024**3
        logger.warning(
            "features come to about %.1f GB and --cache-size is %g: a second run would encode "
            "images again; give --cache-size %.0f",
            size,
            args.cache_size,
            math.ceil(1.2 * size),
        )


def _write(work: "Run", evaluation: "Evaluation") -> None:
    from inctrl.evaluation.documents import shots_json, to_csv, to_json
    from inctrl.reporting.evaluation import render

    former = work.kept.out / "timings.json"
    spent = work.timings.to_json(work.tally, former.read_bytes() if former.is_file() else None)
    work.kept.finish(
        {
            "results.json": to_json(evaluation),
            "results.csv": to_csv(evaluation),
            "shots.json": shots_json(evaluation),
            "report.html": render(evaluation).encode("utf-8", "backslashreplace"),
            "timings.json": spent,
        }
    )


def draw(result: "Result", fitted: "FittedInspector") -> bytes:
    """The overlay of a result as a small PNG, in the colours of its calibration."""
    from inctrl.reporting import Scale, overlay

    stream = io.BytesIO()
    overlay(result, Scale.of(fitted.calibration), THUMBNAIL).save(stream, "PNG", compress_level=9)
    return stream.getvalue()


def _tell(args: argparse.Namespace, line: str) -> None:
    from inctrl.reporting.words import printable

    if not args.quiet:
        sys.stderr.write(f"{printable(line)}\n")
