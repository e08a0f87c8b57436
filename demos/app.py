"""The page in a browser, with the bundled photographs to try it on.

    python -m demos.app [STORE] [--port PORT] [--no-browser]

Without STORE everything is kept in a folder that goes when the program ends. The photographs are
laid out as a data set too, so that Train and Evaluate have something to work with.
"""

import argparse
import csv
import shutil
import socket
import tempfile
import threading
import time
import urllib.error
import urllib.request
import webbrowser
from pathlib import Path

from inctrl.cli.main import run

IMAGES = Path(__file__).parent / "images"
PATIENCE = 120.0
"""Seconds for the service to load its model."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("store", nargs="?", type=Path, help="folder to keep sets and scores in")
    parser.add_argument("--port", type=int, default=0, help="default: any free one")
    parser.add_argument("--no-browser", action="store_true", help="open none")
    args = parser.parse_args()
    port = args.port or free_port()
    if not args.no_browser:
        address = f"http://127.0.0.1:{port}/"
        threading.Thread(target=open_when_ready, args=(address,), daemon=True).start()
    with tempfile.TemporaryDirectory(prefix="inctrl-demo-") as folder:
        command = ["serve", "--port", str(port), "--store", str(args.store or folder)]
        raise SystemExit(run([*command, "--data-root", str(data_root(Path(folder, "data")))]))


def data_root(folder: Path) -> Path:
    """A folder with the photographs in the layout of MVTec AD."""
    with (IMAGES / "sets.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            side = "good" if row["label"] == "normal" else row["kind"]
            place = folder / "photographs" / row["category"] / row["split"] / side
            place.mkdir(parents=True, exist_ok=True)
            shutil.copy(IMAGES / row["path"], place)
    return folder


def free_port() -> int:
    """One that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def open_when_ready(address: str) -> None:
    """Show the page once the model is loaded."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(f"{address}readyz", timeout=5):  # noqa: S310  loopback
                webbrowser.open(address)
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)


if __name__ == "__main__":
    main()
