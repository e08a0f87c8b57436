"""Jobs: real children of the command line on tiny data; followed, cancelled, refused."""

import asyncio
import io
import json
import logging
import os
import signal
import time
import zipfile
from pathlib import Path

import pytest
from jobwork import LONG, alive, at_work, made_root, no_path_of, open_jobs, runner_of, until
from labelled import write_set

from inctrl.adapters import file as adapter_file
from inctrl.decoding import decode
from inctrl.errors import Busy, Conflict, InctrlError, NotStored, UsageError
from inctrl.service.jobs import EvaluateJob, FolderJob, JobRunner, JobView, TrainJob
from inctrl.service.jobs.runner import QUEUED
from inctrl.service.jobs.specs import Places, command
from inctrl.store import open_store
from inctrl.store.jobs import JobRow, Jobs


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return made_root(tmp_path)


@pytest.fixture
def rows(tmp_path: Path) -> Jobs:
    return open_jobs(tmp_path)


def test_a_training_gives_its_losses_and_an_adapter(root: Path, rows: Jobs, tmp_path: Path) -> None:
    runner = runner_of(rows, tmp_path)
    spec = TrainJob(data=("made",), name="mine", epochs=2, steps=20, batch=8, hold_out="plain")
    done: list[JobRow] = []

    async def work() -> None:
        done.append(await runner.wait(runner.submit(spec).id, 100))

    at_work(runner, work)
    [row] = done
    view = runner.view(row.id)
    assert (row.state, row.error, row.attempts) == ("succeeded", "", 1), view.log
    epochs = [r for r in view.seen.rows if "epoch" in r]
    assert [r["step"] for r in epochs] == [20, 40]
    assert all(0 <= r["held_out_auroc"] <= 1 and r["loss"] > 0 for r in epochs)
    assert view.seen.rows[0]["step"] == 1
    progress = view.seen.progress
    assert progress is not None
    assert (progress.what, progress.done, progress.share) == ("training", 40, 1)
    names = {adapter_file.CONFIG, adapter_file.WEIGHTS, adapter_file.CARD}
    assert {file.name for file in view.files} == {f"mine/{name}" for name in names}
    config = adapter_file.read_config(
        runner.result_file(row.id, f"mine/{adapter_file.CONFIG}").parent
    )
    assert (config.image_size, config.data) == (64, "field")
    archive = zipfile.ZipFile(io.BytesIO(runner.adapter_zip(row.id)))
    assert set(archive.namelist()) == {f"mine/{name}" for name in names}
    assert view.log == "mine\n"
    assert no_path_of(tmp_path, view)
    # A later job takes the adapter by the training's id.
    argv = command(EvaluateJob(data=("made",), adapters=(f"job:{row.id}",)), places_of(runner))
    assert f"--adapter={runner.result_file(row.id, 'mine/README.md').parent}" in argv


def places_of(runner: JobRunner) -> Places:
    return runner._machine.places(runner._machine.of("any"))


def test_the_table_of_an_evaluation_grows(root: Path, rows: Jobs, tmp_path: Path) -> None:
    runner = runner_of(rows, tmp_path)
    spec = EvaluateJob(
        data=("mvtec:made",), detectors=("incontext", "padim"), shots=(2, 3), seeds=2
    )
    seen = set()

    async def work() -> None:
        id = runner.submit(spec).id
        while rows.get(id).state in ("queued", "running"):
            seen.add(len(runner.view(id).seen.cells))
            await asyncio.sleep(0.02)

    at_work(runner, work)
    [row] = rows.list()
    view = runner.view(row.id)
    assert row.state == "succeeded", view.log
    assert len(view.seen.cells) == 16
    assert len(seen) > 3
    assert {c["set"] for c in view.seen.cells} == {"made/field", "made/plain"}
    assert {c["contender"] for c in view.seen.cells} == {"incontext", "padim"}
    assert all(c["image_auroc"] >= 0.5 for c in view.seen.cells)
    progress = view.seen.progress
    assert progress is not None
    assert (progress.what, progress.done, progress.total) == ("cells", 16, 16)
    assert {f.name for f in view.files} >= {"report.html", "results.json"}
    assert not any("/" in f.name for f in view.files)
    assert no_path_of(tmp_path, view)
    for file in view.files:
        data = runner.result_file(row.id, file.name).read_bytes()
        assert len(data) == file.bytes
        assert str(tmp_path).encode() not in data, file.name


def test_a_folder_is_inspected_against_a_set_and_what_is_unreadable_is_said(
    root: Path, tmp_path: Path
) -> None:
    good = root / "made/field/train/good"
    (root / "made/field/test/hole/broken.png").write_bytes(b"nothing")
    with open_store(tmp_path / "store") as store:
        store.sets.create("field", [decode(path) for path in sorted(good.iterdir())[:4]])
        runner = runner_of(store.jobs, tmp_path)

        async def work() -> None:
            id = runner.submit(FolderJob(data="made/field/test/hole", set="field@1")).id
            view = await seen_at_its_end(runner, id)
            assert view.row.state == "succeeded", view.log
            assert "broken.png" in view.row.error
            progress = view.seen.progress
            assert progress is not None
            assert (progress.what, progress.done) == ("inspecting", 5)
            names = {file.name for file in view.files}
            assert {"report.html", "scores.json", "overlays/0001_00.png"} <= names
            scores = json.loads(runner.result_file(id, "scores.json").read_bytes())
            assert scores["results"][0]["name"] == "made/field/test/hole/00.png"
            assert no_path_of(tmp_path, view)
            for name in names:
                assert str(tmp_path).encode() not in runner.result_file(id, name).read_bytes()

        at_work(runner, work)


