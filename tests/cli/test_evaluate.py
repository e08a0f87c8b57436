"""`inctrl evaluate` from the shell's side: files, exit codes, one line a fault, and a kill."""

import dataclasses
import hashlib
import json
import logging
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_evaluation import CATEGORIES, contender, evaluation
from labelled import entrant, picture, plan_of, save, write_adapter, write_set

from inctrl.cli.evaluate_output import FEWER, Watch, audit_line, summary
from inctrl.cli.main import run
from inctrl.decoding import decode
from inctrl.detectors.incontext import InContext
from inctrl.errors import UsageError
from inctrl.evaluation.audit import Finding
from inctrl.images import stored_digest
from inctrl.types import Prediction

logger = logging.getLogger("inctrl")
SMALL = ("--image-size", "64", "--shots", "2", "3", "--seeds", "2")
FINAL = ("results.json", "results.csv", "shots.json", "report.html")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """And the package's log as it was: the command takes it over."""
    monkeypatch.setenv("INCTRL_CACHE", str(tmp_path / "features"))
    before = logger.handlers, logger.propagate, logger.level
    yield
    logger.handlers, logger.propagate = before[:2]
    logger.setLevel(before[2])


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_set(tmp_path / "made", "field")
    write_set(tmp_path / "made", "plain", masks=False, first=100)
    return tmp_path / "made"


def evaluate(data: Path, out: Path, *flags: str) -> int:
    return run(["evaluate", "--data", str(data), *SMALL, "--out", str(out), *flags])


def digests(out: Path) -> dict[str, str]:
    """Of all files but the times, and what a killed process may have left half-written."""
    paths = [p for p in sorted(out.rglob("*")) if p.is_file()]
    return {
        str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in paths
        if path.name != "timings.json"
    }


