"""The run folder: each outcome is written as it comes, the tables and the page at the end."""

import contextlib
import re
import time
from dataclasses import replace
from pathlib import Path, PurePath
from types import TracebackType

import numpy as np

from inctrl.files.whole import whole_folder, writing
from inctrl.reporting.overlay import overlay
from inctrl.reporting.page import render
from inctrl.reporting.pictures import pictures
from inctrl.reporting.run import ALL_PICTURED, AnyRow, FailedRow, Row, RunInfo, pictured, row
from inctrl.reporting.scores import to_csv, to_json
from inctrl.types import Failure, Result

CONTENTS = frozenset({"maps", "overlays", "scores.json", "scores.csv", "report.html"})
LONGEST_STEM = 60


class RunWriter:
    """Writes a run as a whole: `with RunWriter(out, info) as run: run.add(outcome)`.

    OUT appears when the block ends well and not before; `whole_folder` says what is refused.
    Of each outcome only a small row is kept (`rows`), and the pictures that the page will show.
    """

    def __init__(self, out: str | Path, info: RunInfo, *, overwrite: bool = False) -> None:
        self.out = Path(out)
        self.info = info
        self.overwrite = overwrite
        self.rows: list[AnyRow] = []
        self._folder = self.out
        self._stack = contextlib.ExitStack()
        self._started = 0.0

    def __enter__(self) -> "RunWriter":
        with contextlib.ExitStack() as stack:
            whole = whole_folder(self.out, CONTENTS, self.overwrite)
            self._folder = stack.enter_context(whole)
            with writing(self.out):
                for part in ("maps", "overlays"):
                    (self._folder / part).mkdir()
            self._stack = stack.pop_all()
        self._started = time.monotonic()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            with self._stack:
                self._finish()
        else:
            self._stack.__exit__(kind, error, trace)

    def add(self, outcome: Result | Failure) -> None:
        """Write the map and the overlay of a result; note a failure."""
        count = len(self.rows) + 1
        if isinstance(outcome, Failure):
            self.rows.append(FailedRow(count, outcome.name, outcome.error))
            return
        # The number is the row's in scores.csv and keeps files of one name in two folders apart.
        stem = f"{count:04d}_{slug(outcome.name)}"
        files = (f"maps/{stem}.npz", f"overlays/{stem}.png")
        values = outcome.anomaly_map.astype(np.float32, copy=False)
        picture = overlay(outcome, self.info.scale)
        with writing(self.out):
            np.savez_compressed(self._folder / files[0], allow_pickle=False, anomaly_map=values)
            picture.save(self._folder / files[1], compress_level=4)
        shown = pictures(outcome, self.info.scale, self.info.shot_images)
        self.rows.append(row(count, outcome, files, shown))
        if count % ALL_PICTURED == 0:
            self._drop_pictures()

    def _finish(self) -> None:
        """Write the tables and the page."""
        self._drop_pictures()
        page = render(self.info, self.rows, time.monotonic() - self._started)
        with writing(self.out):
            (self._folder / "scores.json").write_bytes(to_json(self.info, self.rows))
            (self._folder / "scores.csv").write_bytes(to_csv(self.rows))
            (self._folder / "report.html").write_bytes(page.encode("utf-8", "backslashreplace"))

    def _drop_pictures(self) -> None:
        keep = pictured(self.rows)
        self.rows = [
            replace(r, pictures=None) if isinstance(r, Row) and r.number not in keep else r
            for r in self.rows
        ]


def slug(name: str) -> str:
    """The file name without folder and suffix in [A-Za-z0-9._-], at most 60 characters."""
    stem = PurePath(name.replace("\\", "/")).stem
    return re.sub(r"[^A-Za-z0-9._-]+", "_", stem)[:LONGEST_STEM] or "image"
