"""One run of a job from its spec to how it ended."""

import asyncio
import contextlib
import logging
import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from inctrl.data.folders import WITHIN
from inctrl.errors import InctrlError, NotStored
from inctrl.files.lock import lock
from inctrl.service.jobs.dataroot import existing_root
from inctrl.service.jobs.folder import ID, UNDONE, JobFolder
from inctrl.service.jobs.process import POLL, JobProcess
from inctrl.service.jobs.specs import (
    FolderJob,
    JobSpec,
    Places,
    TrainJob,
    adapter_folder,
    command,
    read_spec,
)
from inctrl.store.jobs import JobRow, Jobs, JobState

LIMIT = 3
"""Runs of a job that may be broken off unawares; ends of a server that stops its jobs are none."""
LOOK = 1.0
"""Seconds between looks at the row and the log of a running job."""
PARTIAL, STOPPED = 4, (-15, 128 + 15)
"""Exit codes: some inputs failed and the report says which; the process was asked to leave."""
SAID = re.compile(r"^inctrl(?: [a-z]+)*: (?:error: )?(.+)$", re.MULTILINE)
_ABSOLUTE = re.compile(r"(?<![\w.:/])/(?:[^/\s'\"<>|:;,()]+/)+")
"""The folders of an absolute path; of an address (http://...) nothing."""
_CONTROLS = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]+")
logger = logging.getLogger("inctrl")


def without_paths(text: str, known: Mapping[Path, str]) -> str:
    """Take known folders off paths, and of all other absolute paths leave the last part.

    known   what stands for a folder: `.` where paths in it are told from it on
    """
    forms = {form: word for path, word in known.items() for form in (path, path.resolve())}
    for form, word in sorted(forms.items(), key=lambda pair: -len(str(pair[0]))):
        if len(form.parts) > 1:  # of a root folder there is nothing to hide
            text = text.replace(f"{form}/", "" if word == "." else f"{word}/")
            text = re.sub(rf"{re.escape(str(form))}(?![\w.-])", word, text)
    return _CONTROLS.sub(" ", _ABSOLUTE.sub(".../", text))


@dataclass(frozen=True)
class Outcome:
    """How a run ended; `queued` where the job is to go on later.

    lost    times that it was broken off unawares by now; None: no further one
    """

    state: JobState
    error: str = ""
    lost: int | None = None


def broken_off(row: JobRow, error: str) -> Outcome:
    """What becomes of a run that ended unawares: another one, or the error at the last of them."""
    lost = row.lost + 1
    return Outcome("interrupted", error) if lost >= LIMIT else Outcome("queued", lost=lost)


@dataclass(frozen=True, eq=False)
class Machine:
    """What the jobs of a server share.

    folder       of the jobs' folders
    data_root    what jobs may read; None: every job is refused
    store        of the normal sets
    threads      of a child's arithmetic
    environment  added to a child's, such as INCTRL_BACKBONE
    ending       whether the server has been told to end: no job is begun any more
    """

    jobs: Jobs
    folder: Path
    data_root: Path | None
    store: Path
    threads: int = 1
    environment: Mapping[str, str] = field(default_factory=dict)
    ending: Callable[[], bool] = lambda: False

    def of(self, id: str) -> JobFolder:
        """The folder of a job; NotStored for what is no id."""
        if not ID.fullmatch(id):
            raise NotStored("there is no such job")
        return JobFolder(self.folder / id)

    def places(self, folder: JobFolder) -> Places:
        return Places(self.data_root, self.store, folder.result, self.trained)

    def trained(self, id: str) -> Path:
        """The adapter that a training has made."""
        folder, row = self.of(id), self.jobs.get(id)
        spec = read_spec(row.spec)
        if not isinstance(spec, TrainJob) or row.state != "succeeded":
            raise NotStored(f"job {id!r} has made no adapter")
        return adapter_folder(spec, folder.result)

    def without_paths(self, id: str, text: str) -> str:
        """What a job said, for others to read."""
        folder = self.of(id)
        known = {folder.result: ".", folder.path: ".", self.store: "store"}
        return without_paths(text, known | ({self.data_root: "."} if self.data_root else {}))


