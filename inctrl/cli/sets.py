"""`inctrl sets`: normal sets that last, by name and version.

`bottle` is the latest version of a set, `bottle@2` its second. A version never changes; adding or
dropping images makes the next one.
"""

import argparse
import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inctrl.cli.options import add_command
from inctrl.cli.output import say
from inctrl.cli.sets_shown import (
    SHOWN_DIGITS,
    headline,
    opened,
    run_diff,
    run_list,
    run_show,
    seen_words,
)
from inctrl.errors import InvalidFile, NotStored, UnreadableImage, UsageError
from inctrl.registry import meant

if TYPE_CHECKING:
    from inctrl.frames import Frame
    from inctrl.images import Picture
    from inctrl.store import SetVersion
    from inctrl.views import Orientation, Tiles

EXAMPLES = """examples:
  inctrl sets add bottle good1.png good2.png good3.png good4.png --item "bottle cap"
  inctrl sets show bottle
  inctrl sets drop bottle good3.png
  inctrl sets change bottle --orientation any --tiles 4    # from now on
  inctrl sets diff bottle 1 2
  inctrl sets export bottle bottle.zip
"""


def register(commands: "argparse._SubParsersAction[Any]") -> None:
    parser = commands.add_parser(
        "sets",
        help="normal sets that last: add, change, list, show, diff, verify, export, import, remove",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, (run, words, arguments) in ACTIONS.items():
        taken = {argument: ARGUMENTS[argument] for argument in (*arguments, "--store")}
        add_command(actions, name, run, words, f"{words.capitalize()}.", arguments=taken)


def run_add(args: argparse.Namespace) -> int:
    from inctrl.data.folders import expand
    from inctrl.frames import frame_of
    from inctrl.store import parse_name
    from inctrl.views import Views

    name, (orientation, tiles) = parse_name(args.name), _seen(args)
    pictures = _Pictures(expand(args.paths, recursive=args.recursive), frame_of(args.frame))
    with opened(args, make=True) as store:
        before = None
        with contextlib.suppress(NotStored):
            before = store.sets.get(name)
        if before is None:
            try:
                version = store.sets.create(
                    name,
                    pictures,
                    item=args.item or "object",
                    note=args.note,
                    views=Views(orientation or "fixed", tiles or 1),
                )
            except UsageError:
                if pictures.unreadable and not pictures.read:
                    reason = f"no image can be read; set {name!r} was not made"
                    raise UnreadableImage(reason) from None
                raise
        elif args.item is not None and args.item != before.item:
            raise UsageError(f"set {name!r} shows {before.item!r}, which stays so; omit --item")
        elif Views(orientation or before.orientation, tiles or before.tiles) != before.views:
            raise UsageError(
                f"set {name!r} has --orientation {before.orientation} and --tiles {before.tiles}; "
                f"omit both, and use `inctrl sets change {name}`"
            )
        else:
            version = store.sets.add(name, pictures, note=args.note)
    known = {shot.sha256 for shot in before.shots} if before else set()
    new = sum(shot.sha256 not in known for shot in version.shots)
    say(f"{headline(version)} ({new} new)\n")
    return 4 if pictures.unreadable else 0


def _seen(args: argparse.Namespace) -> "tuple[Orientation | None, Tiles | None]":
    """What was said of how a set is seen."""
    from inctrl.views import tiles_of

    return args.orientation, None if args.tiles is None else tiles_of(args.tiles)


class _Pictures:
    """The images of files, read one by one; those that cannot be read are named and left out."""

    def __init__(self, paths: list[Path], frame: "Frame") -> None:
        self._paths, self._frame = paths, frame
        self.read = 0
        self.unreadable = 0

    def __iter__(self) -> "Iterator[Picture]":
        from inctrl.frames import frames

        for path in self._paths:
            for one in frames(path, frame=self._frame):
                if isinstance(one, UnreadableImage):
                    sys.stderr.write(f"inctrl: left out: {one}\n")
                    self.unreadable += 1
                else:
                    self.read += 1
                    yield one


def run_change(args: argparse.Namespace) -> int:
    orientation, tiles = _seen(args)
    if orientation is None and tiles is None:
        raise UsageError("nothing to change; give --orientation or --tiles")
    with opened(args) as store:
        version = store.sets.change(args.name, orientation=orientation, tiles=tiles, note=args.note)
    say(f"{headline(version)}{seen_words(version.views)}\n")
    return 0


def run_drop(args: argparse.Namespace) -> int:
    with opened(args) as store:
        latest = store.sets.get(args.name)
        gone = {_found(latest, text) for text in args.shots}
        version = store.sets.drop(args.name, gone, note=args.note, base=latest.version)
    say(f"{headline(version)} ({len(gone)} dropped)\n")
    return 0


def _found(version: "SetVersion", text: str) -> str:
    """The shot of this name, or whose hash begins so."""
    found = {shot.sha256 for shot in version.shots if shot.name == text}
    if not found and len(text) >= 6:
        found = {shot.sha256 for shot in version.shots if shot.sha256.startswith(text)}
    if not found:
        near = meant(text, (shot.name for shot in version.shots))
        raise NotStored(f"'{version.name}@{version.version}' has no shot {text!a}{near}")
    if len(found) > 1:
        hashes = " ".join(sorted(sha256[:SHOWN_DIGITS] for sha256 in found))
        raise UsageError(f"{text!a} is the name of several shots; give one of {hashes}")
    return found.pop()


def run_verify(args: argparse.Namespace) -> int:
    from inctrl.store.verify import orphans, verify

    with opened(args) as store:
        findings = verify(store)
        for finding in findings:
            say(f"{finding.kind}\t{finding.what}\t{finding.detail}\n")
        unused = 0 if findings else len(orphans(store))
    if findings:
        sys.stderr.write(f"inctrl: {len(findings)} findings in {store.folder}\n")
        return InvalidFile.exit_code
    rest = f"; {unused} unused files, which are no fault and go in time" if unused else ""
    say(f"clean: {store.folder}{rest}\n")
    return 0


def run_export(args: argparse.Namespace) -> int:
    from inctrl.store.transfer import export_set

    with opened(args) as store:
        export_set(store, args.name, args.file, overwrite=args.overwrite)
    say(f"{args.file}\n")
    return 0


def run_import(args: argparse.Namespace) -> int:
    from inctrl.store.transfer import import_set

    with opened(args, make=True) as store:
        version = import_set(store, args.file, name=args.name)
    say(f"{headline(version)}\n")
    return 0


def run_remove(args: argparse.Namespace) -> int:
    with opened(args) as store:
        latest = store.sets.get(args.name)
        if not args.yes:
            raise UsageError(
                f"this would remove {args.name!r} with all its versions up to {latest.version}; "
                "say so with --yes"
            )
        store.sets.remove(args.name)
        store.sweep()
    say(f"removed {args.name}\n")
    return 0


ARGUMENTS: dict[str, dict[str, Any]] = {
    "reference": {"metavar": "NAME[@V]", "help": "a set, or one version of it"},
    "name": {"metavar": "NAME", "help": "the name of the set"},
    "paths": {"nargs": "+", "metavar": "PATH", "help": "normal images, or folders"},
    "shots": {"nargs": "+", "metavar": "SHOT", "help": "name, or start of its hash"},
    "a": {"type": int, "metavar": "A", "help": "the version before"},
    "b": {"type": int, "metavar": "B", "help": "the version after"},
    "file": {"type": Path, "metavar": "FILE.zip", "help": "the exported file"},
    "--item": {"help": "what a new set shows, in words (default: object)"},
    "--orientation": {
        "choices": ("fixed", "any"),
        "help": "any: the parts lie any way round (default of a new set: fixed)",
    },
    "--tiles": {
        "metavar": "N|auto",
        "help": "see images in N tiles along the longer side (default of a new set: 1)",
    },
    "--recursive": {"action": "store_true", "help": "folders with subfolders"},
    "--frame": {"default": "all", "metavar": "N|first|all", "help": "of stacks (default: all)"},
    "--note": {"default": "", "help": "kept with the version"},
    "--json": {"action": "store_true", "help": "print JSON"},
    "--overwrite": {"action": "store_true", "help": "replace the file"},
    "--name": {"help": "import it under another name"},
    "--yes": {"action": "store_true", "help": "really remove it"},
    "--store": {"metavar": "DIR", "help": "the store (default: INCTRL_STORE, else user data)"},
}
SEEN = ("--orientation", "--tiles")
ACTIONS: dict[str, tuple[Callable[[argparse.Namespace], int], str, tuple[str, ...]]] = {
    "add": (
        run_add,
        "make a set of images, or add images to it",
        ("name", "paths", "--item", *SEEN, "--recursive", "--frame", "--note"),
    ),
    "change": (
        run_change,
        "make a version of the same images that is seen in another way",
        ("name", *SEEN, "--note"),
    ),
    "drop": (run_drop, "make a version without some of the images", ("name", "shots", "--note")),
    "list": (run_list, "list the sets", ("--json",)),
    "show": (
        run_show,
        "show the images of a version and what was said of it",
        ("reference", "--json"),
    ),
    "diff": (
        run_diff,
        "tell what one version has and another has not",
        ("name", "a", "b", "--json"),
    ),
    "verify": (run_verify, "check every hash and reference; exit code 5 on damage", ()),
    "export": (
        run_export,
        "write a set with all its versions to a zip file",
        ("name", "file", "--overwrite"),
    ),
    "import": (run_import, "take in what `inctrl sets export` wrote", ("file", "--name")),
    "remove": (run_remove, "remove a set with all its versions", ("name", "--yes")),
}
