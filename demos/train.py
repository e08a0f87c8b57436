"""Train an adapter on gravel, with defects that are drawn, and use it on bricks it never saw.

    python -m demos.train

Two photographs are no training set: this shows the way, not what an adapter can learn.
"""

import tempfile
from pathlib import Path

import inctrl
from inctrl.cli.main import run

IMAGES = Path(__file__).parent / "images"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        adapter = Path(folder, "from-gravel")
        command = ["train", "--data", str(IMAGES / "sets.csv"), "--exclude", "brick"]
        command += ["--synthetic", "all", "--epochs", "3", "--out", str(adapter)]
        print("inctrl", *command)
        if run(command):
            raise SystemExit(1)
        fitted = inctrl.Inspector.load(adapter=str(adapter)).fit(
            sorted((IMAGES / "brick/normal").glob("*.png")), item="brick"
        )
        for result in fitted.inspect(sorted((IMAGES / "brick/query").glob("*.png"))):
            print(f"{result.verdict:10} {result.score:.3f}  {Path(result.name).name}")


if __name__ == "__main__":
    main()
