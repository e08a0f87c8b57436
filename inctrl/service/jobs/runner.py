"""Runs the jobs of a store: each as a child process, a few at a time, none lost and none twice.

A row that is `running` belongs to a child of the one runner that holds the lock of the folder. The
next runner finds such rows after a kill, and puts them back into the queue.
"""

import asyncio
import contextlib
import logging
import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from inctrl.detectors import detector_entry
from inctrl.errors import Conflict, InctrlError, NotStored
from inctrl.files.lock import lock
from inctrl.files.recent import Recent
from inctrl.service.jobs.attempt import LIMIT, Attempt, Machine, Outcome, broken_off
from inctrl.service.jobs.dataroot import data_sets
from inctrl.service.jobs.folder import ID, zipped
from inctrl.service.jobs.follow import Follower, Seen
from inctrl.service.jobs.specs import JobSpec, command, detectors_of
from inctrl.service.schemas import DataReply, JobFile
from inctrl.store.jobs import ENDED, JobRow

QUEUED = 16
"""Jobs that may wait."""
TICK = 1.0
"""Seconds between looks at the queue; a job that is submitted here is seen at once."""
FOLLOWED = 32
"""Jobs whose files of progress are read on from where they were."""
logger = logging.getLogger("inctrl")


@dataclass(frozen=True)
class JobView:
    """A job as it is now.

    seen    how far it is, the rows of a training's losses and the cells of an evaluation
    log     the last lines of what the command said
    files   of the result, once it is whole
    """

    row: JobRow
    seen: Seen
    log: str
    files: tuple[JobFile, ...]


