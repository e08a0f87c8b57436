"""Options that several commands share."""

import argparse
from pathlib import Path


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


def add_common_options(parser: argparse.ArgumentParser) -> None:
    parser.allow_abbrev = False  # `--conf` would be taken for --config, and then not be read
    parser.add_argument("--config", type=Path, metavar="FILE", help="TOML file with defaults")
    parser.add_argument(
        "-q", "--quiet", action="store_true", help="print errors only, no progress, no warnings"
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="tracebacks and details")


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]
