"""`inctrl detect` on shots and queries that are not of one kind: told in words, not refused."""

import json
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from numpy.typing import NDArray

from inctrl.cli.main import run

BRICK = Path(__file__).parents[2] / "demos" / "images" / "brick"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INCTRL_CACHE", str(tmp_path_factory.getbasetemp() / "features"))


def plate(seed: int) -> NDArray[np.uint16]:
    """A textured plate with a plateau of 4000 on the right."""
    random = np.random.default_rng(seed)
    values = random.normal(2000, 60, (96, 96))
    values += random.uniform(-300, 300, (12, 12)).repeat(8, axis=0).repeat(8, axis=1)
    values[:, 48:] = random.normal(4000, 3, (96, 48))
    return values.astype(np.uint16)


def detect(folder: Path, *queries: str) -> list[dict[str, object]]:
    out = folder / "out"
    shots = ["--normal", str(folder / "normal"), "--out", str(out), "--overwrite"]
    named = (q if q.startswith("-") else str(folder / q) for q in queries)
    assert run(["detect", *named, *shots]) == 0
    loaded: list[dict[str, object]] = json.loads((out / "scores.json").read_text())["results"]
    return loaded


def test_a_spot_beyond_the_window_is_found_and_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "normal").mkdir()
    for seed in range(4):
        PIL.Image.fromarray(plate(seed)).save(tmp_path / f"normal/{seed}.tif")
    good, hot, spot = plate(9), plate(9), plate(9)
    hot[10, 10] = hot[70, 60] = 65_535
    spot[40:52, 60:72] = 65_000
    for name, values in (("good", good), ("hot", hot), ("spot", spot)):
        PIL.Image.fromarray(values).save(tmp_path / f"{name}.tif")
    found = detect(tmp_path, "good.tif", "hot.tif", "spot.tif")
    assert [row["verdict"] for row in found] == ["normal", "normal", "anomalous"]
    said = "1.6 % of the pixels lie far above the normal images"
    assert said in str(found[2]["notes"])
    assert "(up to 65000)" in str(found[2]["notes"])
    assert said in (tmp_path / "out/report.html").read_text()
    error = capsys.readouterr().err
    assert f"spot.tif: {said}" in error
    assert "hot.tif:" not in error
    detect(tmp_path, "spot.tif", "--quiet")
    assert capsys.readouterr().err == ""


def test_copies_of_one_photograph_and_other_proportions_are_warned_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "normal").mkdir()
    photograph = PIL.Image.open(sorted((BRICK / "normal").glob("*.png"))[0]).convert("RGB")
    for quality in (95, 80, 65, 50):
        photograph.save(tmp_path / f"normal/{quality}.jpg", quality=quality)
    other = PIL.Image.open(sorted((BRICK / "query").glob("good*.png"))[0]).convert("RGB")
    other.resize((256, 64)).save(tmp_path / "wide.png")
    [wide] = detect(tmp_path, "wide.png")
    assert wide["verdict"] == "undecided"
    assert "its proportions (256 x 64) are not those of the shots (128 x 128)" in str(wide["notes"])
    report = (tmp_path / "out/report.html").read_text()
    for text in (capsys.readouterr().err, report):
        assert "are nearly copies of" in text


def test_how_queries_differ_from_the_shots_is_told_once_for_all_that_differ_alike(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The report alone would be read too late, and a line for each would hide the verdicts."""
    (tmp_path / "normal").mkdir()
    for seed in range(4):
        shot = PIL.Image.fromarray((plate(seed) // 32).astype(np.uint8))
        shot.save(tmp_path / "normal" / f"{seed}.png")
    for seed in range(4, 7):
        query = PIL.Image.fromarray((plate(seed) // 96).astype(np.uint8))
        query.save(tmp_path / f"dark{seed}.png")
    shot.save(tmp_path / "again.png")
    detect(tmp_path, "dark4.png", "dark5.png", "dark6.png", "again.png")
    told = [line for line in capsys.readouterr().err.splitlines() if "shot" in line]
    names = ", ".join(str(tmp_path / f"dark{seed}.png") for seed in range(4, 7))
    assert len(told) == 2
    assert told[0].endswith("darker than the shots: its score may be higher for that alone")
    assert names in told[0]
    assert "this image is also the normal shot" in told[1]