def test_a_job_follows_links_within_the_data_root_and_names_those_out_of_it(
    root: Path, tmp_path: Path
) -> None:
    good = root / "made/field/train/good"
    secret = write_set(tmp_path / "elsewhere", "secret") / "test/hole"
    (root / "queries").mkdir()
    (root / "queries/near").symlink_to("../made/field/test/hole")
    (root / "queries/far").symlink_to(secret)
    (root / "queries/far.png").symlink_to(secret / "00.png")
    with open_store(tmp_path / "store") as store:
        store.sets.create("field", [decode(path) for path in sorted(good.iterdir())[:4]])
        runner = runner_of(store.jobs, tmp_path)

        async def work() -> None:
            id = runner.submit(FolderJob(data="queries", set="field@1", recursive=True)).id
            view = await seen_at_its_end(runner, id)
            assert view.row.state == "succeeded", view.log
            scores = json.loads(runner.result_file(id, "scores.json").read_bytes())
            names = [result["name"] for result in scores["results"]]
            assert names == [f"queries/near/{i:02d}.png" for i in range(4)]
            assert "2 links lead out of the data root and are not followed" in view.log
            assert no_path_of(tmp_path, view)

        at_work(runner, work)


async def seen_at_its_end(runner: JobRunner, id: str) -> JobView:
    await runner.wait(id, 100)
    return runner.view(id)


def test_a_command_that_fails_says_why_without_paths(
    root: Path, rows: Jobs, tmp_path: Path
) -> None:
    runner = runner_of(rows, tmp_path)
    (root / "made/field/test/good/00.png").write_bytes(b"nothing")

    async def work() -> None:
        spec = EvaluateJob(data=("made",), detectors=("incontext",), shots=(2,), seeds=1)
        row = await runner.wait(runner.submit(spec).id, 100)
        assert row.state == "failed"
        assert row.error.startswith("'made/field/test/good/00.png'") or "00.png" in row.error
        assert str(tmp_path) not in row.error
        assert "Traceback" not in runner.view(row.id).log
        assert not (tmp_path / "store/jobs" / row.id / "result").exists()

    at_work(runner, work)


def test_cancelled_within_five_seconds(
    root: Path, rows: Jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even where the child does not listen: a process that is stopped acts on no SIGTERM."""
    runner = runner_of(rows, tmp_path)
    sent: list[int] = []
    kill = os.killpg
    monkeypatch.setattr(os, "killpg", lambda group, n: (sent.append(n), kill(group, n)))

    async def work() -> None:
        id = runner.submit(LONG).id
        waits = runner.submit(LONG).id
        folder = tmp_path / "store/jobs" / id
        await until(lambda: (folder / "result/mine.training").is_dir())
        child = rows.get(id).pid
        assert child is not None
        assert os.getpgid(child) == child != os.getpgid(0)
        assert os.getpriority(os.PRIO_PROCESS, child) == os.getpriority(os.PRIO_PROCESS, 0) + 10
        assert runner.cancel(waits).state == "cancelled"
        os.kill(child, signal.SIGSTOP)
        began = time.monotonic()
        runner.cancel(id)
        assert (await runner.wait(id)).state == "cancelled"
        assert time.monotonic() - began < 5
        assert not alive(child)
        assert sent == [signal.SIGTERM, signal.SIGKILL]
        assert not (folder / "result").exists()
        assert (folder / "log.txt").exists()
        with pytest.raises(Conflict):
            runner.cancel(id)

    at_work(runner, work)
    assert rows.counts()["cancelled"] == 2


def test_the_seventeenth_job_is_refused(root: Path, rows: Jobs, tmp_path: Path) -> None:
    runner = runner_of(rows, tmp_path)
    for _ in range(QUEUED):
        runner.submit(LONG)
    with pytest.raises(Busy, match="too many jobs wait") as refused:
        runner.submit(LONG)
    assert refused.value.retry_after > 0
    runner.cancel(rows.list()[0].id)
    runner.submit(LONG)
    assert rows.counts()["queued"] == QUEUED == 16


def test_without_a_data_root_there_are_no_jobs(rows: Jobs, tmp_path: Path) -> None:
    runner = runner_of(rows, tmp_path, data_root=None)
    with pytest.raises(UsageError, match="start it with --data-root"):
        runner.submit(LONG)
    with pytest.raises(UsageError, match="start it with --data-root"):
        runner.data_sets()
    assert rows.list() == ()


def test_an_adapter_of_a_job_that_made_none_is_refused(
    root: Path, rows: Jobs, tmp_path: Path
) -> None:
    runner = runner_of(rows, tmp_path)
    id = runner.submit(LONG).id
    for name in (f"job:{id}", "job:unknown"):
        with pytest.raises(NotStored):
            runner.submit(EvaluateJob(data=("made",), adapters=(name,)))
    with pytest.raises(NotStored):
        runner.adapter_zip(id)


def test_a_store_that_fails_for_a_while_stops_no_runner(
    root: Path, rows: Jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    runner = runner_of(rows, tmp_path)
    id = rows.add("train", {"kind": "train"}).id
    honest, failed = rows.claim, []

    def claim() -> JobRow | None:
        if not failed:
            failed.append(1)
            raise InctrlError("the disk is full")
        return honest()

    monkeypatch.setattr(rows, "claim", claim)
    monkeypatch.setattr(logging.getLogger("inctrl"), "handlers", [])
    monkeypatch.setattr(logging.getLogger("inctrl"), "propagate", True)
    caplog.set_level(logging.WARNING, "inctrl")

    async def work() -> None:
        row = await runner.wait(id, 10)
        assert row.state == "failed"
        assert row.error == "train.data: Field required"

    at_work(runner, work)
    assert "the disk is full" in caplog.text
