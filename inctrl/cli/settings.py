"""Defaults from a TOML file (`--config`) and from `INCTRL_*`: flag > environment > file."""

import argparse
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path

from inctrl.errors import UsageError
from inctrl.registry import unknown

SETTINGS = ("backbone", "device", "cache", "alpha", "batch", "fit", "image_size")
"""Options that may be set once for all runs."""


def apply_settings(parser: argparse.ArgumentParser, argv: list[str]) -> None:
    """Make the settings the defaults of every command; argparse then checks them like flags."""
    found = {**_from_file(argv), **_from_environment(os.environ)}
    for command in _commands(parser):
        own = {action.dest for action in command._actions}
        command.set_defaults(**{name: value for name, value in found.items() if name in own})


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
        stored = tomllib.loads(path.read_text(encoding="utf-8"))
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
