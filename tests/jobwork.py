"""What tests of jobs share: a data root, a runner, and waiting."""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from labelled import write_set

from inctrl.service.jobs import JobRunner, JobView, Machine, TrainJob
from inctrl.store import database, jobs
from inctrl.store.jobs import Jobs

SMALL = {"INCTRL_IMAGE_SIZE": "64"}
LONG = TrainJob(data=("made",), name="mine", epochs=1000, steps=50, batch=8)


def made_root(tmp_path: Path) -> Path:
    """A data root with a set of two categories."""
    write_set(tmp_path / "root/made", "field")
    write_set(tmp_path / "root/made", "plain", masks=False, first=100)
    return tmp_path / "root"


def open_jobs(folder: Path) -> Jobs:
    (folder / "store").mkdir(exist_ok=True)
    return Jobs(database.Database(folder / "store", [jobs.SCHEMA]))


def runner_of(rows: Jobs, tmp_path: Path, at_once: int = 1, **more: Any) -> JobRunner:
    environment = {**SMALL, "INCTRL_CACHE": str(tmp_path / "cache")}
    settings = {"data_root": tmp_path / "root", "store": tmp_path / "store"} | more
    machine = Machine(rows, tmp_path / "store/jobs", environment=environment, **settings)
    return JobRunner(machine, at_once)


def at_work(runner: JobRunner, work: Callable[[], Awaitable[None]]) -> None:
    """Run something while jobs are run, and close them whatever comes."""

    async def all_of_it() -> None:
        await runner.start()
        try:
            await work()
        finally:
            await runner.close()

    asyncio.run(all_of_it())


async def until(true: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never came"
        await asyncio.sleep(0.02)


def alive(pid: int | None) -> bool:
    """Whether a process runs; one that nobody has fetched yet does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
    except FileNotFoundError:
        return False
    return state not in "ZX"


def no_path_of(tmp_path: Path, view: JobView) -> bool:
    return str(tmp_path) not in repr(view) and sys.prefix not in repr(view)
