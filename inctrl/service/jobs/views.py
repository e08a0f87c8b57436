"""What is to be seen of a job."""

import threading
from dataclasses import dataclass
from pathlib import Path

from inctrl.errors import NotStored
from inctrl.service.jobs.attempt import Machine
from inctrl.service.jobs.folder import ResultFile, zipped
from inctrl.service.jobs.follow import Follower, Progress, Seen
from inctrl.store.jobs import JobRow, Jobs

FOLLOWED = 32
"""Jobs whose files of progress are read on from where they were."""


@dataclass(frozen=True)
class JobView:
    """A job as it is now.

    progress   None before its command has told any
    seen       the rows of a training's losses and the cells of an evaluation
    log        the last lines of what the command said
    files      of the result, once it is whole
    """

    row: JobRow
    progress: Progress | None
    seen: Seen
    log: str
    files: tuple[ResultFile, ...]


class Views:
    """Reads what the folders of jobs hold."""

    def __init__(self, jobs: Jobs, machine: Machine) -> None:
        self._jobs = jobs
        self._machine = machine
        self._followers: dict[str, Follower] = {}
        self._lock = threading.Lock()

    def view(self, id: str) -> JobView:
        row = self._jobs.get(id)
        folder, seen = self._machine.of(id), self._follower(id).read()
        log = self._machine.hiding(id)(folder.tail())
        files = folder.files() if row.state == "succeeded" else ()
        return JobView(row, seen.progress, seen, log, files)

    def result_file(self, id: str, name: str) -> Path:
        if self._jobs.get(id).state != "succeeded":
            raise NotStored("this job has no result")
        return self._machine.of(id).file(name)

    def adapter_zip(self, id: str) -> bytes:
        return zipped(self._machine.trained(id))

    def _follower(self, id: str) -> Follower:
        with self._lock:
            # Put at the end, where those stay that were asked for last.
            found = self._followers.pop(id, None) or Follower(self._machine.of(id).progress)
            self._followers[id] = found
            if len(self._followers) > FOLLOWED:
                del self._followers[next(iter(self._followers))]
            return found
