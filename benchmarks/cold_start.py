"""From a cold start, as whole processes: --help, import, and one image against four shots.

    python -m benchmarks.cold_start [--repeats 5]

The last is done with both embedded backbones. Wall seconds: minimum, median and maximum. The
feature cache is off, so nothing is remembered.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.machine import describe

IMAGES = Path(__file__).parent.parent / "demos" / "images" / "brick"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    shots = [str(path) for path in sorted((IMAGES / "normal").glob("*.png"))[:4]]
    query = str(IMAGES / "query" / "crack.png")
    print(f"{describe()}; {repeats} runs each\n")
    with tempfile.TemporaryDirectory() as folder:
        detect = ["-m", "inctrl", "detect", query, "--normal", *shots, "--cache", "off"]
        for name, command in (
            ("inctrl --help", ["-m", "inctrl", "--help"]),
            ("inctrl detect --help", ["-m", "inctrl", "detect", "--help"]),
            ("import inctrl", ["-c", "import inctrl, sys; assert 'torch' not in sys.modules"]),
            ("import torch, timm", ["-c", "import torch, timm"]),
            ("detect, 1 query, 4 shots, tiny", [*detect, "--backbone", "tiny"]),
            ("detect, 1 query, 4 shots, duo", [*detect, "--backbone", "duo"]),
        ):
            times = [wall([sys.executable, *command], folder) for _ in range(repeats)]
            print(
                f"{name:34}min {min(times):5.2f} s   median {statistics.median(times):5.2f} s   "
                f"max {max(times):5.2f} s"
            )


def wall(command: list[str], folder: str) -> float:
    started = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
