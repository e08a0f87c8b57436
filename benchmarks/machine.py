"""What a figure was measured on."""

import platform

from inctrl.machine import machine


def describe() -> str:
    """Processor, threads and versions, in a line."""
    return f"{platform.machine()}, {machine()}, Python {platform.python_version()}"
