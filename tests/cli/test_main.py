"""The command line as a whole: streams, exit codes, settings, start-up."""

import argparse
import os
import subprocess
import sys
from pathlib import Path

import pytest
from labelled import write_set

from inctrl import __version__
from inctrl.backbones.precision import native_bfloat16
from inctrl.cli.main import build_parser, main, run
from inctrl.cli.options import apply_settings
from inctrl.errors import UsageError


@pytest.mark.parametrize("module", ["inctrl", "inctrl.cli.main"])
def test_starting_up_loads_no_torch(module: str) -> None:
    code = f"import sys, {module}; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_public_names_are_there_on_first_use() -> None:
    code = "import inctrl; [getattr(inctrl, name) for name in inctrl.__all__]"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, says in ((["--help"], "detect"), (["--version"], __version__)):
        with pytest.raises(SystemExit, match="0"):
            main(arguments)
        assert says in capsys.readouterr().out


def test_every_command_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    grouped = ("adapters", "train")
    for command in ("detect", "detectors", "backbones", "doctor", *grouped):
        with pytest.raises(SystemExit, match="0"):
            run([command, "--help"])
        assert "--verbose" in capsys.readouterr().out or command in grouped
    for method in ("coop", "regad"):
        with pytest.raises(SystemExit, match="0"):
            run(["train", method, "--help"])
        assert "--epochs" in capsys.readouterr().out


def test_wrong_usage_ends_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    both = ["detect", "x.png", "--normal", "a.png", "--context", "b"]
    for arguments in ([], ["detect"], both, ["frobnicate"]):
        assert run(arguments) == 2
        error = capsys.readouterr().err
        assert error.startswith("inctrl: ")
        assert error.count("\n") == 1


