"""`inctrl serve`: normal sets, detection and jobs over HTTP, with a page to use them.

On this machine alone (127.0.0.1) nobody is asked for a token. Any other --host wants a file of
hashed tokens (--token-file; `--new-token` makes one) and the names it is called by (--allow-host).
Nothing is fetched from elsewhere, and nothing is sent there.
"""

import argparse
import logging
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inctrl.cli.options import add_backbone_options, add_command, add_several
from inctrl.cli.output import say
from inctrl.errors import UsageError
from inctrl.resources import DEFAULT_BACKBONE

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastapi import FastAPI

    from inctrl.service.http.limits import Limits
    from inctrl.service.settings import Settings

EXAMPLES = """examples:
  inctrl serve                                        # http://127.0.0.1:8000
  inctrl serve --data-root /data/sets --store /data/inctrl
  inctrl serve --new-token tokens.txt                 # prints a token once, keeps its hash
  inctrl serve --host 0.0.0.0 --token-file tokens.txt --allow-host inspect.example
"""


def register(commands: "argparse._SubParsersAction[Any]") -> None:
    add_command(
        commands,
        "serve",
        run,
        "the same as a service: REST and a page",
        __doc__,
        _add_network_options,
        _add_work_options,
        add_backbone_options,
        examples=EXAMPLES,
    )


def _add_network_options(parser: argparse.ArgumentParser) -> None:
    where = parser.add_argument_group("where")
    where.add_argument("--host", default="127.0.0.1", help="address (default: 127.0.0.1)")
    where.add_argument("--port", type=int, default=8000, help="default: 8000; 0: any free one")
    words = "names by which the service is called, besides localhost and --host"
    add_several(where, "--allow-host", "NAME", words)
    add_several(where, "--allow-origin", "URL", "pages elsewhere that may call it")
    where.add_argument("--token-file", type=Path, metavar="FILE", help="hashed tokens")
    where.add_argument(
        "--new-token", type=Path, metavar="FILE", help="add a token to a file, print it, and end"
    )
    where.add_argument("--no-page", action="store_true", help="the REST API alone")
    kept = parser.add_argument_group("what is kept")
    kept.add_argument("--store", type=Path, metavar="DIR", help="default: the user's data folder")
    kept.add_argument(
        "--data-root", type=Path, metavar="DIR", help="data sets for jobs; default: no jobs"
    )
    kept.add_argument("--no-history", action="store_true", help="keep no scores")
    kept.add_argument(
        "--keep-days", type=float, default=365.0, help="scores are kept so long (default: 365)"
    )


def _add_work_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("detection")
    group.add_argument("--detector", default="incontext", help="default: incontext")
    group.add_argument("--adapter", metavar="NAME", help="a trained adapter, by name")
    group.add_argument("--alpha", type=float, default=0.05, help="default: 0.05")
    group.add_argument(
        "--batch", type=int, help="most images at a time (default: 8 on a GPU, 1 on a CPU)"
    )
    group.add_argument(
        "--threads", type=int, metavar="N", help="of the model's arithmetic (default: torch's)"
    )
    group.add_argument(
        "--deadline",
        type=float,
        metavar="S",
        help="seconds in which a request is answered or refused (default: 10)",
    )
    group.add_argument(
        "--queue", type=int, metavar="N", help="most requests under way (default: 32)"
    )


def run(args: argparse.Namespace) -> int:
    if args.new_token:
        from inctrl.service.http.tokens import write_token_file

        say(f"{write_token_file(args.new_token)}\n")
        return 0
    from inctrl.service.server import serve

    settings = _settings(args)
    add_page: Callable[[FastAPI], object] = lambda _: None  # noqa: E731
    if not args.no_page:
        from inctrl.page import mount

        add_page = mount
    _log_requests(args.quiet)
    return serve(
        settings,
        add_page=add_page,
        say=lambda line: None if args.quiet else sys.stderr.write(f"{line}\n"),
    )


def _settings(args: argparse.Namespace) -> "Settings":
    from inctrl.service.settings import LOOPBACK, Settings

    if not 0 <= args.port < 65536:
        raise UsageError(f"--port {args.port} is not in 0..65535")
    if args.adapter and Path(args.adapter).name != args.adapter:
        raise UsageError(f"--adapter {args.adapter!r} is not a name; import the folder first")
    if args.data_root and not args.data_root.is_dir():
        raise UsageError(f"--data-root {str(args.data_root)!r} is not a folder")
    if args.keep_days <= 0:
        raise UsageError(f"--keep-days {args.keep_days:g} is not positive; see --no-history")
    return Settings(
        store=args.store,
        data_root=args.data_root,
        host=args.host,
        port=args.port,
        hosts=(*LOOPBACK, *args.allow_host),
        origins=tuple(args.allow_origin),
        tokens=args.token_file,
        backbone=args.backbone or DEFAULT_BACKBONE,
        detector=args.detector,
        adapter=args.adapter,
        image_size=args.image_size,
        precision=args.precision,
        device=args.device,
        alpha=args.alpha,
        batch=_usual_batch(args.device) if args.batch is None else args.batch,
        allow_network=args.allow_network,
        history=not args.no_history,
        keep_days=args.keep_days,
        threads=args.threads,
        limits=_limits(args),
    )


def _usual_batch(device: str) -> int:
    """On a CPU a batch of 8 took longer an image than one by one (docs/service.md)."""
    from inctrl.backbones.weights import resolved_device

    return 1 if resolved_device(device).type == "cpu" else 8


def _limits(args: argparse.Namespace) -> "Limits":
    from inctrl.service.http.limits import Limits

    limits = Limits()
    if args.deadline is not None:
        if not 0 < args.deadline <= limits.longest_deadline:
            raise UsageError(f"--deadline {args.deadline:g} is not in (0, 60] seconds")
        limits = replace(limits, deadline=args.deadline)
    if args.queue is not None:
        if args.queue < 1:
            raise UsageError(f"--queue {args.queue} is not a positive number")
        limits = replace(limits, queue=args.queue)
    return limits


def _log_requests(quiet: bool) -> None:
    """A line of JSON on stderr for each request."""
    access = logging.getLogger("inctrl.access")
    access.propagate = False
    access.handlers = [] if quiet else [logging.StreamHandler(sys.stderr)]
    access.setLevel(logging.CRITICAL if quiet else logging.INFO)
