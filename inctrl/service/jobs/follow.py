"""How far a job is, read from the lines that the command line writes (`inctrl/cli/progress.py`)."""

import json
import threading
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inctrl.service.schemas import JobProgress

MOST_STEPS, MOST_ROWS, MOST_WARNINGS = 2000, 20_000, 100
"""Points of a curve, cells and warnings kept; of a longer curve every second point goes."""
WINDOW = 50
"""Lines by which the pace is told."""


@dataclass(frozen=True)
class Seen:
    """rows: of the losses, in the order of the steps; cells: of an evaluation, as they came.

    warnings   what the command warned of, each once
    """

    progress: JobProgress | None = None
    rows: tuple[dict[str, Any], ...] = ()
    cells: tuple[dict[str, Any], ...] = ()
    warnings: tuple[str, ...] = ()


class Follower:
    """Reads a file of progress that grows; each call goes on where the last one ended.

    A row that comes again, because a killed job was resumed, takes the place of the former.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._offset = 0
        self._places: deque[tuple[int, float]] = deque(maxlen=WINDOW)
        self._what, self._total = "", 0
        self._steps: dict[int, dict[str, Any]] = {}
        self._epochs: dict[int, dict[str, Any]] = {}
        self._cells: dict[str, dict[str, Any]] = {}
        self._warnings: dict[str, None] = {}

    def read(self) -> Seen:
        with self._lock:
            for line in self._fresh():
                self._take(line)
            # An epoch follows the step that ends it.
            rows = [*self._steps.values(), *self._epochs.values()]
            rows.sort(key=lambda row: (row["step"], "epoch" in row))
            warned = tuple(self._warnings)
            return Seen(self._progress(), tuple(rows), tuple(self._cells.values()), warned)

    def _fresh(self) -> list[bytes]:
        """The whole lines that are new."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                data = file.read()
        except OSError:
            return []
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        return whole.splitlines()

    def _take(self, line: bytes) -> None:
        try:
            said = json.loads(line, parse_constant=lambda _: None)
            if "row" in said:
                self._take_row(said["row"])
            elif "cell" in said and len(self._cells) < MOST_ROWS:
                cell = dict(said["cell"])
                key = json.dumps([cell["contender"], cell["set"], cell["k"], cell["seed"]])
                self._cells[key] = cell
            elif "warning" in said and len(self._warnings) < MOST_WARNINGS:
                self._warnings[str(said["warning"])] = None
            elif "what" in said:
                self._take_place(said)
            elif "attempt" in said:  # what was is no measure of the pace
                self._places.clear()
        except (ValueError, TypeError, KeyError):
            return  # a line that a kill has cut

    def _take_row(self, row: dict[str, Any]) -> None:
        step = int(row["step"])
        if "epoch" in row:
            if len(self._epochs) < MOST_ROWS:
                self._epochs[step] = row
            return
        self._steps[step] = row
        if len(self._steps) > MOST_STEPS:
            self._steps = dict(list(self._steps.items())[::2])

    def _take_place(self, said: dict[str, Any]) -> None:
        what, done, total, at = said["what"], said["done"], said["total"], said["time"]
        if what != self._what:
            self._places.clear()
        self._what, self._total = str(what), int(total)
        self._places.append((int(done), float(at)))

    def _progress(self) -> JobProgress | None:
        if not self._what:
            return None
        places = self._places or [(0, 0.0)]  # none yet of this attempt
        (first, began), (done, now) = places[0], places[-1]
        left = None
        if done > first and now > began:
            left = round((self._total - done) * (now - began) / (done - first), 1)
        share = min(1.0, done / self._total) if self._total > 0 else 0.0
        return JobProgress(
            what=self._what, done=done, total=self._total, share=share, eta_seconds=left
        )
