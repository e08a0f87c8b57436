import csv
import io
import json
import math

import numpy as np
import PIL.Image
import pytest

from inctrl.errors import Conflict, NoSpace, OutputError
from inctrl.reporting import RunWriter
from inctrl.reporting.run import ALL_PICTURED, FailedRow, Row, pictured, row
from inctrl.reporting.scores import COLUMNS, to_csv
from inctrl.reporting.writer import slug
from inctrl.types import Failure

AWKWARD = ["a,b.png", 'quo"te.png', "line\nbreak.png", "größe 東.png", "bytes\udcff.png", ""]


def write(out, info, outcomes, **options):
    with RunWriter(out, info, **options) as run:
        for outcome in outcomes:
            run.add(outcome)
    return out


def stop_in_the_middle(out, info, outcome, error, **options):
    with RunWriter(out, info, **options) as run:
        run.add(outcome)
        raise error


def table(out):
    text = (out / "scores.csv").read_bytes().decode()
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_a_run_folder_holds_scores_maps_overlays_and_the_page(tmp_path, info, result):
    outcomes = [result("a/one.png"), Failure("bad.png", "'bad.png' is empty"), result("b/one.png")]
    out = write(tmp_path / "new" / "run", info(), outcomes)
    files = sorted(str(p.relative_to(out)) for p in out.rglob("*") if p.is_file())
    assert files == [
        "maps/0001_one.npz",
        "maps/0003_one.npz",
        "overlays/0001_one.png",
        "overlays/0003_one.png",
        "report.html",
        "scores.csv",
        "scores.json",
    ]
    assert [p.name for p in out.parent.iterdir()] == ["run"]


def test_maps_are_float32_at_original_size(tmp_path, info, result):
    out = write(tmp_path / "run", info(), [result()])
    with np.load(out / "maps" / "0001_query.npz", allow_pickle=False) as stored:
        assert stored.files == ["anomaly_map"]
        assert stored["anomaly_map"].dtype == np.float32
        np.testing.assert_array_equal(stored["anomaly_map"], result().anomaly_map)
    with PIL.Image.open(out / "overlays" / "0001_query.png") as picture:
        assert picture.size == (128, 96)


def test_the_document_says_what_made_the_run_and_what_came_out(tmp_path, info, result):
    outcomes = [result(), Failure("bad.png", "'bad.png' is empty")]
    out = write(tmp_path / "run", info(warnings=("look at shot 3",)), outcomes)
    document = json.loads((out / "scores.json").read_text("utf-8"))
    assert document["schema"] == 1
    assert document["card"]["backbone"] == "tiny"
    assert document["calibration"]["scale"] == {"low": 0.1, "limit": 0.4, "high": 0.9}
    assert document["warnings"] == ["look at shot 3"]
    assert document["failures"] == [{"number": 2, "name": "bad.png", "error": "'bad.png' is empty"}]
    (first,) = document["results"]
    assert (first["score"], first["verdict"]) == (0.213, "anomalous")
    assert (first["height"], first["width"]) == (96, 128)
    assert first["regions"][0]["box"] == {"left": 32, "top": 24, "right": 64, "bottom": 48}
    assert first["evidence"]["shot_name"] == "shot1.png"
    assert (out / first["map"]).is_file()
    assert "pictures" not in first


def test_numbers_that_are_not_finite_are_null_in_json_and_empty_in_csv(tmp_path, info, result):
    odd = result(
        score=np.float32(0.5), threshold=math.inf, p_value=math.nan, evidence=None, regions=()
    )
    out = write(tmp_path / "run", info(threshold=math.inf), [odd])

    def refuse(constant):
        raise AssertionError(constant)

    document = json.loads((out / "scores.json").read_text("utf-8"), parse_constant=refuse)
    assert document["calibration"]["threshold"] is None
    assert document["results"][0]["p_value"] is None
    assert document["results"][0]["score"] == 0.5
    assert table(out)[0]["threshold"] == ""


def test_the_table_has_a_row_for_each_query(tmp_path, info, result):
    out = write(tmp_path / "run", info(), [Failure("bad.png", "damaged"), result()])
    failed, scored = table(out)
    assert tuple(failed) == COLUMNS
    assert (failed["name"], failed["verdict"], failed["error"]) == ("bad.png", "", "damaged")
    assert (float(scored["score"]), float(scored["threshold"])) == (0.213, 0.18)
    assert (scored["regions"], scored["map"]) == ("1", "maps/0002_query.npz")


@pytest.mark.parametrize("name", AWKWARD)
def test_awkward_names_survive(tmp_path, info, result, name):
    out = write(tmp_path / "run", info(), [result(name), Failure(name, f"{name!r} is damaged")])
    document = json.loads((out / "scores.json").read_text("utf-8"))
    assert document["results"][0]["name"] == name
    assert document["failures"][0]["name"] == name
    shown = name.encode("utf-8", "backslashreplace").decode()
    assert [r["name"] for r in table(out)] == [shown, shown]


