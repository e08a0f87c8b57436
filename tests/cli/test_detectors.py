"""`inctrl detectors`, and `inctrl detect --detector NAME` for every one that needs no adapter."""

import json
from pathlib import Path

import pytest

from inctrl.cli.main import run
from inctrl.detectors import DETECTORS
from inctrl.detectors.anomalib import MODELS

IMAGES = Path(__file__).parents[2] / "demos" / "images" / "brick"
READY = ["incontext", "patchcore", "spade", "padim", "regad", "winclip", "zeroshot"]


def test_the_list_names_every_detector_and_what_it_needs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["detectors"]) == 0
    said = capsys.readouterr().out
    for name, entry in DETECTORS.items():
        assert f"{name} " in said
        assert entry.about in said
        assert entry.needs in said
    assert all(f"anomalib:{name}" in said for name in MODELS)


@pytest.mark.parametrize("name", [*DETECTORS, "anomalib:padim"])
def test_one_detector_is_shown_with_its_options(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["detectors", name]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"{name}: ")
    if name == "patchcore":
        assert "keep_shots = 8" in said
        assert "up to so many shots are kept whole" in said


def test_a_detector_that_there_is_not_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["detectors", "patchcor"]) == 2
    assert "did you mean 'patchcore'?" in capsys.readouterr().err


@pytest.mark.parametrize("name", READY)
def test_detect_works_with_each_and_its_saved_context_gives_the_same(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    queries = [str(IMAGES / "query" / file) for file in ("good-1.png", "hole.png")]
    shots = [str(path) for path in sorted((IMAGES / "normal").iterdir())[:3]]
    common = ["--json", "--quiet", "--cache", "off"]
    kept, once, again = (str(tmp_path / part) for part in ("kept", "once", "again"))
    first = ["--normal", *shots, "--detector", name, "--item", "brick", "--save-context", kept]
    assert run(["detect", *queries, *first, "--out", once, *common]) == 0
    made = json.loads(capsys.readouterr().out)
    assert run(["detect", *queries, "--context", kept, "--out", again, *common]) == 0
    repeated = json.loads(capsys.readouterr().out)
    rows, others = made["results"], repeated["results"]
    assert [row["score"] for row in rows] == pytest.approx([row["score"] for row in others])
    assert [row["verdict"] for row in rows] == [row["verdict"] for row in others]
    assert len(list((tmp_path / "once" / "maps").iterdir())) == 2
    if name != "zeroshot":
        assert rows[1]["score"] > rows[0]["score"]
