"""The same images score the same by every way: command line, Python, REST with shots or a set."""

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest
from awkward import NAMES, SPOTS, normals, queries
from live import Live, live

from inctrl import Inspector
from inctrl.cli.main import run
from inctrl.types import Failure, Result

DEMOS = Path(__file__).resolve().parents[2] / "demos" / "images"
NORMALS = sorted((DEMOS / "gravel" / "normal").glob("*.png"))[:4]
QUERIES = sorted((DEMOS / "gravel" / "query").glob("*.png"))


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with live(tmp_path_factory.mktemp("agreement"), backbone="tiny") as running:
        yield running


def by_command_line(
    tmp_path: Path, images: list[Path], shots: list[Path], item: str, code: int = 0
) -> dict[str, float | None]:
    out = tmp_path / "out"
    assert run(["detect", *map(str, images), "--normal", *map(str, shots), "--item", item,
                "--out", str(out), "--cache", "off", "--quiet"]) == code  # fmt: skip
    with (out / "scores.csv").open(encoding="utf-8", newline="") as file:
        return {
            Path(row["name"]).name: float(row["score"]) if row["score"] else None
            for row in csv.DictReader(file)
        }


def test_all_ways_agree_to_one_in_a_million(service: Live, tmp_path: Path) -> None:
    fitted = Inspector.load("tiny", cache="off").fit(NORMALS, item="gravel")
    here = fitted.inspect(QUERIES)
    with service.client() as client:
        client.create_set("gravel", NORMALS, item="gravel")
        registered = client.detect(QUERIES, set="gravel")
        inline = client.detect(QUERIES, shots=NORMALS, item="gravel")
    scores = [result.score for result in here]
    assert len(set(scores)) == len(QUERIES) >= 4
    for other in (registered, inline):
        assert [one.score for one in other.results] == pytest.approx(scores, abs=1e-6)
        assert other.limit.threshold == pytest.approx(fitted.calibration.threshold, abs=1e-6)
        assert [one.verdict for one in other.results] == [result.verdict for result in here]
        assert [one.sha256 for one in other.results] == [result.image.sha256 for result in here]
    told = by_command_line(tmp_path, QUERIES, NORMALS, "gravel")
    assert [told[path.name] for path in QUERIES] == pytest.approx(scores, abs=1e-6)


def test_all_ways_agree_on_awkward_files(service: Live, tmp_path: Path) -> None:
    """Stacks, animations, turned, inverted, clear and unreadable files: `tests/awkward.py`."""
    shots, images = normals(tmp_path / "normal"), queries(tmp_path / "query")
    fitted = Inspector.load("tiny", cache="off").fit(shots, item="part")
    here = list(fitted.stream(images))
    assert [Path(one.name).name for one in here] == list(NAMES)
    *read, refused = here
    assert isinstance(refused, Failure)
    assert "float64, 1 channel" in refused.error
    results = [one for one in read if isinstance(one, Result)]
    assert len(results) == len(NAMES) - 1
    assert {i for i, one in enumerate(results) if one.verdict == "anomalous"} >= set(SPOTS)
    scores = [one.score for one in results]
    with service.client() as client:
        client.create_set("awkward", shots, item="part")
        registered = client.detect(images, set="awkward")
        inline = client.detect(images, shots=shots, item="part")
        assert {shot.name for shot in client.set("awkward").shots} == {
            "good-0.png", "good-1.png", "good-2-3.tif#1", "good-2-3.tif#2",
        }  # fmt: skip
    for other in (registered, inline):
        *rest, last = other.results
        assert [one.name for one in other.results] == list(NAMES)
        assert [one.index for one in other.results] == [0, 0, 1, 2, 2, 3, 4, 5, 6]
        assert [one.score for one in rest] == pytest.approx(scores, abs=1e-6)
        assert [one.verdict for one in rest] == [one.verdict for one in results]
        assert last.error.endswith(refused.error.partition("' ")[2])
    told = by_command_line(tmp_path, images, shots, "part", code=4)
    assert list(told) == list(NAMES)
    assert [told[name] for name in NAMES[:-1]] == pytest.approx(scores, abs=1e-6)
