"""Jobs whose server was killed or closed: none lost, none run twice."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from jobwork import LONG, alive, at_work, made_root, open_jobs, runner_of, until

from inctrl.adapters import file as adapter_file
from inctrl.errors import Conflict
from inctrl.files.lock import lock
from inctrl.service.jobs import TrainJob
from inctrl.service.jobs.attempt import Outcome
from inctrl.service.jobs.folder import JobFolder
from inctrl.store.jobs import Jobs


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return made_root(tmp_path)


@pytest.fixture
def rows(tmp_path: Path) -> Jobs:
    return open_jobs(tmp_path)


SERVER = """
import asyncio, json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from jobwork import open_jobs, runner_of
from inctrl.service.jobs.specs import read_spec

async def main(folder, spec):
    runner = runner_of(open_jobs(folder), folder)
    await runner.start()
    if spec:
        runner.submit(read_spec(spec))
    await asyncio.sleep(1000)

asyncio.run(main(Path(sys.argv[1]), json.loads(sys.argv[3])))
"""


def serve(tmp_path: Path, spec: TrainJob | None) -> "subprocess.Popen[bytes]":
    told = json.dumps(spec.model_dump(mode="json") if spec else None)
    here = Path(__file__).parent.parent
    return subprocess.Popen([sys.executable, "-c", SERVER, str(tmp_path), str(here), told])


def test_a_killed_server_loses_no_job_and_no_step(root: Path, rows: Jobs, tmp_path: Path) -> None:
    spec = TrainJob(data=("made",), name="mine", epochs=10, steps=50, batch=8)
    server = serve(tmp_path, spec)
    try:
        end = time.monotonic() + 60
        while not list(tmp_path.glob("store/jobs/*/result/mine.training/checkpoint.pt")):
            assert time.monotonic() < end
            assert server.poll() is None
            time.sleep(0.02)
    finally:
        server.send_signal(signal.SIGKILL)
        server.wait()
    [row] = rows.list()
    assert row.state == "running"
    child = row.pid
    end = time.monotonic() + 2
    while alive(child) and time.monotonic() < end:
        time.sleep(0.01)
    assert not alive(child), "a child outlived its server"
    runner = runner_of(rows, tmp_path)

    async def work() -> None:
        assert (await runner.wait(row.id, 100)).state == "succeeded"

    at_work(runner, work)
    [row] = rows.list()
    assert row.attempts == 2
    told = [json.loads(line) for line in lines(tmp_path / "store/jobs" / row.id)]
    second = told[told.index({"attempt": 2}) :]
    steps = [line["row"]["step"] for line in second if "row" in line]
    assert steps[0] > 50, "it began anew"
    assert steps[-1] == 500
    places = [line["done"] for line in second if line.get("what") == "training"]
    assert places[-1] == 500, "told from where it went on"
    epochs = [r["epoch"] for r in runner.view(row.id).seen.rows if "epoch" in r]
    assert epochs == list(range(1, 11))
    assert "--- attempt 2 ---" in runner.view(row.id).log
    assert not list(tmp_path.glob("store/jobs/*/result/*.training"))


def lines(folder: Path) -> list[str]:
    return list(filter(None, (folder / "progress.jsonl").read_text().splitlines()))


def test_a_closed_runner_leaves_its_job_to_the_next(root: Path, rows: Jobs, tmp_path: Path) -> None:
    runner = runner_of(rows, tmp_path)
    took: list[float] = []

    async def work() -> None:
        id = runner.submit(LONG).id
        await until(lambda: (tmp_path / "store/jobs" / id / "result/mine.training").is_dir())
        took.append(time.monotonic())

    at_work(runner, work)
    assert time.monotonic() - took[0] < 5
    [row] = rows.list()
    assert (row.state, row.error, row.attempts) == ("queued", "", 1)
    # What the next one goes on from.
    assert (tmp_path / "store/jobs" / row.id / "result/mine.training").is_dir()


def test_two_servers_of_a_store_run_a_job_once(root: Path, rows: Jobs, tmp_path: Path) -> None:
    """The second runs none, and what it is told to cancel the first one ends."""
    first, second = runner_of(rows, tmp_path), runner_of(rows, tmp_path)

    async def both() -> None:
        await first.start()
        await until(lambda: (tmp_path / "store/jobs/lock").exists())
        await second.start()
        try:
            id = second.submit(LONG).id
            folder = tmp_path / "store/jobs" / id
            await until(lambda: (folder / "result/mine.training").is_dir())
            child = rows.get(id).pid
            await asyncio.sleep(1.5)  # time for the second to look
            assert (rows.get(id).state, rows.get(id).attempts) == ("running", 1)
            assert second.cancel(id).state == "cancelled"
            await until(lambda: not alive(child), 5)
            await until(lambda: not (folder / "result").exists(), 5)
        finally:
            await second.close()
            await first.close()

    asyncio.run(both())


def test_what_was_found_running_three_times_is_interrupted_and_can_be_resumed(
    root: Path, rows: Jobs, tmp_path: Path
) -> None:
    lost, done = rows.add("train", LONG.model_dump(mode="json")), rows.add("train", {})
    runner = runner_of(rows, tmp_path, at_once=0)
    for number, state in ((1, "queued"), (2, "queued"), (3, "interrupted")):
        claimed = rows.claim()
        assert claimed is not None
        assert (claimed.id, claimed.attempts, claimed.lost) == (lost.id, number, number - 1)

        async def work(state: str = state) -> None:
            await until(lambda: rows.get(lost.id).state == state, 5)

        at_work(runner, work)
    assert "3 times" in rows.get(lost.id).error
    resumed = runner.resume(lost.id)
    assert (resumed.state, resumed.lost) == ("queued", 0)  # it may be lost three times again
    with pytest.raises(Conflict):
        runner.resume(done.id)


def test_planned_restarts_are_not_counted(root: Path, rows: Jobs, tmp_path: Path) -> None:
    """Neither where the runner stops its child, nor where the whole machine is told to end."""
    ending = [False]
    id = rows.add("train", LONG.model_dump(mode="json")).id

    async def stopped_from_outside(told: bool) -> None:
        await until(lambda: rows.get(id).pid not in (None, os.getpid()))
        child = rows.get(id).pid
        assert child is not None
        ending[0] = told
        os.kill(child, signal.SIGTERM)
        await until(lambda: rows.get(id).state == "queued" or rows.get(id).lost == 1)
        if told:
            await asyncio.sleep(1.5)
            assert rows.get(id).state == "queued", "begun again by a server that ends"

    for told, lost in ((True, 0), (False, 1)):
        ending[0] = False
        runner = runner_of(rows, tmp_path, ending=lambda: ending[0])
        at_work(runner, lambda told=told: stopped_from_outside(told))  # type: ignore[misc]
        assert (rows.get(id).state, rows.get(id).lost) == ("queued", lost)
    for _ in range(5):
        row = rows.claim()
        assert row is not None
        runner._end(id, Outcome("queued"))
    row = rows.get(id)
    assert (row.state, row.lost) == ("queued", 1)
    assert row.attempts >= 7


def test_old_jobs_are_forgotten_with_their_folders_but_no_adapter(
    root: Path, rows: Jobs, tmp_path: Path
) -> None:
    folder = tmp_path / "store/jobs"
    kinds = {"old": "folder", "adapter": "train", "failed": "train", "young": "folder"}
    for name, kind in kinds.items():
        rows.add(kind, {}, id=name)
        rows.finish(name, "failed" if name == "failed" else "succeeded")
    rows.add("folder", {}, id="waits")
    for name in (*kinds, "waits", "nobodys"):
        (folder / name / "result").mkdir(parents=True)
    with rows._database.transaction() as db:
        db.execute("UPDATE jobs SET finished = '2020-01-01T00:00:00.000+00:00' "
                   "WHERE id IN ('old', 'adapter', 'failed')")  # fmt: skip
    runner = runner_of(rows, tmp_path)
    runner.prune(365)
    left = {"adapter", "young", "waits"}
    assert {row.id for row in rows.list()} == left
    assert {path.name for path in folder.iterdir()} == left
    runner.prune(0)
    assert {row.id for row in rows.list()} == {"adapter", "waits"}


def test_a_result_that_was_whole_when_its_server_died_is_lock(
    root: Path, rows: Jobs, tmp_path: Path
) -> None:
    """Started again, `train` would refuse the folder that is there already."""
    spec = TrainJob(data=("made",), name="mine")
    id = rows.add("train", spec.model_dump(mode="json")).id
    rows.claim()
    adapter = tmp_path / "store/jobs" / id / "result/mine"
    adapter.mkdir(parents=True)
    (adapter / adapter_file.CONFIG).write_text("{}")
    (adapter.parent / "mine.training").mkdir()
    runner = runner_of(rows, tmp_path)

    async def work() -> None:
        assert (await runner.wait(id, 10)).state == "succeeded"

    at_work(runner, work)
    assert [file.name for file in runner.view(id).files] == [f"mine/{adapter_file.CONFIG}"]
    assert not (adapter.parent / "mine.training").exists()


def test_while_a_child_holds_the_folder_its_job_is_not_started_again(
    root: Path, rows: Jobs, tmp_path: Path
) -> None:
    """As where no kernel kills children with their parent."""
    id = rows.add("train", LONG.model_dump(mode="json")).id
    rows.claim()
    folder = JobFolder(tmp_path / "store/jobs" / id)
    folder.path.mkdir(parents=True)
    handle = lock(folder.lock)
    assert handle is not None
    runner = runner_of(rows, tmp_path, at_once=0)

    async def work() -> None:
        await asyncio.sleep(1.5)
        assert rows.get(id).state == "running"
        os.close(handle)
        await until(lambda: rows.get(id).state == "queued", 5)

    at_work(runner, work)
