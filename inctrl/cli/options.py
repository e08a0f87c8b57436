"""Options that several commands share, and their defaults.

A default may come from a TOML file (`--config`) or from `INCTRL_*`: flag > environment > file.
"""

import argparse
import math
import os
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from inctrl.errors import UsageError
from inctrl.files.text import read_text
from inctrl.registry import unknown

SETTINGS = ("backbone", "device", "cache", "alpha", "batch", "fit", "image_size")
"""Options that may be set once for all runs."""
NONE: Mapping[str, Mapping[str, Any]] = {}


def add_command(
    commands: "argparse._SubParsersAction[Any]",
    name: str,
    run: Callable[[argparse.Namespace], int],
    help: str,
    description: str | None,
    *options: Callable[[argparse.ArgumentParser], None],
    arguments: Mapping[str, Mapping[str, Any]] = NONE,
    examples: str = "",
) -> None:
    """A command with options, in their order, then arguments by name, and examples below."""
    parser = commands.add_parser(
        name,
        help=help,
        description=description,
        epilog=examples or None,
        formatter_class=argparse.RawDescriptionHelpFormatter
        if examples
        else argparse.HelpFormatter,
        allow_abbrev=False,  # `--conf` would be taken for --config, and then not be read
    )
    for add in options:
        add(parser)
    for argument, how in arguments.items():
        parser.add_argument(argument, **how)
    parser.add_argument("--config", type=Path, metavar="FILE", help="TOML file with defaults")
    parser.add_argument(
        "-q", "--quiet", action="store_true", help="print errors only, no progress, no warnings"
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="tracebacks and details")
    parser.set_defaults(run=run)


def add_several(
    group: argparse._ActionsContainer, flag: str, metavar: str, help: str, required: bool = False
) -> None:
    """An option that takes one value or more, and may be given again for further ones."""
    group.add_argument(
        flag,
        nargs="+",
        action="extend",
        default=[],
        metavar=metavar,
        help=help,
        required=required,
    )


def add_backbone_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("model")
    group.add_argument(
        "--backbone",
        metavar="NAME",
        help="tiny (default), openclip:MODEL/TAG|FILE, hf:FOLDER|NAME or cnn:NAME/TAG|FILE; "
        "`inctrl backbones` lists what is at hand",
    )
    group.add_argument("--image-size", type=int, metavar="PX", help="side the backbone sees")
    group.add_argument(
        "--layers", type=_names, metavar="A,B", help="layers whose patches are compared"
    )
    group.add_argument("--device", default="auto", help="auto, cpu or cuda (default: auto)")
    group.add_argument(
        "--allow-network", action="store_true", help="let weights be fetched (default: offline)"
    )


def backbone_arguments(args: argparse.Namespace) -> dict[str, Any]:
    """`add_backbone_options` and `add_fit` as Inspector.load takes them."""
    names = ("backbone", "fit", "image_size", "layers", "device", "allow_network")
    return {name: getattr(args, name) for name in names}


def refuse_not_positive(args: argparse.Namespace, *names: str) -> None:
    """UsageError for an option that is given and is no finite number above 0."""
    for name in names:
        value = getattr(args, name)
        if value is not None and not 0 < value < math.inf:
            flag = name.replace("_", "-")
            raise UsageError(f"--{flag} {value} is not a positive number")


def add_data(group: argparse._ArgumentGroup) -> None:
    add_several(
        group,
        "--data",
        "[LAYOUT:]PATH",
        "data sets in a layout that `inctrl data` lists; one that is not recognised can be named",
        required=True,
    )


def add_fit(group: argparse._ArgumentGroup, default: str | None = None) -> None:
    """Without a default an adapter's is taken, where there is one."""
    adapters = "" if default else ", or the adapter's"
    group.add_argument(
        "--fit",
        choices=("squash", "crop", "pad"),
        default=default,
        help=f"how an image becomes a square (default: squash{adapters})",
    )


def add_domain(group: argparse._ArgumentGroup, default: str | None = "inctrl") -> None:
    group.add_argument(
        "--domain",
        default=default,
        metavar="NAME|FILE.toml",
        help="sentence bank of detectors that use text: inctrl, industrial, medical, natural, or "
        "your own (default: inctrl)",
    )


def add_views(group: argparse._ActionsContainer) -> None:
    """How images are seen; unless they are given, as they are, or as a saved context has it."""
    group.add_argument(
        "--orientation",
        choices=("fixed", "any"),
        help="any: parts lie any way round, so that eight turns of each normal image are compared "
        "with (default: fixed)",
    )
    group.add_argument(
        "--tiles",
        metavar="N|auto",
        help="see each image in overlapping tiles, N along its longer side, or by its size: for "
        "small defects in large images (default: 1)",
    )


def add_alpha(group: argparse._ArgumentGroup, default: float | None = None) -> None:
    group.add_argument(
        "--alpha",
        type=float,
        default=default,
        help="wanted share of normal images called anomalous (default: 0.05)",
    )


def add_cache(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--cache", metavar="DIR|off", help="where features are remembered (default: user cache)"
    )


def apply_settings(parser: argparse.ArgumentParser, argv: list[str]) -> None:
    """Make the settings the defaults of every command; argparse then checks them like flags.

    `chosen` leaves them out where something saved says more of what is meant.
    """
    found = {**_from_file(argv), **_from_environment(os.environ)}
    flags = {word.partition("=")[0] for word in argv}
    unsaid = frozenset(name for name in found if f"--{name.replace('_', '-')}" not in flags)
    for command in _commands(parser):
        own = {action.dest for action in command._actions}
        command.set_defaults(**{name: value for name, value in found.items() if name in own})
        command.set_defaults(unsaid=unsaid)


def chosen(args: argparse.Namespace, name: str) -> Any:
    """The value of an option if a flag has given it, and None if it is a mere setting."""
    return None if name in args.unsaid else getattr(args, name)


def _from_environment(environment: Mapping[str, str]) -> dict[str, str]:
    names = {name: f"INCTRL_{name.upper()}" for name in SETTINGS}
    return {name: environment[key] for name, key in names.items() if environment.get(key)}


def _from_file(argv: list[str]) -> dict[str, str]:
    early = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    early.add_argument("--config", type=Path)
    path: Path | None = early.parse_known_args(argv)[0].config
    if path is None:
        return {}
    try:
        stored = tomllib.loads(read_text(path))
    except (OSError, ValueError) as error:
        raise UsageError(f"config {str(path)!r} cannot be read ({error})") from None
    found = {}
    for key, value in stored.items():
        name = key.replace("-", "_")
        if name not in SETTINGS:
            raise unknown(key, SETTINGS, f"setting in {str(path)!r}")
        found[name] = str(value)
    return found


def _commands(parser: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    found: list[argparse.ArgumentParser] = []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                found += [command, *_commands(command)]
    return found


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]
