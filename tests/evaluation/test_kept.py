"""Cells on disk: read as they were written, or not at all."""

import math
import os
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from inctrl.errors import OutputError
from inctrl.evaluation.kept import ABANDONED, Kept
from inctrl.evaluation.results import Cell, Example

KEY = "ab" * 32


def cell(threshold: float = 0.25, pixels: dict[str, float] | None = None) -> Cell:
    return Cell(
        contender="someone",
        dataset="d",
        category="c",
        k=2,
        seed=0,
        shots=("a.png", "b\udcff.png"),
        scores=(0.1, 1 / 3, 2e-17),
        p_values=(1.0, 0.5, 1 / 3),
        verdicts=("normal", "undecided", "anomalous"),
        threshold=threshold,
        pixels=pixels,
        bytes=99,
    )


def example(i: int = 0, threshold: float = 0.25) -> Example:
    png = b"\x89PNG" + bytes([i])
    return Example("someone", "d", "c", 2, 0, f"{i}.png", "hole", i / 7, threshold, "found", png)


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    made = Kept(tmp_path / "out", ("results.json",))
    made.open()
    return made


@pytest.mark.parametrize("threshold", [0.25, math.inf])
@pytest.mark.parametrize("pixels", [None, {"pixel_auroc": 0.9}])
def test_a_cell_is_read_as_it_was_written(
    kept: Kept, threshold: float, pixels: dict[str, float] | None
) -> None:
    written, shown = cell(threshold, pixels), (example(0, threshold), example(1, threshold))
    kept.write(KEY, written, shown)
    found = kept.read(KEY, "someone", examples=True)
    assert found is not None
    assert found[0] == written
    assert [vars(e) for e in found[1]] == [vars(e) for e in shown]
    assert kept.read(KEY, "someone", examples=False) == (written, ())


def test_a_cell_is_kept_under_no_name_so_that_a_contender_may_be_renamed(kept: Kept) -> None:
    kept.write(KEY, cell(), (example(),))
    found = kept.read(KEY, "another", examples=True)
    assert found is not None
    assert (found[0].contender, found[1][0].contender) == ("another", "another")


def test_what_is_not_there_is_none(kept: Kept) -> None:
    assert kept.read(KEY, "", examples=False) is None
    kept.write(KEY, cell(), None)
    assert kept.read(KEY, "", examples=True) is None
    kept.write(KEY, cell(), ())
    assert kept.read(KEY, "someone", examples=True) == (cell(), ())


@pytest.mark.parametrize("name", [f"cells/{KEY}.json", f"examples/{KEY}.json", "examples/png"])
@pytest.mark.parametrize("damage", ["empty", "cut", "flip", "gone", "other"])
def test_a_damaged_file_counts_as_absent(kept: Kept, name: str, damage: str) -> None:
    kept.write(KEY, cell(), (example(),))
    path = kept.out / name.replace("/png", f"/{KEY}-0.png")
    data = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        flipped = data[:-3] + bytes([data[-3] ^ 1]) + data[-2:]
        made = {"empty": b"", "cut": data[:-4], "flip": flipped, "other": b"[1, 2]"}
        path.write_bytes(made[damage])
    assert kept.read(KEY, "", examples=True) is None


def test_any_changed_byte_of_a_cell_is_noticed(kept: Kept) -> None:
    kept.write(KEY, cell(), None)
    path = kept.out / f"cells/{KEY}.json"
    data = path.read_bytes()
    for i in range(len(data)):
        path.write_bytes(data[:i] + bytes([data[i] ^ 1]) + data[i + 1 :])
        assert kept.read(KEY, "", examples=False) is None


def test_writers_at_once_leave_no_half_file(kept: Kept) -> None:
    def work(_: int) -> bool:
        kept.write(KEY, cell(), (example(),))
        return kept.read(KEY, "someone", examples=True) is not None

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(200)))
    assert not list((kept.out / "cells/.parts").iterdir())


def test_an_evaluation_goes_on_in_its_own_folder(kept: Kept) -> None:
    kept.write(KEY, cell(), None)
    kept.finish({"results.json": b"{}"})
    Kept(kept.out, ("results.json",)).open()
    assert kept.read(KEY, "someone", examples=False) is not None


def test_a_folder_with_anything_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    for name in ("thesis.tex", "results.json"):  # the second without cells: somebody else's
        folder = tmp_path / name.replace(".", "-")
        folder.mkdir()
        (folder / name).write_text("mine")
        with pytest.raises(OutputError, match=name):
            Kept(folder, ("results.json",)).open()
        assert [p.name for p in folder.iterdir()] == [name]
    Kept(tmp_path / "ours", ()).open()
    (tmp_path / "ours/notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="notes.txt"):
        Kept(tmp_path / "ours", ()).open()
    with pytest.raises(OutputError, match="is a file"):
        Kept(tmp_path / "thesis-tex/thesis.tex", ()).open()
    (tmp_path / "empty").mkdir()
    Kept(tmp_path / "empty", ()).open()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="file/out"):
        Kept(tmp_path / "file/out", ()).open()


def test_what_a_process_left_that_is_gone_is_removed_at_once(kept: Kept) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    host = socket.gethostname()
    left, mine = (
        kept.out / "cells/.parts" / f"{host}~{number}~x" for number in (gone.pid, os.getpid())
    )
    for part in (left, mine):
        part.write_bytes(b"half")
    kept.finish({})
    assert not left.exists()
    assert mine.exists()


def test_what_a_killed_process_left_is_cleared_and_what_another_writes_is_not(kept: Kept) -> None:
    old, fresh = (kept.out / "cells/.parts" / name for name in ("old", "fresh"))
    for path in (old, fresh):
        path.write_bytes(b"half")
    then = time.time() - 2 * ABANDONED
    os.utime(old, (then, then))
    kept.open()
    assert not old.exists()
    assert fresh.exists()