DETECT = ["detect", "q.png", "--normal", "n"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["detct"], "unknown command 'detct'; did you mean 'detect'?"),
        (["Detect", "q.png"], "unknown command 'Detect'; did you mean 'detect'?"),
        (["sets", "lst"], "unknown action 'lst'; did you mean 'list'?"),
        (["train", "regd", "--data", "x"], "unknown method 'regd'; did you mean 'regad'?"),
        (
            [*DETECT, "--detecter", "padim"],
            "unknown option '--detecter'; did you mean '--detector'",
        ),
        (
            [*DETECT, "--image_size=64"],
            "unknown option '--image_size'; did you mean '--image-size'",
        ),
        ([*DETECT, "--norm"], "unknown option '--norm'; did you mean '--normal'"),
        (["detect", "q.png", "-normal", "n"], "'-normal'; did you mean '--normal'"),
        (["detect", "q.png", "--norml", "n"], "unknown option '--norml'; did you mean '--normal'"),
        (["train", "--dta", "x", "--name", "y"], "unknown option '--dta'; did you mean '--data'"),
        (["--store", "x", "sets", "list"], "options of a command stand behind it"),
        (["detect", "q.png", "\u2014normal", "n"], "write --normal"),
        ([*DETECT, "--fit", "squsah"], "unknown --fit 'squsah'; did you mean 'squash'?"),
        ([*DETECT, "--alpha", "0,05"], "write a point: 0.05"),
        ([*DETECT, "--image-size", "64,5"], "invalid int value: '64,5'; `inctrl detect"),
        ([*DETECT, "--batch", "many"], "invalid int value: 'many'"),
        (
            ["detect", "--normal", "n", "q.png"],
            "--normal takes all that follows it; put QUERY before",
        ),
        ([], "COMMAND (known: adapters, backbones, data, "),
        (["sets"], "ACTION (known: add, "),
        (["doctor", "twice"], "'twice' is one word more than `inctrl doctor` takes"),
        ([*DETECT, "--detector", "patchcor"], "did you mean 'patchcore'?"),
        ([*DETECT, "--detector", "PaDiM"], "did you mean 'padim'?"),
        ([*DETECT, "-o", "topshare=0.1"], "did you mean 'top_share'?"),
        ([*DETECT, "--backbone", "tyni"], "did you mean 'tiny'?"),
        ([*DETECT, "--domain", "industral"], "did you mean 'industrial'?"),
        ([*DETECT, "--alpha", "5"], "0.05 for 5 %"),
        (["detectors", "spde"], "did you mean 'spade'?"),
        (["data", "mvtc:x"], "did you mean 'mvtec'?"),
        (["data", "mvtc"], "did you mean 'mvtec'?"),
        (["adapters", "show", "ofical"], "unknown adapter 'ofical'"),
        (["evaluate", "--data", "x", "--only"], "expected at least one argument"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_word_is_one_line_with_the_word_that_was_meant(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    images = IMAGES / "normal"
    place = {"q.png": str(IMAGES / "query" / "hole.png"), "n": str(images)}
    assert run([place.get(word, word) for word in arguments]) in (2, 5)
    error = capsys.readouterr().err
    assert says in error
    assert (error.count("\n"), error.startswith("inctrl: ")) == (1, True)


def test_a_bug_is_one_line_and_a_traceback_only_on_request(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: argparse.Namespace) -> int:
        raise ZeroDivisionError("something\nodd")

    monkeypatch.setattr("inctrl.cli.backbones.run", broken)
    assert run(["backbones"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("inctrl: bug: ZeroDivisionError: something odd")
    assert "Traceback" not in error
    assert run(["backbones", "-v"]) == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("raised", "code"), [(KeyboardInterrupt, 130), (MemoryError, 7), (OSError(28, "full"), 7)]
)
def test_exit_codes_tell_what_happened(
    raised: BaseException, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(_: argparse.Namespace) -> int:
        raise raised

    monkeypatch.setattr("inctrl.cli.backbones.run", stop)
    assert run(["backbones"]) == code


IMAGES = Path(__file__).parents[2] / "demos" / "images" / "brick"


def started(how: str, arguments: list[str], tmp_path: Path) -> int:
    """The exit code of a command whose output goes nowhere."""
    command = [sys.executable, "-m", "inctrl", *arguments]
    if how == "closed":
        command = ["sh", "-c", 'exec >&- 2>&-; exec "$@"', "sh", *command]
    reader, nobody = os.pipe()
    os.close(reader)
    own = {"INCTRL_ADAPTERS": str(tmp_path), "INCTRL_CACHE": "off"}
    done = subprocess.run(command, stdout=nobody, stderr=nobody, env={**os.environ, **own})
    os.close(nobody)
    return done.returncode


@pytest.mark.parametrize("how", ["closed", "left"])
@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("--help", 0),
        ("detect", 2),
        ("detectors", 0),
        ("adapters list", 0),
        ("sets list --store {out}", 2),
        ("detect {query} --normal {normal} --out {out}", 0),
        ("detect {query} --normal {normal} --out {out} --json --fail-on anomalous", 3),
        ("detect none.png --normal {normal} --out {out}", 4),
        ("evaluate --data {data} --image-size 64 --shots 2 --seeds 1 --out {out}", 0),
    ],
)
def test_streams_that_are_closed_or_that_nobody_reads_cost_no_result(
    command: str, code: int, how: str, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    places = {"out": out, "query": IMAGES / "query" / "hole.png", "normal": IMAGES / "normal"}
    if "{data}" in command:
        places["data"] = write_set(tmp_path / "made", "plain", masks=False).parent
    assert started(how, command.format(**places).split(), tmp_path) == code
    assert (out / "report.html").is_file() == (code != 2 and "{out}" in command)


@pytest.mark.parametrize(("closed", "other"), [(1, "stderr"), (2, "stdout")])
def test_the_other_stream_says_what_it_says_else(closed: int, other: str) -> None:
    command = [sys.executable, "-m", "inctrl", "detectors", "--config", "none.toml"]
    texts = []
    for shell in ('exec "$@"', f'exec {closed}>&-; exec "$@"'):
        both = ["sh", "-c", shell, "sh", *(command if closed == 1 else command[:-2])]
        done = subprocess.run(both, capture_output=True, text=True)
        texts.append((done.returncode, getattr(done, other)))
    assert texts[0] == texts[1]
    assert texts[0][1].strip()


def test_a_full_disk_behind_stdout_is_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "inctrl", "detectors"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert (done.returncode, done.stderr) == (7, "inctrl: No space left on device\n")


def settings(argv: list[str]) -> argparse.Namespace:
    parser = build_parser()
    apply_settings(parser, argv)
    return parser.parse_args(argv)


def test_flag_beats_environment_beats_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "inctrl.toml"
    config.write_text("alpha = 0.2\nbatch = 3\nimage-size = 96\n")
    monkeypatch.setenv("INCTRL_BATCH", "4")
    monkeypatch.setenv("INCTRL_PRECISION", "float32")
    argv = ["detect", "q.png", "--normal", "n", "--config", str(config)]
    args = settings(argv)
    assert (args.alpha, args.batch, args.image_size) == (0.2, 4, 96)
    assert settings([*argv, "--batch", "5"]).batch == 5
    assert args.precision == "float32"
    assert settings([*argv, "--precision", "auto"]).precision == "auto"


def test_an_unknown_setting_is_named(tmp_path: Path) -> None:
    config = tmp_path / "inctrl.toml"
    config.write_text("alfa = 0.2")
    with pytest.raises(UsageError, match="did you mean 'alpha'"):
        settings(["detect", "q.png", "--normal", "n", "--config", str(config)])
    with pytest.raises(UsageError, match="cannot be read"):
        settings(["detect", "q.png", "--normal", "n", "--config", str(tmp_path / "none.toml")])


def test_a_wrong_value_in_the_environment_is_a_usage_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("INCTRL_BATCH", "many")
    with pytest.raises(UsageError, match="--batch: invalid int value"):
        settings(["detect", "q.png", "--normal", "n"])


def test_doctor_runs_the_main_job_and_dials_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor"]) == 0
    text = capsys.readouterr().out
    assert "0 outbound connections attempted" in text
    assert "scored 2 images against 3" in text
    assert "torch" in text
    assert "bfloat16" in text if native_bfloat16() else "neither AMX nor" in text


def test_backbones_lists_what_is_at_hand(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["backbones"]) == 0
    text = capsys.readouterr().out
    assert "tiny (embedded)" in text
    assert "duo (embedded)" in text


def test_doctor_names_the_cache_that_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("inctrl.cli.doctor.self_test", lambda: (0.0, []))
    for setting, shown in ((str(tmp_path), f"{tmp_path}: 0 images"), ("off", "off")):
        monkeypatch.setenv("INCTRL_CACHE", setting)
        assert run(["doctor"]) == 0
        [line] = [x for x in capsys.readouterr().out.splitlines() if x.startswith("feature cache")]
        assert shown in line
