"""How far a command is: a bar for a person, lines in a file for a program, curves in TensorBoard.

The environment names the file in INCTRL_PROGRESS. Lines of JSON are added to it:

    {"what": "training", "done": 120, "total": 1000, "time": 1793900000.1}
    {"row": {"step": 120, "loss": 0.31}}       of a training; rows of epochs are as in its log
    {"cell": {"contender": ..., "set": ..., "k": 2, "seed": 0, "image_auroc": 0.97}}
    {"warning": "nut: 3 images are not used"}
"""

import contextlib
import functools
import json
import logging
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from inctrl.errors import MissingModel
from inctrl.files.whole import writing

T = TypeVar("T")
VARIABLE = "INCTRL_PROGRESS"
PAUSE = 0.2
"""Seconds between lines of one sort, so that a quick loop fills no disk."""
logger = logging.getLogger("inctrl")


class Lines:
    """The file of a run; a run that nobody follows has none, and then nothing is done.

    A file that cannot be written is told once and stops no work.
    """

    def __init__(self, path: Path | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._last: dict[str, float] = {}

    def place(self, what: str, done: int, total: int, *, last: bool = False) -> None:
        """So many of all are done; left out where a line came just before."""
        if last or self._due(what):
            self.put({"what": what, "done": done, "total": total, "time": round(time.time(), 2)})

    def row(self, row: Mapping[str, Any], *, last: bool = False) -> None:
        """A training's losses: every epoch's, and a step's where none came just before."""
        if "epoch" in row or last or self._due("row"):
            self.put({"row": dict(row)})

    def put(self, line: Mapping[str, Any]) -> None:
        if self._path is None:
            return
        try:
            # One write a line, so that a kill cuts the last at most.
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        except OSError as error:
            path, self._path = self._path, None  # before the warning, which would come here too
            logger.warning("%s=%s cannot be written (%s)", VARIABLE, path, error.strerror)

    def _due(self, sort: str) -> bool:
        now = self._clock()
        if now - self._last.get(sort, -PAUSE) < PAUSE:
            return False
        self._last[sort] = now
        return True


class Warnings(logging.Handler):
    """Adds what is warned of to the file."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.WARNING:
            lines().put({"warning": record.getMessage()})


def lines() -> Lines:
    """The lines of this process."""
    return _lines(os.environ.get(VARIABLE, ""))


def tracked(
    items: Iterable[T],
    total: int,
    what: str,
    quiet: bool,
    place: Callable[[T], int] | None = None,
) -> Iterator[T]:
    """Pass items on, of which there should be so many, and show how far it is.

    quiet   without a bar; the file is written all the same
    place   the number of an item among all, where a resumed run does not begin with the first
    """
    noted = _noted(items, total, what, place)
    if quiet or not sys.stderr.isatty():
        yield from noted
        return
    from rich.console import Console
    from rich.progress import track

    yield from track(noted, what, total=total, console=Console(stderr=True))


def curve(losses: Iterable[float]) -> Iterator[float]:
    """Pass the losses of all steps on, as rows of the file too."""
    step = 0
    row: dict[str, float] = {}
    for step, loss in enumerate(losses, 1):
        row = {"step": step, "loss": loss}
        lines().row(row)
        yield loss
    if step:
        lines().row(row, last=True)


@contextlib.contextmanager
def tensorboard(folder: Path | None) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """What takes the rows of a training; nothing is done with them where no folder is given.

    MissingModel where TensorBoard is not installed.
    """
    if folder is None:
        yield lambda _: None
        return
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise MissingModel(
            "--tensorboard needs the package tensorboard; install inctrl[tensorboard]"
        ) from None
    with writing(folder):
        writer = SummaryWriter(str(folder))

    def report(row: Mapping[str, Any]) -> None:
        part = "epoch" if "epoch" in row else "step"
        for name in row.keys() - {"step", "epoch"}:
            writer.add_scalar(f"{part}/{name}", row[name], row["step"])

    with writer:
        yield report


def _noted(
    items: Iterable[T], total: int, what: str, place: Callable[[T], int] | None
) -> Iterator[T]:
    """Pass items on, and write how many are done; the last time when the work ends or fails."""
    file, done = lines(), 0
    file.place(what, done, total, last=True)
    try:
        for count, item in enumerate(items, 1):
            yield item
            done = place(item) if place else count
            total = max(total, done)  # a file may hold several images
            file.place(what, done, total)
    finally:
        file.place(what, done, total, last=True)


@functools.cache
def _lines(path: str) -> Lines:
    """One a file, which remembers that it has warned."""
    return Lines(Path(path) if path else None)
