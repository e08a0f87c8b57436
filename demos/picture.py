"""The picture of README: the upper part of a report, as chromium draws it.

    python -m demos.picture          # writes docs/report.png

Chromium is the system's, as for `make test-browser`.
"""

import contextlib
import shutil
import subprocess
import tempfile
from pathlib import Path

import PIL.Image

from inctrl.cli.main import run

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs" / "report.png"
WIDTH, HEIGHT = 1100, 1600


def main() -> None:
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        raise SystemExit("chromium is missing; on Debian: apt-get install chromium")
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(ROOT):
        out, shot = Path(folder, "out"), Path(folder, "shot.png")
        images = ["demos/images/brick/query", "--normal", "demos/images/brick/normal"]
        run(["detect", *images, "--item", "brick", "--out", str(out)])
        options = ["--headless=new", "--no-sandbox", "--hide-scrollbars", f"--screenshot={shot}"]
        options += [f"--window-size={WIDTH},{HEIGHT}", (out / "report.html").as_uri()]
        subprocess.run([browser, *options], check=True, capture_output=True)
        PIL.Image.open(shot).convert("RGB").save(PICTURE, optimize=True)
    print(PICTURE)


if __name__ == "__main__":
    main()
