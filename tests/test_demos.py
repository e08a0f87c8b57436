"""The examples in demos/ run as they stand."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from demos import detect, evaluate, train


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INCTRL_CACHE", str(tmp_path / "cache"))


def test_detect_finds_the_drawn_defects(capsys: pytest.CaptureFixture[str]) -> None:
    detect.main()
    found = [line.split() for line in capsys.readouterr().out.splitlines()]
    verdicts = {name: verdict for verdict, _, name, *_ in found}
    assert {name for name, verdict in verdicts.items() if verdict == "anomalous"} == {
        "crack.png",
        "hole.png",
        "stain.png",
    }


def test_evaluate_writes_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["evaluate", str(tmp_path / "out")])
    with pytest.raises(SystemExit) as ended:
        evaluate.main()
    assert ended.value.code == 0
    assert (tmp_path / "out/report.html").stat().st_size > 10_000
    found = json.loads((tmp_path / "out/results.json").read_text())
    assert {cell["category"] for cell in found["cells"]} == {"brick", "gravel"}


def test_train_uses_what_it_trained_on_bricks(capsys: pytest.CaptureFixture[str]) -> None:
    train.main()
    assert "crack.png" in capsys.readouterr().out
