"""What scores were computed on: between machines, and numbers of threads, last digits differ."""

import platform
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")


def machine() -> str:
    """Processor, GPU, threads and library in words; where all are equal, so are scores, exactly."""
    import torch

    parts = [_processor()]
    if torch.cuda.is_available():
        parts.append(torch.cuda.get_device_name())
    threads = torch.get_num_threads()
    parts.append(f"{threads} thread{'s' * (threads > 1)}")
    return ", ".join([*parts, f"torch {torch.__version__}"])


def _processor() -> str:
    """The model's name where the system tells it, or the architecture."""
    lines = CPUINFO.read_text(encoding="utf-8").splitlines() if CPUINFO.is_file() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()
