"""`inctrl detect` on real photographs and on everything that is not one."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from fakes import FakeBackbone

import inctrl
from inctrl.cli.main import run

IMAGES = Path(__file__).parents[2] / "demos" / "images" / "brick"
SHOTS = [str(path) for path in sorted((IMAGES / "normal").glob("*.png"))[:4]]
HOLE, GOOD = str(IMAGES / "query" / "hole.png"), str(IMAGES / "query" / "good-1.png")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """One cache for all tests here, and none of the user's."""
    monkeypatch.setenv("INCTRL_CACHE", str(tmp_path_factory.getbasetemp() / "features"))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def detect(
    out: Path, *queries: str, normal: list[str] | None = None, flags: tuple[str, ...] = ()
) -> int:
    return run(["detect", *queries, "--normal", *(normal or SHOTS), "--out", str(out), *flags])


def table(out: Path) -> list[dict[str, str]]:
    with (out / "scores.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def scores(out: Path) -> dict[str, object]:
    loaded: dict[str, object] = json.loads((out / "scores.json").read_text())
    return loaded


def test_the_main_job(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert detect(out, HOLE, GOOD) == 0
    streams = capsys.readouterr()
    assert [line.split()[0] for line in streams.out.splitlines()] == ["anomalous", "normal"]
    assert str(out / "report.html") in streams.err
    rows = table(out)
    assert [row["verdict"] for row in rows] == ["anomalous", "normal"]
    for row in rows:
        assert np.load(out / row["map"])["anomaly_map"].shape == (128, 128)
        with PIL.Image.open(out / row["overlay"]) as overlay:
            assert overlay.size == (128, 128)
    assert "<html" in (out / "report.html").read_text()
    assert not list(out.parent.glob("*.partial"))


def test_the_api_gives_the_same_to_1e_6(out: Path) -> None:
    detect(out, HOLE, GOOD)
    written = scores(out)["results"]
    assert isinstance(written, list)
    results = inctrl.Inspector.load("tiny", cache="off").fit(SHOTS).inspect([HOLE, GOOD])
    for row, result in zip(written, results, strict=True):
        assert row["score"] == pytest.approx(result.score, abs=1e-6)
        assert row["threshold"] == pytest.approx(result.threshold, abs=1e-6)
        assert row["verdict"] == result.verdict
        seen = np.load(out / row["map"])["anomaly_map"]
        np.testing.assert_allclose(seen, result.anomaly_map, atol=1e-6)


def test_a_context_is_prepared_once_and_used_again(tmp_path: Path) -> None:
    context = str(tmp_path / "bricks")
    detect(tmp_path / "a", HOLE, flags=("--save-context", context, "--alpha", "0.05"))
    code = run(["detect", HOLE, "--context", context, "--out", str(tmp_path / "b")])
    assert code == 0
    [before], [after] = scores(tmp_path / "a")["results"], scores(tmp_path / "b")["results"]  # type: ignore[misc]
    assert after["score"] == pytest.approx(before["score"], abs=1e-6)
    assert after["threshold"] == before["threshold"]


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Shots prepared by the default detector, with sentences of another bank than the default."""
    folder = tmp_path_factory.mktemp("context") / "bricks"
    flags = ("--save-context", str(folder), "--domain", "industrial", "-o", "top_share=0.02")
    assert detect(folder.with_name("run"), HOLE, flags=flags) == 0
    return str(folder)


@pytest.mark.parametrize(
    ("flags", "difference"),
    [
        (("--detector", "patchcore"), "by incontext, not patchcore"),
        (("--detector", "coop"), "by incontext, not coop"),
        (("--image-size", "96"), "with image size 288, not 96"),
        (("--layers", "stride16"), "with layers stride16,stride32, not stride16"),
        (("--backbone", "pixels"), "with backbone 'tiny', not 'pixels'"),
        (("--backbone", "cnn:resnet18"), "with backbone 'tiny', not 'cnn:resnet18'"),
        (("--fit", "crop"), "with fit 'squash', not 'crop'"),
        (("-o", "top_share=0.5"), "with top_share 0.02, not 0.5"),
        (("--domain", "medical"), "with sentences of bank 'industrial', not of bank 'medical'"),
        (
            ("--image-size", "96", "--fit", "pad"),
            "with image size 288, not 96 and fit 'squash', not 'pad'",
        ),
    ],
)
def test_a_context_of_another_inspector_is_refused_and_the_difference_named(
    context: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    flags: tuple[str, ...],
    difference: str,
) -> None:
    assert run(["detect", HOLE, "--context", context, "--out", str(tmp_path / "b"), *flags]) == 6
    line = one_line(capsys)
    assert line.startswith(f"inctrl: context {context!r} was prepared {difference}; ")


def test_what_is_not_given_is_as_the_context_has_it(context: str, tmp_path: Path) -> None:
    """Options and sentences too; what is given again with the same value changes nothing."""
    command = ["detect", HOLE, "--context", context, "--out"]
    assert run([*command, str(tmp_path / "a")]) == 0
    assert run([*command, str(tmp_path / "b"), "-o", "text_weight=0.1"]) == 0
    cards = [scores(tmp_path / name)["card"] for name in "ab"]
    assert cards[0] == cards[1]
    assert cards[0]["options"]["top_share"] == 0.02  # type: ignore[index]
    assert cards[0]["text_prior"] == "bank 'industrial'"  # type: ignore[index]


def test_what_is_set_for_all_runs_yields_to_what_a_context_records(
    context: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A setting is for runs that say nothing else; a flag beside it still counts."""
    config = tmp_path / "inctrl.toml"
    config.write_text('alpha = 0.4\nimage-size = 96\nbackbone = "pixels"\n')
    monkeypatch.setenv("INCTRL_FIT", "crop")
    monkeypatch.setenv("INCTRL_PRECISION", "bfloat16")  # which none of these backbones has
    command = ["detect", HOLE, "--context", context, "--config", str(config), "--out"]
    assert run([*command, str(tmp_path / "a")]) == 0
    scored = scores(tmp_path / "a")
    assert (scored["card"]["image_size"], scored["card"]["fit"]) == (288, "squash")  # type: ignore[index]
    assert scored["calibration"]["alpha"] == 0.05  # type: ignore[index]
    capsys.readouterr()
    assert run([*command, str(tmp_path / "b"), "--fit=crop"]) == 6
    assert "was prepared with fit 'squash', not 'crop'" in one_line(capsys)


@pytest.fixture(scope="module")
def turned(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Shots prepared with their turns, and in tiles."""
    folder = tmp_path_factory.mktemp("turned") / "bricks"
    flags = ("--save-context", str(folder), "--orientation", "any", "--tiles", "2")
    assert detect(folder.with_name("run"), HOLE, flags=flags) == 0
    return str(folder)


def test_turns_and_tiles_are_recorded_and_come_back_with_a_context(
    turned: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = scores(Path(turned).with_name("run"))
    same = ("--orientation", "any", "--tiles", "2")
    for name, flags in (("a", ()), ("b", same)):
        out = str(tmp_path / name)
        assert run(["detect", HOLE, "--context", turned, "--out", out, *flags]) == 0
        after = scores(tmp_path / name)
        assert (after["card"]["orientation"], after["card"]["tiles"]) == ("any", 2)  # type: ignore[index]
        assert after["results"][0]["score"] == pytest.approx(  # type: ignore[index]
            before["results"][0]["score"],  # type: ignore[index]
            abs=1e-6,
        )
        assert after["results"][0]["evidence"] == before["results"][0]["evidence"]  # type: ignore[index]
    assert "any way round" in (tmp_path / "a/report.html").read_text()
    capsys.readouterr()
    clash = ["--orientation", "fixed", "--tiles", "auto"]
    assert run(["detect", HOLE, "--context", turned, "--out", str(tmp_path / "c"), *clash]) == 6
    assert one_line(capsys).startswith(
        f"inctrl: context {turned!r} was prepared with orientation 'any', not 'fixed' and tiles 2, "
        "not 'auto'; "
    )


def test_as_they_are_nothing_is_said_of_turns_and_tiles(out: Path) -> None:
    assert detect(out, HOLE) == 0
    assert (scores(out)["card"]["orientation"], scores(out)["card"]["tiles"]) == ("fixed", 1)  # type: ignore[index]
    assert "<dt>Seen" not in (out / "report.html").read_text()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--tiles", "0"), "tiles '0' is not 'auto' or a number from 1 to 8"),
        (("--tiles", "many"), "tiles 'many' is not 'auto'"),
        (("--tiles", ""), "tiles '' is not 'auto'"),
        (("--tiles", "2", "--fit", "crop"), "fit 'crop' leaves out the borders"),
        (("--tiles", "auto", "--detector", "padim"), "'padim' does not look for patches at any"),
        (("--orientation", "any", "--detector", "regad"), "'regad' does not look for patches"),
    ],
)
def test_views_that_cannot_be_had_are_refused_in_a_line(
    out: Path, capsys: pytest.CaptureFixture[str], flags: tuple[str, ...], said: str
) -> None:
    assert detect(out, HOLE, flags=flags) == 2
    assert said in one_line(capsys)


def test_a_name_that_is_none_is_told_before_any_difference(
    context: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["detect", HOLE, "--context", context, "--out", str(tmp_path / "b")]
    for flag, name, near in (
        ("--detector", "patchcor", "patchcore"),
        ("--backbone", "tny", "tiny"),
    ):
        assert run([*command, flag, name]) == 2
        assert f"did you mean {near!r}" in one_line(capsys)


def test_json_on_stdout_is_one_document(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert detect(out, GOOD, flags=("--json", "--quiet")) == 0
    assert json.loads(capsys.readouterr().out) == scores(out)


def test_fail_on_anomalous(tmp_path: Path) -> None:
    assert detect(tmp_path / "a", GOOD, flags=("--fail-on", "anomalous")) == 0
    assert detect(tmp_path / "b", HOLE, flags=("--fail-on", "anomalous")) == 3


def test_odd_names_and_odd_images_are_all_scored(tmp_path: Path, out: Path) -> None:
    odd = tmp_path / "queries"
    (odd / "sub").mkdir(parents=True)
    names = ["a b.png", "quote'\".png", "line\nbreak.png", "日本語é.png", "=formula.png"]
    for name in [*names, "sub/a b.png"]:
        shutil.copy(GOOD, odd / name)
    photograph = PIL.Image.open(GOOD)
    photograph.convert("CMYK").save(odd / "cmyk.tif")
    photograph.convert("RGB").quantize(8).save(odd / "palette.png")
    photograph.convert("LA").save(odd / "la.png")
    photograph.convert("1").save(odd / "bits.png")
    deep = np.asarray(photograph.convert("L")).astype(np.uint16) * 200
    PIL.Image.fromarray(deep).save(odd / "deep.tif")
    photograph.resize((20_000, 10)).save(odd / "long.png")
    (odd / "folder.png").mkdir()
    assert detect(out, str(odd), flags=("--recursive",)) == 0
    rows = table(out)
    assert len(rows) == 12
    assert len({row["map"] for row in rows}) == 12
    for row in rows:
        assert (out / row["overlay"]).is_file()
        assert float(row["score"]) >= 0


def test_unreadable_queries_fail_alone(
    tmp_path: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.jpg").write_text("hello")
    (tmp_path / "cut.png").write_bytes(Path(GOOD).read_bytes()[:2000])
    PIL.Image.new("RGB", (1, 1)).save(tmp_path / "dot.png")
    bad = [
        str(tmp_path / name) for name in ("empty.png", "text.jpg", "cut.png", "dot.png", "no.png")
    ]
    assert detect(out, HOLE, *bad, GOOD) == 4
    streams = capsys.readouterr()
    verdicts = [line.split()[0] for line in streams.out.splitlines()]
    assert verdicts == ["anomalous", *["unreadable"] * 5, "normal"]
    assert "Traceback" not in streams.err
    failures = scores(out)["failures"]
    assert isinstance(failures, list)
    assert [failure["name"] for failure in failures] == bad


def test_an_unreadable_shot_is_left_out_and_said(
    tmp_path: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty.png").touch()
    assert detect(out, GOOD, normal=[*SHOTS, str(tmp_path / "empty.png")]) == 0
    assert "WARNING: normal image left out" in capsys.readouterr().err
    assert any("empty.png" in warning for warning in scores(out)["warnings"])  # type: ignore[attr-defined]


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    """The error on stderr, which has to be a single line without a traceback."""
    lines = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("WARN")]
    assert len(lines) == 1, lines
    return lines[0]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--normal", "{empty}"], 2, "no images in folder"),
        (["--normal", "{text}"], 2, "no normal image can be used"),
        (["--normal", "{shot}", "--backbone", "tinny"], 2, "unknown backbone 'tinny'"),
        (["--normal", "{shot}", "--detector", "padimm"], 2, "unknown detector 'padimm'"),
        (["--normal", "{shot}", "--adapter", "nope"], 2, "unknown adapter 'nope'"),
        (["--normal", "{shot}", "--detector", "inctrl"], 2, "needs a trained adapter"),
        (["--normal", "{shot}", "-o", "top_share"], 2, "KEY=VALUE"),
        (["--normal", "{shot}", "--alpha", "2"], 2, "alpha"),
        (["--normal", "{shot}", "--window", "9", "3"], 2, "LOW must be below HIGH"),
        (["--normal", "{shot}", "--cache", "{text}"], 2, "cache folder"),
        (["--context", "{empty}"], 2, "no saved context"),
        (["--normal", "{shot}", "--backbone", "openclip:ViT-B-32/openai"], 5, "ViT-B-32"),
        (["--normal", "{shot}", "--backbone", "hf:someone/some-model"], 5, "someone/some-model"),
        (["--normal", "{shot}", "--backbone", "cnn:resnet18/a1_in1k"], 5, "resnet18"),
        (["--normal", "{shot}", "--out", "{text}/below"], 7, "below"),
        (["--normal", "{shot}", "--out", "{full}"], 7, "not empty"),
    ],
)
def test_each_mistake_is_one_line_that_names_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, says: str
) -> None:
    places = {name: tmp_path / name for name in ("empty", "full")}
    for place in places.values():
        place.mkdir()
    (places["full"] / "thesis.tex").write_text("precious")
    (tmp_path / "text").write_text("no image")
    filled = [a.format(**places, text=tmp_path / "text", shot=SHOTS[0]) for a in arguments]
    before = sorted(tmp_path.rglob("*"))
    extra = [] if "--out" in filled else ["--out", str(tmp_path / "out")]
    assert run(["detect", GOOD, *filled, *extra]) == code
    assert says in one_line(capsys)
    assert sorted(tmp_path.rglob("*")) == before  # nothing half-written


def test_default_folders_are_fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert run(["detect", GOOD, "--normal", *SHOTS]) == 0
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["detect-1", "detect-2"]


def test_normals_may_be_given_in_several_groups(out: Path) -> None:
    groups = ["--normal", *SHOTS[:2], "--normal", *SHOTS[2:]]
    assert run(["detect", GOOD, *groups, "--out", str(out)]) == 0
    card = scores(out)["card"]
    assert isinstance(card, dict)
    assert card["shot_names"] == SHOTS


def test_one_shot_sets_no_limit_is_undecided_and_shows_where(
    out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert detect(out, HOLE, normal=SHOTS[:1]) == 0
    [result] = scores(out)["results"]  # type: ignore[misc]
    assert result["verdict"] == "undecided"
    assert result["regions"]
    assert (result["threshold"], result["p_value"]) == (None, 1)
    assert "no limit" in capsys.readouterr().out


def test_flags_that_a_saved_context_decides_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    context = str(tmp_path / "bricks")
    detect(tmp_path / "a", HOLE, flags=("--save-context", context))
    capsys.readouterr()
    command = ["detect", HOLE, "--context", context, "--out", str(tmp_path / "b")]
    for flags in (["--item", "x"], ["--window", "0", "9"], ["--save-context", "c"]):
        assert run([*command, *flags]) == 2
        assert "belongs to --normal" in one_line(capsys)
    assert run([*command, "--alpha", "0.3"]) == 0
    calibration = scores(tmp_path / "b")["calibration"]
    assert isinstance(calibration, dict)
    assert calibration["alpha"] == 0.3


def test_an_empty_folder_among_queries_fails_alone(tmp_path: Path, out: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert detect(out, HOLE, str(tmp_path / "empty")) == 4
    assert len(scores(out)["failures"]) == 1  # type: ignore[arg-type]


def test_a_reader_that_leaves_costs_neither_report_nor_exit_code(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "inctrl", "detect", HOLE, "--normal", *SHOTS]
    command += ["--out", str(tmp_path / "out"), "--fail-on", "anomalous"]
    reader, writer = os.pipe()
    os.close(reader)
    code = subprocess.run(command, stdout=writer, stderr=subprocess.DEVNULL, check=False).returncode
    os.close(writer)
    assert code == 3
    assert (tmp_path / "out" / "report.html").is_file()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_leaves_nothing_behind(tmp_path: Path, number: int) -> None:
    code = (
        "import os, signal, sys, inctrl.inspection.inspector, inctrl.inspection.fitted\n"
        "from inctrl.cli.main import main\n"
        # A shell starts jobs in the background with this signal ignored.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "def stop(*_):\n"
        f"    os.kill(os.getpid(), {int(number)})\n"
        "inctrl.inspection.fitted.inspect_together = stop\n"
        "main(sys.argv[1:])"
    )
    command = [sys.executable, "-c", code, "detect", HOLE, "--normal", *SHOTS]
    done = subprocess.run(
        [*command, "--out", str(tmp_path / "out")], capture_output=True, check=False
    )
    assert done.returncode == 128 + number
    assert list(tmp_path.iterdir()) == []


STOPPED = (
    "import os, signal, sys, time, inctrl.inspection.fitted\n"
    "from inctrl.cli.main import main\n"
    "def stop(*_):\n"
    "    {then}\n"
    "inctrl.inspection.fitted.inspect_together = stop\n"
    "main(sys.argv[1:])"
)
KILLED = STOPPED.format(then="os.kill(os.getpid(), signal.SIGKILL)")
AT_WORK = STOPPED.format(then="print('at work', flush=True); time.sleep(100)")


def test_what_a_killed_run_left_stops_no_other(
    tmp_path: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    detect(out, GOOD)
    for flags in (("--overwrite",), ()):
        command = [sys.executable, "-c", KILLED, "detect", HOLE, "--normal", *SHOTS, *flags]
        assert subprocess.run([*command, "--out", str(out)]).returncode == -signal.SIGKILL
        assert (tmp_path / "out.partial" / "overlays").is_dir()
        assert detect(out, HOLE, flags=flags) == 0, capsys.readouterr().err
        assert [path.name for path in tmp_path.iterdir()] == ["out"]
        assert [row["name"] for row in table(out)] == [HOLE]
        shutil.rmtree(out)


def test_of_two_runs_into_one_folder_the_second_is_told_and_exits_6(
    out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [sys.executable, "-c", AT_WORK, "detect", HOLE, "--normal", *SHOTS]
    with subprocess.Popen([*command, "--out", str(out)], stdout=subprocess.PIPE) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == b"at work\n"
        assert detect(out, GOOD) == 6
        assert "is being written by another run" in one_line(capsys)
        first.kill()


def test_quiet_leaves_only_errors(
    tmp_path: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Few shots are warned of: those of a folder and those of a set alike."""
    context, store = str(tmp_path / "context"), ["--store", str(tmp_path / "store")]
    assert run(["sets", "add", "bricks", SHOTS[0], *store, "-q"]) == 0
    capsys.readouterr()
    kept: list[list[str]] = [
        ["--normal", SHOTS[0], "--save-context", context],
        ["--context", context],
        ["--set", "bricks", *store],
    ]
    for source in kept:
        for quiet in ([], ["--quiet"]):
            assert run(["detect", HOLE, *source, "--out", str(out), "--overwrite", *quiet]) == 0
            told = capsys.readouterr().err
            if quiet:
                assert told == ""
            elif source != kept[1]:  # a saved context warned when it was made
                assert "WARNING: " in told
    (tmp_path / "text.png").write_text("no image")
    assert run(["detect", str(tmp_path / "text.png"), *kept[1], "--out", str(out), "-q",
                "--overwrite"]) == 4  # fmt: skip
    assert "text.png" in one_line(capsys)


def test_somebody_elses_partial_folder_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "out.partial").mkdir()
    (tmp_path / "out.partial" / "thesis.tex").write_text("precious")
    assert detect(tmp_path / "out", GOOD, flags=("--overwrite",)) == 7
    assert (tmp_path / "out.partial" / "thesis.tex").read_text() == "precious"


def test_names_beyond_the_terminals_encoding_are_escaped(tmp_path: Path) -> None:
    query = tmp_path / "ünï-日本.png"
    shutil.copy(GOOD, query)
    command = [sys.executable, "-m", "inctrl", "detect", str(query), "--normal", *SHOTS]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(
        [*command, "--out", str(tmp_path / "out"), "--json"],
        env=environment,
        capture_output=True,
        check=True,
    )
    assert json.loads(done.stdout)["results"][0]["verdict"] == "normal"


def offered(monkeypatch: pytest.MonkeyPatch, *, has_text: bool) -> None:
    """Whatever backbone is asked for, the fake one comes."""
    backbone = FakeBackbone(has_text=has_text)
    monkeypatch.setattr("inctrl.inspection.inspector.load_backbone", lambda *_, **__: backbone)


def test_without_normal_images_sentences_rank_and_nothing_is_anomalous(
    out: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    offered(monkeypatch, has_text=True)
    flags = ["--item", "brick", "--domain", "industrial"]
    assert run(["detect", HOLE, GOOD, *flags, "--out", str(out)]) == 0
    streams = capsys.readouterr()
    assert streams.err.startswith("WARNING: no normal image was given")
    for line, name in zip(streams.out.splitlines(), (HOLE, GOOD), strict=True):
        assert line.split()[0] == "undecided"
        assert line.split()[2:] == ["no", "limit", name]
    document = scores(out)
    assert document["card"]["detector"] == "zeroshot"  # type: ignore[index]
    assert document["card"]["text_prior"] == "bank 'industrial'"  # type: ignore[index]
    assert document["calibration"]["threshold"] is None  # type: ignore[index]
    for row in document["results"]:  # type: ignore[attr-defined]
        assert row["threshold"] is row["pixel_limit"] is None
        assert (row["verdict"], row["p_value"]) == ("undecided", 1.0)
    assert "ranked without normal shots" in (out / "report.html").read_text()


def test_a_zero_shot_context_keeps_the_limit_of_its_shots(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offered(monkeypatch, has_text=True)
    context = str(tmp_path / "bricks")
    flags = ("--detector", "zeroshot", "--save-context", context)
    assert detect(tmp_path / "a", HOLE, flags=flags) == 0
    assert run(["detect", HOLE, "--context", context, "--out", str(tmp_path / "b")]) == 0
    [before], [after] = scores(tmp_path / "a")["results"], scores(tmp_path / "b")["results"]  # type: ignore[misc]
    assert after["score"] == before["score"]
    assert after["threshold"] == before["threshold"] is not None


@pytest.mark.parametrize(
    ("flags", "has_text", "says"),
    [
        ([], False, "the backbone has no text tower"),
        (["--detector", "incontext"], True, "'zeroshot' and 'winclip' need none"),
        (["--save-context", "kept"], True, "give them with --normal"),
        (["--fail-on", "anomalous"], True, "can never fire without normal images"),
    ],
)
def test_what_needs_normal_images_asks_for_them_in_one_line(
    out: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    flags: list[str],
    has_text: bool,
    says: str,
) -> None:
    offered(monkeypatch, has_text=has_text)
    assert run(["detect", GOOD, *flags, "--out", str(out)]) == 2
    streams = capsys.readouterr()
    assert streams.err.count("\n") == 1
    assert says in streams.err
    assert not out.exists()


def test_nothing_is_left_in_the_folder_for_temporary_files(tmp_path: Path) -> None:
    """Libraries that torch's compiler comes with make it a cache there."""
    temporary, out = tmp_path / "tmp", tmp_path / "out"
    temporary.mkdir()
    environment = {k: v for k, v in os.environ.items() if k != "TORCHINDUCTOR_CACHE_DIR"}
    subprocess.run(
        [
            *(sys.executable, "-m", "inctrl", "detect", GOOD),
            *("--normal", *SHOTS, "--cache", "off", "--out", str(out)),
        ],
        env={**environment, "TMPDIR": str(temporary)},
        capture_output=True,
        check=True,
    )
    assert (out / "report.html").is_file()
    assert list(temporary.iterdir()) == []
