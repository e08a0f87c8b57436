"""The same images score the same by every way: command line, Python, REST with shots or a set."""

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest
from live import Live, live

from inctrl import Inspector
from inctrl.cli.main import run

DEMOS = Path(__file__).resolve().parents[2] / "demos" / "images"
NORMALS = sorted((DEMOS / "gravel" / "normal").glob("*.png"))[:4]
QUERIES = sorted((DEMOS / "gravel" / "query").glob("*.png"))


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with live(tmp_path_factory.mktemp("agreement"), backbone="tiny") as running:
        yield running


def by_command_line(tmp_path: Path) -> list[float]:
    out = tmp_path / "out"
    normal = [str(path) for path in NORMALS]
    queries = [str(path) for path in QUERIES]
    assert run(["detect", *queries, "--normal", *normal, "--item", "gravel", "--out", str(out),
                 "--cache", "off", "--quiet"]) == 0  # fmt: skip
    with (out / "scores.csv").open(encoding="utf-8", newline="") as file:
        rows = {Path(row["name"]).name: float(row["score"]) for row in csv.DictReader(file)}
    return [rows[path.name] for path in QUERIES]


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
    assert by_command_line(tmp_path) == pytest.approx(scores, abs=1e-6)