@pytest.mark.parametrize("name", ["=1+1.png", "+x.png", "-x.png", "@x.png", "\tx.png"])
def test_names_are_no_formulas_in_a_spreadsheet(name):
    (cells,) = csv.DictReader(
        io.StringIO(to_csv([FailedRow(1, name, "=cmd()")]).decode(), newline="")
    )
    assert cells["name"] == f"'{name}"
    assert cells["error"] == "'=cmd()"


def test_slugs_are_safe_file_names():
    assert slug("folder/part 1 (ü).final.png") == "part_1_.final"
    assert slug("C:\\parts\\nut.bmp") == "nut"
    assert slug("../..") == ".."
    assert slug("") == "image"
    assert len(slug("x" * 300 + ".png")) == 60


def test_an_exception_in_the_middle_leaves_nothing_behind(tmp_path, info, result):
    for error in (ValueError, KeyboardInterrupt):
        with pytest.raises(error):
            stop_in_the_middle(tmp_path / "run", info(), result(), error)
        assert list(tmp_path.iterdir()) == []


def test_what_was_there_is_untouched_by_a_failed_run_and_replaced_by_a_good_one(
    tmp_path, info, result
):
    out = write(tmp_path / "run", info(), [result("before.png")])
    before = (out / "scores.json").read_bytes()
    with pytest.raises(KeyboardInterrupt):
        stop_in_the_middle(out, info(), result("after.png"), KeyboardInterrupt, overwrite=True)
    assert (out / "scores.json").read_bytes() == before
    write(out, info(), [result("after.png")], overwrite=True)
    assert [p.name for p in (out / "maps").iterdir()] == ["0001_after.npz"]
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def test_a_run_that_fails_to_take_its_place_puts_back_what_was_there(
    tmp_path, info, result, monkeypatch
):
    out = write(tmp_path / "run", info(), [result("before.png")])
    rename = type(out).rename

    def refuse_partial(path, target):
        if path.name.endswith(".partial"):
            raise PermissionError(13, "Permission denied")
        return rename(path, target)

    monkeypatch.setattr(type(out), "rename", refuse_partial)
    with pytest.raises(OutputError, match="Permission denied"):
        write(out, info(), [result("after.png")], overwrite=True)
    assert (out / "maps" / "0001_before.npz").is_file()
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def test_a_folder_in_use_is_refused(tmp_path, info):
    out = tmp_path / "run"
    out.mkdir()
    (out / "report.html").write_text("mine")
    with pytest.raises(OutputError, match="not empty"):
        write(out, info(), [])
    assert (out / "report.html").read_text() == "mine"


def test_overwriting_never_takes_a_folder_that_no_run_has_written(tmp_path, info):
    out = tmp_path / "home"
    out.mkdir()
    (out / "thesis.tex").write_text("years of work")
    with pytest.raises(OutputError, match=r"thesis\.tex"):
        write(out, info(), [], overwrite=True)
    assert (out / "thesis.tex").read_text() == "years of work"


def test_an_empty_folder_is_filled(tmp_path, info, result):
    (tmp_path / "run").mkdir()
    assert (write(tmp_path / "run", info(), [result()]) / "report.html").is_file()


def test_a_run_in_progress_is_not_disturbed(tmp_path, info):
    with RunWriter(tmp_path / "run", info()):
        with pytest.raises(Conflict, match="another run"):
            write(tmp_path / "run", info(), [])
        assert (tmp_path / "run.partial" / "maps").is_dir()


def test_what_cannot_be_written_is_told_in_one_line(tmp_path, info, result, monkeypatch):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(
        OutputError, match=r"file.run' cannot be written \('file' is not a folder\)"
    ):
        write(blocked / "run", info(), [])
    with pytest.raises(OutputError, match="is a file"):
        write(blocked, info(), [])

    def full(*_args, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(NoSpace, match="the disk is full") as caught:
        write(tmp_path / "run", info(), [result()])
    assert caught.value.exit_code == 7
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_an_error_of_the_stream_is_not_blamed_on_the_folder(tmp_path, info):
    with pytest.raises(FileNotFoundError), RunWriter(tmp_path / "run", info()):
        raise FileNotFoundError(2, "No such file", "query.png")


@pytest.mark.parametrize(("height", "width"), [(4, 4), (10, 20_000), (20_000, 10)])
def test_odd_shapes_are_written(tmp_path, info, result, image, height, width):
    out = write(tmp_path / "run", info(), [result(image=image("q", height, width))])
    assert (out / "overlays" / "0001_q.png").is_file()


def test_of_many_results_the_highest_and_the_doubtful_keep_their_pictures(result):
    def made(number, score, verdict="normal") -> Row:
        return row(number, result(score=score, verdict=verdict, regions=()), ("", ""), None)

    few = [made(i, i) for i in range(ALL_PICTURED)]
    assert len(pictured(few)) == ALL_PICTURED
    many = [*few, made(900, -1, "undecided")]
    assert pictured(many) == {*range(100, 200), 900}
    anomalous = [made(i, i, "anomalous") for i in range(500)]
    assert pictured(anomalous) == set(range(300, 500))
