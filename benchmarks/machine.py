"""What a figure was measured on."""

import platform

import torch


def describe() -> str:
    """Processor kind, threads and versions, in a line."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU only"
    return (
        f"{platform.machine()}, {torch.get_num_threads()} threads, {device}; "
        f"torch {torch.__version__}, Python {platform.python_version()}"
    )
