"""What is seen of a job: files of its result, its log, how far it is."""

import json
from pathlib import Path

import pytest
from jobwork import made_root, open_jobs, runner_of

from inctrl.errors import NotStored
from inctrl.service.jobs import EvaluateJob
from inctrl.service.jobs import folder as job_folder
from inctrl.service.jobs.attempt import without_paths
from inctrl.service.jobs.folder import JobFolder
from inctrl.service.jobs.follow import MOST_STEPS, Follower
from inctrl.store.jobs import Jobs


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return made_root(tmp_path)


@pytest.fixture
def rows(tmp_path: Path) -> Jobs:
    return open_jobs(tmp_path)


def test_only_files_of_the_result_are_given_out(root: Path, rows: Jobs, tmp_path: Path) -> None:
    runner = runner_of(rows, tmp_path)
    id = runner.submit(EvaluateJob(data=("made",))).id
    result = tmp_path / "store/jobs" / id / "result"
    (result / "maps").mkdir(parents=True)
    (result / "maps/a.npz").write_bytes(b"1")
    (result / "cells").mkdir()
    (result / "cells/x.json").touch()
    (result / "link").symlink_to(tmp_path / "store/store.sqlite3")
    (result / "way").symlink_to(tmp_path / "store")
    with pytest.raises(NotStored):
        runner.result_file(id, "maps/a.npz")
    rows.finish(id, "succeeded")
    assert [file.name for file in runner.view(id).files] == ["maps/a.npz"]
    assert runner.result_file(id, "maps/a.npz").read_bytes() == b"1"
    hostile = (
        "", ".", "..", "../log.txt", "maps/../../log.txt", "maps//a.npz", "./maps/a.npz", "link",
        "way/store.sqlite3", "maps", "cells/x.json", "/etc/passwd", str(result / "maps/a.npz"),
        "maps/a.npz\0", "x" * 5000, "\ud800", "%2e%2e/log.txt", "maps\\a.npz",
    )  # fmt: skip
    for name in hostile:
        with pytest.raises(NotStored):
            runner.result_file(id, name)
    for unknown in ("none", "../x", ""):
        for ask in (runner.view, runner.adapter_zip):
            with pytest.raises(NotStored):
                ask(unknown)


def test_paths_of_the_machine_are_taken_out(tmp_path: Path) -> None:
    folder, root = tmp_path / "store/jobs/1", tmp_path / "my data"
    known = {folder / "result": ".", folder: ".", root: ".", tmp_path / "store": "store"}
    for text, told in {
        f"report: {folder}/result/report.html": "report: report.html",
        f"'{root}/a/b.png' is broken": "'a/b.png' is broken",
        f"'{root}' is empty": "'.' is empty",
        f"{tmp_path}/store/jobs/2/result/x": "store/jobs/2/result/x",
        'File "/usr/lib/python3/torch/x.py", line 3': 'File ".../x.py", line 3',
        "see https://host.example/a/b, or a/b": "see https://host.example/a/b, or a/b",
        "1/2 and 3 / 4": "1/2 and 3 / 4",
        "\x1b[31mred\r\nnext\tline\n": " [31mred \nnext line\n",
    }.items():
        assert without_paths(text, known) == told


def test_a_long_log_keeps_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_folder, "LOG_BYTES", 1000)
    folder = JobFolder(tmp_path)
    with folder.log.open("a") as child:  # as a child has it open all the while
        for i in range(200):
            child.write(f"line {i}\n")
        child.flush()
        folder.trim()
        child.write("the end\n")
    kept = folder.log.read_text().splitlines()
    assert folder.log.stat().st_size < 1000
    assert kept[0] == "--- the beginning was left out ---"
    assert kept[1:-1] == [f"line {i}" for i in range(200 - len(kept[1:-1]), 200)]
    assert kept[-1] == "the end"
    assert len(kept) > 40


def put(file: Path, *told: object) -> None:
    with file.open("a") as stream:
        stream.write("".join(json.dumps(line) + "\n" for line in told))


def place(done: int, at: float) -> dict[str, object]:
    return {"what": "training", "done": done, "total": 100, "time": at}


def test_progress_is_followed_with_the_time_that_is_left(tmp_path: Path) -> None:
    follower = Follower(tmp_path / "p")
    assert follower.read().progress is None
    put(tmp_path / "p", place(10, 1000.0))
    first = follower.read().progress
    assert first is not None
    assert (first.share, first.eta_seconds) == (0.1, None)
    put(tmp_path / "p", place(20, 1010.0))
    later = follower.read().progress
    assert later is not None
    assert (later.done, later.share, later.eta_seconds) == (20, 0.2, 80.0)
    # Of another attempt the pace is not known yet.
    put(tmp_path / "p", {"attempt": 2}, place(20, 5000.0))
    again = follower.read().progress
    assert again is not None
    assert (again.done, again.eta_seconds) == (20, None)


def test_rows_that_come_again_take_the_place_of_the_former(tmp_path: Path) -> None:
    file = tmp_path / "p"
    put(file, *({"row": {"step": s, "loss": 1.0}} for s in (1, 2, 3)))
    put(file, {"row": {"step": 3, "epoch": 1, "loss": 1.0}})
    with file.open("a") as stream:
        stream.write('{"row": {"step": 4, "lo')  # a kill
    follower = Follower(file)
    assert len(follower.read().rows) == 4
    JobFolder(tmp_path).begin(2)
    file.write_text(file.read_text() + (tmp_path / "progress.jsonl").read_text())
    put(file, {"row": {"step": 3, "loss": 0.5}}, {"row": {"step": 4, "loss": float("nan")}})
    rows = follower.read().rows
    assert [(r["step"], r["loss"], "epoch" in r) for r in rows] == [
        (1, 1.0, False), (2, 1.0, False), (3, 0.5, False), (3, 1.0, True), (4, None, False),
    ]  # fmt: skip


def test_a_long_curve_is_thinned_and_keeps_its_ends(tmp_path: Path) -> None:
    put(tmp_path / "p", *({"row": {"step": s, "loss": 1.0}} for s in range(1, 10 * MOST_STEPS)))
    rows = Follower(tmp_path / "p").read().rows
    assert MOST_STEPS / 2 < len(rows) <= MOST_STEPS
    assert (rows[0]["step"], rows[-1]["step"]) == (1, 10 * MOST_STEPS - 1)