class JobRunner:
    """Runs jobs between `start` and `close`; all else may be called at any time, by any thread.

    Several servers may share a store: one of them runs the jobs, and another takes over when it
    ends.
    """

    def __init__(self, machine: Machine, at_once: int = 1) -> None:
        self._machine = machine
        self._jobs = machine.jobs
        self._followers = Recent[Follower](FOLLOWED)
        self._at_once = at_once
        self._running: dict[str, tuple[Attempt, asyncio.Task[None]]] = {}
        self._lock: int | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake = asyncio.Event()
        self._stopping = False
        self._work: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin; call it in a thread that lives as long as the server, for children die with it."""
        self._machine.folder.mkdir(parents=True, exist_ok=True)
        self._loop, self._wake = asyncio.get_running_loop(), asyncio.Event()
        self._stopping = False
        self._work = asyncio.create_task(self._serve())

    async def close(self) -> None:
        """Stop all children within 5 s; their jobs go on when a runner starts again."""
        self._stopping = True
        for attempt, _ in self._running.values():
            attempt.wanted = attempt.wanted or "queued"
        self._wake.set()
        if self._work is not None:
            await self._work
        await asyncio.gather(*(task for _, task in self._running.values()))
        if self._lock is not None:
            os.close(self._lock)
        self._lock = self._work = self._loop = None

    def submit(self, spec: JobSpec) -> JobRow:
        """Queue a job; refused here for what can be seen before it runs, and Busy if many wait."""
        command(spec, self._machine.places(self._machine.of("new")))
        for name in detectors_of(spec):
            detector_entry(name)
        row = self._jobs.add(spec.kind, spec.model_dump(mode="json"), most=QUEUED)
        self._look()
        return row

    def cancel(self, id: str) -> JobRow:
        """End a job: at once if it waits, within 5 s if it runs (`wait` waits for that)."""
        row = self._jobs.get(id)
        mine = self._running.get(id)
        if row.state in ENDED:
            raise Conflict(f"job {id!r} has ended already ({row.state})")
        if mine is None or mine[0].wanted == "queued":
            # Waiting, or in the hands of another server, which looks at the row.
            row = self._jobs.finish(id, "cancelled")
            if mine is None and self._machine.of(id).free():
                self._machine.of(id).clear()
            return row
        mine[0].wanted = "cancelled"
        return row

    def resume(self, id: str) -> JobRow:
        """Queue an interrupted job again: it goes on from its checkpoint."""
        row = self._jobs.get(id)
        if row.state != "interrupted":
            raise Conflict(f"job {id!r} was not interrupted; it is {row.state}")
        row = self._jobs.requeue(id, lost=0)
        self._look()
        return row

    def prune(self, days: float) -> None:
        """Forget jobs that ended more than so many days ago, and what came of them."""
        self._jobs.prune(days)
        for path in self._machine.folder.iterdir() if self._machine.folder.is_dir() else ():
            if path.is_dir() and ID.fullmatch(path.name):
                try:
                    self._jobs.get(path.name)
                except NotStored:
                    shutil.rmtree(path, ignore_errors=True)

    async def wait(self, id: str, seconds: float = 5.0) -> JobRow:
        """The job when it has ended, or as it is after so long."""
        until = asyncio.get_running_loop().time() + seconds
        while True:
            row = await asyncio.to_thread(self._jobs.get, id)
            if row.state in ENDED or asyncio.get_running_loop().time() > until:
                return row
            await asyncio.sleep(0.05)

    def view(self, id: str) -> JobView:
        """All that is to be seen of a job; no path of the machine is in it."""
        row = self._jobs.get(id)
        folder = self._machine.of(id)
        seen = self._followers.get(id, lambda: Follower(folder.progress)).read()
        log = self._machine.without_paths(id, folder.tail())
        warned = tuple(self._machine.without_paths(id, line) for line in seen.warnings)
        seen = replace(seen, warnings=warned)
        return JobView(row, seen, log, folder.files() if row.state == "succeeded" else ())

    def result_file(self, id: str, name: str) -> Path:
        """A file of a job that has succeeded, by its name in the view; NotStored for any other."""
        if self._jobs.get(id).state != "succeeded":
            raise NotStored("this job has no result")
        return self._machine.of(id).file(name)

    def adapter_zip(self, id: str) -> bytes:
        """The adapter of a training that has succeeded, as an archive."""
        return zipped(self._machine.trained(id))

    def data_sets(self) -> DataReply:
        """What trainings and evaluations can be given."""
        return data_sets(self._machine.data_root)

    def _look(self) -> None:
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # it is closed
                self._loop.call_soon_threadsafe(self._wake.set)

    async def _serve(self) -> None:
        while not self._stopping:
            self._wake.clear()
            try:
                await self._step()
            except (InctrlError, OSError) as error:  # a full disk, a busy store: it may pass
                logger.warning("jobs wait: %s", error)
            except Exception:
                logger.exception("jobs wait")
            if not self._stopping:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), TICK)

    async def _step(self) -> None:
        if self._lock is None:
            self._lock = lock(self._machine.folder / "lock")
            if self._lock is None:
                return  # another server is at it
        await asyncio.to_thread(self._recover)
        while len(self._running) < self._at_once:
            if self._stopping or self._machine.ending():
                return
            row = await asyncio.to_thread(self._jobs.claim)
            if row is None:
                return
            attempt = Attempt(row, self._machine)
            if self._stopping:  # meanwhile
                attempt.wanted = "queued"
            self._running[row.id] = attempt, asyncio.create_task(self._run(attempt))

    def _recover(self) -> None:
        """Give back what a runner that was killed has left running."""
        mine = set(self._running)  # before the rows are read: one may end meanwhile
        for row in self._jobs.running():
            if row.id in mine or not self._machine.of(row.id).free():
                continue  # its child is still dying
            error = f"its server ended {LIMIT} times while it ran; it was given up"
            self._end(row.id, broken_off(row, error))

    async def _run(self, attempt: Attempt) -> None:
        id = attempt.row.id
        try:
            outcome = await attempt.outcome()
            await asyncio.to_thread(self._end, id, outcome)
        except InctrlError as error:  # the store could not be written; the row is found again
            logger.warning("job %s: %s", id, error)
        finally:
            del self._running[id]
            self._wake.set()

    def _end(self, id: str, outcome: Outcome) -> None:
        if self._jobs.get(id).state in ENDED:  # cancelled meanwhile, here or by another server
            self._machine.of(id).clear()
        elif outcome.state == "queued":
            self._jobs.requeue(id, lost=outcome.lost)
        else:
            self._jobs.finish(id, outcome.state, outcome.error)