class Attempt:
    """A run of a job that was claimed.

    wanted   set from outside to end it: cancelled, or back to the queue
    """

    def __init__(self, row: JobRow, machine: Machine) -> None:
        self.row = row
        self.wanted: Literal["", "cancelled", "queued"] = ""
        self._machine = machine
        self._folder = machine.of(row.id)

    async def outcome(self) -> Outcome:
        """Run to the end; whatever goes wrong is an outcome."""
        try:
            outcome = await self._outcome()
        except InctrlError as error:
            outcome = Outcome("failed", str(error))
        except OSError as error:
            outcome = Outcome("failed", f"the job could not be run ({error.strerror})")
        except Exception as error:
            logger.exception("job %s", self.row.id)
            outcome = Outcome("failed", f"bug: {type(error).__name__}")
        if outcome.state in ("cancelled", "failed"):
            await asyncio.to_thread(self._folder.clear)
        elif outcome.state == "succeeded":
            await asyncio.to_thread(self._folder.sweep, *UNDONE)
        shown = self._machine.without_paths(self.row.id, outcome.error)
        return replace(outcome, error=" ".join(shown.split()))

    async def _outcome(self) -> Outcome:
        if self.wanted:
            return Outcome(self.wanted)
        spec, folder = read_spec(self.row.spec), self._folder
        folder.begin(self.row.attempts)
        held = lock(folder.lock)
        if held is None:  # a child of a server that was killed is still dying
            await asyncio.sleep(LOOK)
            return Outcome("queued")
        try:
            if _whole(spec, folder):  # the server was killed before it could tell
                return Outcome("succeeded")
            if isinstance(spec, FolderJob):
                folder.clear()
            folder.sweep(".partial")
            child = self._started(spec, held)
        finally:
            os.close(held)
        return await self._watched(child, spec)

    def _started(self, spec: JobSpec, lock: int) -> JobProcess:
        machine, root = self._machine, existing_root(self._machine.data_root)
        added = {
            **machine.environment,
            WITHIN: str(root),
            "OMP_NUM_THREADS": str(machine.threads),
            "INCTRL_PROGRESS": str(self._folder.progress.resolve()),
        }
        arguments = command(spec, machine.places(self._folder))
        return JobProcess(arguments, root, self._folder.log, added, lock)

    async def _watched(self, child: JobProcess, spec: JobSpec) -> Outcome:
        try:
            with contextlib.suppress(InctrlError):  # that other server may have ended it by now
                await asyncio.to_thread(self._machine.jobs.assign, self.row.id, child.pid)
            looked = time.monotonic()
            while (code := child.code()) is None and not self.wanted:
                await asyncio.sleep(POLL)
                if time.monotonic() - looked > LOOK:
                    looked = time.monotonic()
                    await asyncio.to_thread(self._look)
        finally:
            await child.stop()
        self._folder.trim()
        if code in STOPPED:
            await asyncio.sleep(LOOK)  # the server may be about to be told the same
        if code is not None and not (code in STOPPED and self.wanted):
            return self._ended(code, spec)
        return Outcome(self.wanted or "queued")

    def _look(self) -> None:
        """Keep the log short, and see whether another server was told to cancel the job."""
        with contextlib.suppress(InctrlError, OSError):  # a busy store may be read the next time
            self._folder.trim()
            if self._machine.jobs.get(self.row.id).state == "cancelled":
                self.wanted = "cancelled"

    def _ended(self, code: int, spec: JobSpec) -> Outcome:
        said = SAID.findall(self._folder.tail().rpartition("--- attempt ")[2])
        last = said[-1] if said else ""
        if code == 0:
            return Outcome("succeeded")
        if code == PARTIAL and _whole(spec, self._folder):
            return Outcome("succeeded", last)
        if code in STOPPED:  # as a machine that shuts down asks all processes at once
            if self._machine.ending():
                return Outcome("queued")
            return broken_off(self.row, f"it was stopped from outside {LIMIT} times")
        if code < 0:
            return Outcome("failed", f"it was killed (signal {-code}); is there memory enough?")
        return Outcome("failed", last or f"it ended with exit code {code}; see the log")


def _whole(spec: JobSpec, folder: JobFolder) -> bool:
    """Whether all that the job writes is there: the file that its command writes last is."""
    if isinstance(spec, TrainJob):
        return (adapter_folder(spec, folder.result) / "adapter_config.json").is_file()
    last = "report.html" if isinstance(spec, FolderJob) else "timings.json"
    return (folder.result / last).is_file()
