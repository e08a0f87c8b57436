"""`inctrl backbones`: the kinds of backbone, and which weights are at hand offline."""

import argparse
from typing import Any

from inctrl.cli.options import add_command
from inctrl.cli.output import say

WEIGHTS = (".safetensors", ".bin", ".pt", ".pth")


def register(commands: "argparse._SubParsersAction[Any]") -> None:
    add_command(
        commands, "backbones", run, "kinds of backbone, and what is at hand offline", __doc__
    )


def run(args: argparse.Namespace) -> int:  # noqa: ARG001
    from inctrl.backbones import LOADERS

    for loader in LOADERS.values():
        say(f"{loader.form:26}{loader.offers}\n")
    say("\nat hand offline\n  tiny (embedded)\n  duo (embedded)\n")
    for name in cached_models():
        say(f"  {name}\n")
    say("  any local file or folder in the forms above\n")
    return 0


def cached_models() -> list[str]:
    """Repositories with weights in the local Hugging Face cache, by the loader that reads them."""
    import huggingface_hub

    try:
        found = huggingface_hub.scan_cache_dir().repos
    except (huggingface_hub.errors.CacheNotFound, RuntimeError):  # or no home for it to be in
        return []
    models = []
    for repo in found:
        files = {file.file_name for revision in repo.revisions for file in revision.files}
        if repo.repo_type == "model" and any(name.endswith(WEIGHTS) for name in files):
            models.append(f"{_loader(repo.repo_id, files)}: {repo.repo_id}")
    return sorted(models)


def _loader(name: str, files: set[str]) -> str:
    if any(file.startswith("open_clip") for file in files):
        return "openclip"
    return "cnn" if name.startswith("timm/") else "hf"