def test_the_main_job(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert evaluate(data, out, "--detector", "incontext", "patchcore:neighbours=1") == 0
    streams = capsys.readouterr()
    assert f"report: {out / 'report.html'}\n" in streams.out
    assert re.search(r"^incontext +\d+\.\d\d \+- *\d+\.\d\d", streams.out, re.MULTILINE)
    assert "made, 2 categories: image AUROC" in streams.out
    assert "[4/16] made/field  incontext  k=2 " in streams.err
    assert re.search(r"^encoded [1-9]\d* images, 0 remembered$", streams.err, re.MULTILINE)
    assert {path.name for path in out.iterdir()} == {*FINAL, "timings.json", "cells", "examples"}
    results = json.loads((out / "results.json").read_text())
    assert len(results["cells"]) == 16
    shots = json.loads((out / "shots.json").read_text())["shots"]
    assert {(s["category"], s["k"], s["seed"]) for s in shots} == {
        (category, k, seed) for category in ("field", "plain") for k in (2, 3) for seed in (0, 1)
    }
    assert all("/train/good/" in name for s in shots for name in s["names"])
    assert "<html" in (out / "report.html").read_text()
    times = json.loads((out / "timings.json").read_text())
    assert times["contenders"]["incontext"]["cells"] == 8


def test_turns_and_tiles_are_of_all_contenders_and_recorded(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, views = tmp_path / "out", ("--orientation", "any", "--tiles", "2")
    few = ("--shots", "2", "--seeds", "1", "--only", "field")
    assert evaluate(data, out, *few) == 0
    plain = json.loads((out / "results.json").read_text())
    assert evaluate(data, out, *few, *views) == 0
    seen = json.loads((out / "results.json").read_text())
    [before], [after] = plain["contenders"], seen["contenders"]
    assert (before["orientation"], before["tiles"]) == ("fixed", 1)
    assert (after["orientation"], after["tiles"]) == ("any", 2)
    assert (
        plain["cells"][0]["scores"] != seen["cells"][0]["scores"]
    )  # another cell, not the kept one
    assert "any way round" in (out / "report.html").read_text()
    assert evaluate(data, out, *few, "--audit", *views) == 0
    capsys.readouterr()
    assert evaluate(data, tmp_path / "no", "--detector", "incontext", "padim", "--tiles", "2") == 2
    assert "'padim' does not look for patches at any place" in capsys.readouterr().err
    assert not (tmp_path / "no").exists()


def test_what_is_not_used_is_warned_of_and_kept_in_the_results(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (data / "odd/clean").mkdir(parents=True)
    (data / "odd/clean/x.png").write_bytes((data / "plain/train/good/00.png").read_bytes())
    (data / "field/ground_truth/hole/01_mask.png").rename(
        data / "field/ground_truth/hole/scratch.png"
    )
    assert evaluate(data, tmp_path / "out", "--detector", "incontext") == 0
    said = capsys.readouterr().err
    notes = json.loads((tmp_path / "out/results.json").read_text())["notes"]
    for line in (
        "made: odd: 1 image is not used (x.png): no folder 'train/good' (it has clean)",
        "made: 1 file in field/ground_truth/hole/ fits no anomalous image (scratch.png)",
        "1 of 4 anomalous images of made/field have no mask: pixels are not evaluated",
    ):
        assert f"WARNING: {line}\n" in said
        assert line in notes


def test_a_detector_more_encodes_nothing_and_the_same_command_writes_the_same_bytes(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    assert evaluate(data, one, "--detector", "incontext") == 0
    capsys.readouterr()
    assert evaluate(data, one, "--detector", "incontext", "spade") == 0
    streams = capsys.readouterr()
    assert "encoded 0 images" in streams.err
    before = digests(one)
    assert evaluate(data, one, "--detector", "incontext", "spade") == 0
    assert digests(one) == before
    assert evaluate(data, two, "--cache", "off", "--detector", "incontext", "spade") == 0
    assert digests(two) == before
    times = json.loads((one / "timings.json").read_text())
    assert set(times["contenders"]) == {"incontext", "spade"}


def start(data: Path, out: Path, cache: Path) -> "subprocess.Popen[bytes]":
    """With one thread: what is compared byte by byte must all be run by this."""
    command = [sys.executable, "-m", "inctrl", "evaluate", "--data", str(data), *SMALL]
    return subprocess.Popen(
        [*command, "--detector", "incontext", "padim", "--out", str(out), "--cache", str(cache)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def test_killed_at_any_moment_it_goes_on_to_the_same_bytes(data: Path, tmp_path: Path) -> None:
    """The cells that are there say when: after the first of 16, and in the middle."""
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert start(data, whole, tmp_path / "other").wait() == 0
    for finished in (1, 9):
        process = start(data, killed, tmp_path / "cache")
        while process.poll() is None and len(list((killed / "cells").glob("*.json"))) < finished:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert start(data, killed, tmp_path / "cache").wait() == 0
    assert digests(killed) == digests(whole)


def test_two_at_once_in_one_folder_do_no_harm(data: Path, tmp_path: Path) -> None:
    whole, shared = tmp_path / "whole", tmp_path / "shared"
    assert start(data, whole, tmp_path / "other").wait() == 0
    processes = [start(data, shared, tmp_path / "cache") for _ in range(2)]
    assert [process.wait() for process in processes] == [0, 0]
    assert digests(shared) == digests(whole)


def test_going_on_with_other_threads_is_told(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, flags = tmp_path / "out", ("--only", "plain", "--detector", "incontext")
    for threads in (1, 3):
        monkeypatch.setattr("torch.get_num_threads", lambda threads=threads: threads)
        assert evaluate(data, out, *flags) == 0
        assert "different machines or numbers of threads" not in capsys.readouterr().err
    [only] = json.loads((out / "results.json").read_text())["machines"]
    assert re.search(r", 1 thread, torch \S+$", only), "kept cells tell where they were computed"
    assert evaluate(data, out, *flags, "spade") == 0
    assert "different machines or numbers of threads" in capsys.readouterr().err
    told = json.loads((out / "results.json").read_text())["machines"]
    assert [re.findall(r"(\d) threads?", one) for one in told] == [["1"], ["3"]]
    assert "; ".join(told) in (out / "report.html").read_text()


def test_help_is_quick_and_loads_no_torch() -> None:
    code = (
        "import sys; from inctrl.cli.main import build_parser; build_parser(); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "numpy", "rich"} & set(done.stdout.split())


def refused(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line on stderr after those of the reading."""
    lines = [
        line for line in capsys.readouterr().err.splitlines() if not line.startswith("reading")
    ]
    assert len(lines) == 1
    return lines[0]


def test_a_shot_among_the_test_images_ends_it_before_anything_is_written(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for i in range(6):
        save(data / f"field/test/good/1{i}.png", picture(i))
    assert evaluate(data, tmp_path / "out") == 2
    line = refused(capsys)
    assert "field/train/good/" in line
    assert "5 shots are test images" in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--detector", "patchcor"], "did you mean 'patchcore'"),
        (["--detector", "patchcore:nope=1"], "unknown option"),
        (["--detector", "spade", "spade"], "named twice"),
        (["--exclude", "feild"], "did you mean 'field'"),
        (["--shots", "2", "50"], "k=50 is more than"),
        (["--protocol", "inctrl"], "protocol inctrl is for k = 2 4 8"),
        (["--group-by", "group"], "names no group"),
        (["--alpha", "2"], "alpha 2"),
        (["--cache-size", "0"], "--cache-size 0"),
        (["--cache-size", "-1"], "--cache-size -1"),
        (["--cache-size", "inf"], "--cache-size inf"),
        (["--cache-size", "nan"], "--cache-size nan"),
        (["--audit", "--json"], "leave one out"),
        (["--adapter", "none-such"], "unknown adapter"),
    ],
)
def test_wrong_arguments_are_one_line_and_exit_2(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: list[str], says: str
) -> None:
    assert evaluate(data, tmp_path / "out", *flags) == 2
    assert says in refused(capsys)
    assert not (tmp_path / "out").exists()


def test_a_folder_of_somebody_else_is_refused_before_anything_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.tex").touch()
    assert evaluate(tmp_path / "no-data", tmp_path / "mine") == 7
    assert "thesis.tex" in refused(capsys)


def test_an_unreadable_test_image_is_named_and_exits_5(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (data / "field/test/good/00.png").write_bytes(b"nothing")
    assert evaluate(data, tmp_path / "out") == 5
    assert "00.png" in refused(capsys)


class Fails(InContext):
    """On one category."""

    def prepare(self, references: object, item: object) -> object:
        if item.name == "field":  # type: ignore[attr-defined]
            raise UsageError("cannot do that")
        return super().prepare(references, item)  # type: ignore[arg-type]


def test_a_contender_that_fails_exits_4_and_the_others_are_there(
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("inctrl.detectors.spade.Spade.prepare", Fails.prepare)
    monkeypatch.setattr("inctrl.detectors.spade.Spade.score", None)
    assert evaluate(data, tmp_path / "out", "--only", "field", "--detector", "spade", "padim") == 4
    streams = capsys.readouterr()
    assert "1 failed and are n/a: spade on made/field: cannot do that" in streams.err
    assert re.search(r"^spade +n/a +n/a$", streams.out, re.MULTILINE)
    assert re.search(r"^padim +\d", streams.out, re.MULTILINE)


def test_an_adapter_that_was_trained_on_test_images_is_said(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = [
        stored_digest(decode(file))[:16] for file in sorted(data.glob("field/test/*/*.png"))[:5]
    ]
    mine = write_adapter(tmp_path / "mine", images=" ".join(seen))
    evaluate(data, tmp_path / "out", "--adapter", str(mine))
    note = "inctrl (mine) was trained on 5 of 8 test images of made/field: its figures there"
    assert f"WARNING: {note}" in capsys.readouterr().err
    [first, *_] = json.loads((tmp_path / "out/results.json").read_text())["notes"]
    assert first.startswith(note)


def test_results_of_other_options_are_replaced_with_a_word(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for detectors, said in (
        (["incontext"], ""),
        (["incontext", "spade"], ""),
        (["spade"], "with other options are replaced (detector incontext)"),
        (["spade", "--alpha", "0.2"], "are replaced (alpha 0.05)"),
    ):
        assert evaluate(data, tmp_path / "out", "--only", "plain", "--detector", *detectors) == 0
        err = capsys.readouterr().err
        assert ("are replaced" in err) == bool(said)
        assert not said or said in err


def test_a_mean_over_fewer_categories_is_marked() -> None:
    whole = evaluation(categories=CATEGORIES[:3])
    assert "*" not in summary(whole)
    cells = [c for c in whole.cells if (c.contender, c.category) != ("patchcore", "cable")]
    lines = summary(dataclasses.replace(whole, cells=tuple(cells))).splitlines()
    assert re.fullmatch(r"patchcore( +\d+\.\d\d \+- *\d+\.\d\d\*){3}", lines[5])
    assert "*" not in lines[4]
    assert lines[6] == FEWER


def test_names_break_no_line() -> None:
    found = evaluation([contender("a\nb\x1b[2J")], [("s\nt", "c", False, 5, 5)])
    assert "a\\nb\\x1b[2J " in summary(found)
    assert "s\\nt, 1 category" in summary(found)
    line = audit_line(Finding("a\nb", "s/c", "all", 1.0, "", "not\nso"))
    assert line == "FAIL  a\\nb  s/c  all  not\\nso\n"


def test_a_reason_breaks_no_line_of_the_watch(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_set(tmp_path / "set", "a\nb")
    plan = plan_of(tmp_path / "set", [entrant()])
    watch = Watch(plan, lines=True)
    watch.failed("in\ncontext", plan.categories[0], "no\x1bgood")
    assert watch.faults == ["in\\ncontext on set/a\\nb: no\\x1bgood"]
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_the_audit_passes_and_writes_nothing(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(data, tmp_path / "out", "--audit", "--detector", "incontext", "padim") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 * 2 * 7
    assert all(line.startswith("pass  ") for line in lines)
    assert not (tmp_path / "out").exists()


def test_a_leak_is_named_and_exits_1(
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    honest = InContext.score

    def scaled(self: InContext, queries: object, context: object) -> Prediction:
        made = honest(self, queries, context)  # type: ignore[arg-type]
        return Prediction(made.score / made.score.max(), made.anomaly_map)

    monkeypatch.setattr(InContext, "score", scaled)
    assert evaluate(data, tmp_path / "out", "--audit", "--only", "field") == 1
    streams = capsys.readouterr()
    assert re.search(r"^FAIL  incontext  made/field  alone  moved .*png\)$", streams.out, re.M)
    assert "audit failed: " in streams.err


def test_a_cache_too_small_for_a_second_run_is_said(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ("--only", "field", "--cache-size")
    evaluate(data, tmp_path / "out", *flags, "0.00001")
    assert "give --cache-size" in capsys.readouterr().err
    evaluate(data, tmp_path / "other", *flags, "1")
    assert "--cache-size" not in capsys.readouterr().err


def test_json_is_the_document_that_is_written(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(data, tmp_path / "out", "--only", "plain", "--json", "-q") == 0
    streams = capsys.readouterr()
    assert json.loads(streams.out) == json.loads((tmp_path / "out/results.json").read_text())
    assert streams.err == ""


def test_without_out_each_evaluation_has_a_folder_of_its_own(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert run(["evaluate", "--data", str(data), "--only", "plain", *SMALL, "-q"]) == 0
    assert {path.name for path in Path("runs").iterdir()} == {"evaluate-1", "evaluate-2"}
