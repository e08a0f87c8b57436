"""`inctrl backbones`: the kinds of backbone, and which weights are at hand offline."""

import argparse
import sys
from typing import Any

from inctrl.cli.options import add_common_options


def register(commands: "argparse._SubParsersAction[Any]") -> None:
    parser = commands.add_parser(
        "backbones", help="kinds of backbone, and what is at hand offline", description=__doc__
    )
    add_common_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:  # noqa: ARG001
    from inctrl.backbones import LOADERS

    for loader in LOADERS.values():
        sys.stdout.write(f"{loader.form:26}{loader.offers}\n")
    sys.stdout.write("\nat hand offline\n  tiny (embedded)\n")
    for name in cached_models():
        sys.stdout.write(f"  {name}\n")
    sys.stdout.write("  any local file or folder in the forms above\n")
    return 0


def cached_models() -> list[str]:
    """Model repositories in the local Hugging Face cache, from which tags and names load."""
    import huggingface_hub

    try:
        found = huggingface_hub.scan_cache_dir().repos
    except huggingface_hub.errors.CacheNotFound:
        return []
    return sorted(f"hf:{repo.repo_id}" for repo in found if repo.repo_type == "model")
