"""Compare two detectors on bricks and gravel with 2 and 4 shots, three draws each.

    python -m demos.evaluate [OUT]

The page OUT/report.html shows tables, curves and maps. Nine test images a set are an example, not
a measurement.
"""

import sys
from pathlib import Path

from inctrl.cli.main import run

IMAGES = Path(__file__).parent / "images"


def main() -> None:
    out = sys.argv[1] if len(sys.argv) > 1 else "runs/demo/evaluation"
    command = ["evaluate", "--data", str(IMAGES / "sets.csv"), "--detector", "incontext"]
    command += ["patchcore", "--shots", "2", "4", "--seeds", "3", "--out", out]
    print("inctrl", *command)
    raise SystemExit(run(command))


if __name__ == "__main__":
    main()
