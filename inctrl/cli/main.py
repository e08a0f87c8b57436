"""The command `inctrl`: parse, run, and end with the exit code that tells what happened.

0 done | 1 a bug, or a failed --audit | 2 usage | 3 anomaly found with --fail-on
4 some inputs unreadable, or a detector of an evaluation failed
5 model or data absent, or a file or store damaged | 6 conflict, or busy
7 no space or memory, or output not writable
130, 143 interrupted
"""

import argparse
import errno
import logging
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Mapping, Sequence
from types import FrameType
from typing import NoReturn

from inctrl.cli import (
    adapters,
    backbones,
    data,
    detect,
    detectors,
    doctor,
    evaluate,
    serve,
    sets,
    train,
)
from inctrl.cli.options import apply_settings
from inctrl.cli.output import flush_streams, prepare_streams
from inctrl.cli.parsing import Parser
from inctrl.cli.progress import Warnings
from inctrl.errors import Fix, InctrlError
from inctrl.version import __version__

COMMANDS = (detect, evaluate, train, serve, sets, data, detectors, adapters, backbones, doctor)
EPILOG = """`inctrl COMMAND --help` explains a command. No network is used unless it is allowed.

exit codes: 0 done, 1 a bug or a failed --audit, 2 usage, 3 anomaly found with --fail-on, 4 some
inputs unreadable or a detector of an evaluation failed, 5 model or data absent or damaged,
6 context or adapter of another backbone, or something in use, 7 disk or memory, 128+n signal
"""

FIXES: Mapping[Fix, str] = {
    "name an adapter": "give --adapter NAME (`inctrl adapters list` shows them, `inctrl train` "
    "makes them)",
    "leave the adapter out": "leave --adapter out",
    "give normals": "give --normal IMAGE... (detectors 'zeroshot' and 'winclip' need none)",
    "allow the network": "or let it be fetched with --allow-network",
    "use another cache": "give another with --cache DIR, or --cache off",
    "read subfolders": "subfolders are read with --recursive",
    "use another store": "choose another --store DIR",
    "name a store": "give --store DIR, or set INCTRL_STORE",
    "name a folder": "set INCTRL_ADAPTERS to a folder",
    "overwrite": "choose another file, or --overwrite",
}
"""What somebody at a command line can do about an error."""


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands; building it imports no torch, so that --help is quick."""
    parser = Parser(
        prog="inctrl",
        description="Few-shot visual anomaly detection: k normal images in, verdicts out.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"inctrl {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.register(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run a command and end the process with its exit code."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _on_terminate)
    prepare_streams()
    try:
        code = run(list(sys.argv[1:] if argv is None else argv))
    finally:
        flush_streams()
    # All files are closed and renamed by now. Taking torch apart module by module would add about
    # a second to every command, so the process ends here.
    logging.shutdown()
    os._exit(code)


def run(argv: list[str]) -> int:
    """Run a command; every expected failure is one line on stderr and an exit code.

    Below the line comes the error's `detail`, where it has one.
    """
    verbose = "-v" in argv or "--verbose" in argv
    try:
        parser = build_parser()
        apply_settings(parser, argv)
        args = parser.parse_args(train.completed(argv))
        _configure_logging(args)
        code: int = args.run(args)
        return code
    except InctrlError as error:
        message = f"{error}; {FIXES[error.fix]}" if error.fix else str(error)
        return _fail(message, error.exit_code, verbose, error.detail)
    except KeyboardInterrupt:
        return _fail("interrupted; nothing half-written was left", 130, verbose)
    except MemoryError:
        return _fail("out of memory; use a smaller --batch or smaller images", 7, verbose)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        return _fail(f"{error.strerror or error}", 7 if full else 1, verbose)
    except Exception as error:  # a bug: say so in one line, with the way to the details
        name = type(error).__name__
        hint = "" if verbose else " (run again with -v for the traceback, and please report it)"
        return _fail(f"bug: {name}: {error}{hint}", 1, verbose)


def _fail(message: str, code: int, verbose: bool, detail: str = "") -> int:
    if verbose:
        traceback.print_exc()
    print(f"inctrl: {' '.join(message.split())}", file=sys.stderr)  # noqa: T201
    if detail:
        print(detail, file=sys.stderr)  # noqa: T201
    return code


def _configure_logging(args: argparse.Namespace) -> None:
    """Warnings of the package go to stderr, one line each; with --quiet nobody's do."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    logger = logging.getLogger("inctrl")
    logger.handlers = [handler, Warnings()]
    logger.propagate = False
    quiet, verbose = getattr(args, "quiet", False), getattr(args, "verbose", False)
    if quiet:
        warnings.simplefilter("ignore")
    logger.setLevel(logging.ERROR if quiet else logging.DEBUG if verbose else logging.WARNING)


def _on_terminate(number: int, _frame: FrameType | None) -> None:
    """A signal unwinds like an exception, so that half-written folders are removed."""
    raise SystemExit(128 + number)
