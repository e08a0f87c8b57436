"""`inctrl sets list|show|diff`: what a store holds, in words and as JSON."""

import argparse
import sys
from typing import TYPE_CHECKING, Any

from inctrl.cli.output import say, say_json
from inctrl.errors import NotStored

if TYPE_CHECKING:
    from inctrl.store import SetVersion, Shot, Store, Summary
    from inctrl.views import Views

SHOWN_DIGITS = 12


def run_list(args: argparse.Namespace) -> int:
    summaries: list[Summary] = []
    try:
        with opened(args) as store:
            while page := store.sets.list(summaries[-1].name if summaries else ""):
                summaries += page
        empty = "no sets in this store; `inctrl sets add` makes one"
    except NotStored as error:  # no store: no sets
        if args.store:
            raise
        empty = str(error)
    if args.json:
        _print_json({"sets": summaries})
        return 0
    for s in summaries:
        about = f"{s.name}@{s.version}\t{shots_words(s.shots)}\t{s.item}\tchanged {s.changed}"
        say(f"{about}{seen_words(s.views)}\n")
    if not summaries and not args.quiet:
        sys.stderr.write(f"{empty}\n")
    return 0


def run_show(args: argparse.Namespace) -> int:
    from inctrl.store import parse_reference

    name, number = parse_reference(args.reference)
    with opened(args) as store:
        version = store.sets.get(name, number)
        versions = [v.version for v in store.sets.versions(name)]
        feedback = store.feedback.list(name)
    if args.json:
        _print_json({**vars(version), "versions": versions, "feedback": feedback})
        return 0
    say(f"{headline(version)} of {version.item}\n")
    say(f"made     {version.created} by {version.origin}\n")
    if version.note:
        say(f"note     {version.note}\n")
    if version.views.words:
        say(f"seen     {version.views.words}\n")
    say(f"digest   {version.digest}\n")
    say(f"versions {versions[0]} to {versions[-1]}\n")
    for shot in version.shots:
        say(f"  {_line(shot)}\n")
    for row in feedback:
        about = row.shot.name if row.shot else f"@{row.version_before} -> @{row.version_after}"
        undone = f", undone {row.undone}" if row.undone else ""
        say(f"{row.kind.replace('_', ' ')} {row.id}  {row.created}  {about}{undone}\n")
    return 0


def run_diff(args: argparse.Namespace) -> int:
    with opened(args) as store:
        difference = store.sets.diff(args.name, args.a, args.b)
    if args.json:
        _print_json({"name": args.name, "a": args.a, "b": args.b, **vars(difference)})
        return 0
    for sign, shots in (("+", difference.added), ("-", difference.removed)):
        for shot in shots:
            say(f"{sign} {_line(shot)}\n")
    say(f"{shots_words(len(difference.kept))} in both\n")
    return 0


def opened(args: argparse.Namespace, *, make: bool = False) -> "Store":
    from inctrl.store import open_store

    return open_store(args.store, make=make)


def headline(version: "SetVersion") -> str:
    return f"{version.name}@{version.version}: {shots_words(len(version.shots))}"


def shots_words(count: int) -> str:
    return f"{count} {'shot' if count == 1 else 'shots'}"


def seen_words(views: "Views") -> str:
    """How a set is seen, behind what else is said of it; nothing where that is the usual way."""
    return f"\t{views.brief}" if views.brief else ""


def _line(shot: "Shot") -> str:
    return f"{shot.sha256[:SHOWN_DIGITS]}  {shot.width} x {shot.height}  {shot.name}"


def _print_json(content: dict[str, Any]) -> None:
    from inctrl.files.plain import plain

    say_json(plain({"schema": "inctrl/sets/1", **content}))
