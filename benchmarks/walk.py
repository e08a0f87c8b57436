"""Which files an image passes between its bytes and its verdict, by `inctrl detect` and by REST.

    python -m benchmarks.walk [BASE]

BASE is a commit, or a folder with the code, to be shown beside this working tree. A file counts if
one of its functions was called: for the command, from when it opens the query until the result is
made; for the service, from just before a request with a registered set is sent until the result is
made. The process that decodes for the service opens no file and is not counted.
"""

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any
from unittest import mock

ROOT = Path(__file__).resolve().parent.parent
BRICK = ROOT / "demos" / "images" / "brick"


def main() -> None:
    from benchmarks.same_scores import checkout

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("base", nargs="?", help="a commit, or a folder with the code")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        show("now", ROOT, Path(folder))
        if given.base:
            with checkout(given.base, Path(folder)) as base:
                show("before", base, Path(folder))


def show(title: str, tree: Path, folder: Path) -> None:
    for way, walk in (("inctrl detect", by_command), ("REST", by_rest)):
        files = walk(tree, folder)
        rooms = {str(Path(file).parent) for file in files}
        print(f"{title}, {way}: {len(files)} files in {len(rooms)} rooms")
        for room in sorted(rooms):
            names = sorted(Path(file).stem for file in files if str(Path(file).parent) == room)
            print(f"  {room}: {' '.join(names)}")


def by_command(tree: Path, folder: Path) -> list[str]:
    query = str(BRICK / "query" / "hole.png")
    with watched(tree, folder, query) as (environment, found):
        command = ["-m", "inctrl", "detect", query, "--normal", str(BRICK / "normal")]
        command += ["--cache", "off", "--quiet", "--out", str(folder / "out"), "--overwrite"]
        subprocess.run([sys.executable, *command], cwd=tree, env=environment, check=True)
        return found()


def by_rest(tree: Path, folder: Path) -> list[str]:
    from benchmarks.service import Service

    files = [("images", (path.name, path.read_bytes())) for path in sorted(BRICK.glob("normal/*"))]
    query = [("queries", ("hole.png", (BRICK / "query" / "hole.png").read_bytes()))]
    with watched(tree, folder) as (environment, found), mock.patch.dict(os.environ, environment):
        store = Path(tempfile.mkdtemp(dir=folder))
        with Service(store / "store", 1) as service:
            service.client.post("/v1/sets", data={"name": "brick"}, files=files).raise_for_status()
            for _ in range(2):  # the first prepares the set
                service.process.send_signal(signal.SIGUSR1)
                reply = service.client.post("/v1/detect", data={"set": "brick"}, files=query)
                reply.raise_for_status()
            return found()


@contextlib.contextmanager
def watched(
    tree: Path, folder: Path, query: str | None = None
) -> Iterator[tuple[dict[str, str], Callable[[], list[str]]]]:
    """An environment whose Python notes the files, and what reads them."""
    place = Path(tempfile.mkdtemp(dir=folder))
    task = {"tree": str(tree / "inctrl"), "query": query, "out": str(place / "files")}
    (place / "sitecustomize.py").write_text(
        f"import runpy\nhere = runpy.run_path({__file__!r}, run_name='walk')\n"
        f"here['watch'](**{task!r})\n"
    )
    path = os.pathsep.join([str(place), str(tree)])
    # Safe path: the folder that this is run from does not come before the tree.
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONSAFEPATH": "1"}
    yield environment, lambda: (place / "files").read_text("utf-8").split()


def watch(tree: str, query: str | None, out: str) -> None:
    """Note the files entered from the query's opening, or a signal, until a result is made."""
    entered: set[str] = set()
    noting = False

    def begin(*_: object) -> None:
        nonlocal noting
        entered.clear()
        noting = True

    def note(frame: FrameType, event: str, _: object) -> None:
        nonlocal noting
        if not noting or event != "call":
            return
        code = frame.f_code
        if code.co_filename.startswith(tree):
            entered.add(code.co_filename[len(tree) + 1 :])
        elif code.co_name == "__init__" and {"verdict", "anomaly_map"} <= set(code.co_varnames):
            noting = False
            Path(out).write_text("\n".join(sorted(entered)))

    def on_audit(event: str, arguments: Any) -> None:
        if event == "open" and arguments[0] == query:
            begin()

    if query:
        sys.addaudithook(on_audit)
    elif threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGUSR1, begin)
    sys.setprofile(note)
    threading.setprofile(note)


if __name__ == "__main__":
    main()
