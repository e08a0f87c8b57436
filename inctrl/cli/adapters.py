"""`inctrl adapters`: list, show and import adapters."""

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

from inctrl.cli.options import add_command
from inctrl.cli.output import say
from inctrl.errors import InvalidFile, UsageError
from inctrl.files import names


def register(commands: "argparse._SubParsersAction[Any]") -> None:
    parser = commands.add_parser(
        "adapters", help="list, show and import adapters", description=__doc__
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    add_command(actions, "list", run_list, "the adapters that can be named", None)
    named = {"name": {"help": "name or folder"}}
    about = "what an adapter is and where it comes from"
    add_command(actions, "show", run_show, about, None, arguments=named)
    add_command(
        actions,
        "import",
        run_import,
        "make an adapter of an official InCTRL checkpoint",
        "Read the trained part of an official InCTRL checkpoint (checkpoint.pyth). "
        "The CLIP weights in the same file serve as the backbone: the card says how to load them.",
        arguments={
            "checkpoint": {"type": Path, "help": "the checkpoint file"},
            "--name": {"help": "name to import it under (default: the file's)"},
            "--model": {
                "default": "ViT-B-16-plus-240",
                "help": "open_clip model of its CLIP weights (default: %(default)s)",
            },
            "--shots": {"type": int, "action": "append", "help": "k it was trained with"},
            "--data": {"default": "", "help": "what it was trained on"},
        },
    )


def run_list(args: argparse.Namespace) -> int:
    from inctrl.adapters import file

    found = file.installed()
    for name, path in found.items():
        try:
            config = file.read_config(path)
            say(f"{name}\t{config.kind}\t{config.backbone}\t{config.data}\n")
        except InvalidFile as error:
            say(f"{name}\tbroken\t{error}\n")
    if not found and not args.quiet:
        sys.stderr.write(f"no adapters in {own_folder()}; `inctrl adapters import` makes one\n")
    return 0


def own_folder() -> str:
    """The user's folder of adapters, in words."""
    from inctrl.adapters import file

    try:
        return str(file.user_folder())
    except UsageError:
        return "INCTRL_ADAPTERS, which is not set (this user has no home folder)"


def run_show(args: argparse.Namespace) -> int:
    from dataclasses import asdict

    from inctrl.adapters import file

    path = file.find(args.name)
    described = {"path": str(path), **asdict(file.read_config(path))}
    say(json.dumps(described, indent=2) + "\n")
    return 0


def run_import(args: argparse.Namespace) -> int:
    from inctrl.adapters import file, released
    from inctrl.backbones import load_backbone
    from inctrl.files.tensors import read_state

    checkpoint: Path = args.checkpoint
    name = check_name(args.name or checkpoint.stem)
    fusion = released.fusion_from(read_state(checkpoint), str(checkpoint))
    spec = f"openclip:{args.model}/{checkpoint.resolve()}"
    backbone = load_backbone(spec, device="cpu")
    config = file.AdapterConfig(
        kind="inctrl",
        backbone=spec,
        fingerprint=backbone.fingerprint,
        image_size=backbone.image_size,
        layers=backbone.layers,
        shape=fusion.shape,
        text=True,
        fit="crop",
        shots=tuple(args.shots or ()),
        data=args.data,
        source=f"imported from {checkpoint.name}",
        licence="that of the checkpoint; the InCTRL code is Apache-2.0",
    )
    path = file.user_folder() / name
    file.save(path, config, fusion, _card(config, path.name))
    say(f"{path}\n")
    return 0


def check_name(name: str) -> str:
    if not re.fullmatch(names.ADAPTER, name):
        raise UsageError(
            f"adapter name {name!r} is not a plain name (letters, digits, . _ -); "
            "give one with --name"
        )
    return name


def _card(config: Any, name: str) -> str:
    return (
        f"# {name}\n\nThe trained part of an official InCTRL checkpoint ({config.source}).\n\n"
        f"    inctrl detect QUERY... --normal DIR --adapter {name} --fit crop \\\n"
        f"        --backbone {config.backbone}\n\n"
        f"Positions {config.shape['positions']}, embedding {config.shape['embed']}, layers "
        f"{', '.join(config.layers)}. Licence: {config.licence}.\n"
    )
