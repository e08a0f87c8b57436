import csv
import dataclasses
import io
import json
import math
from typing import Any

import numpy as np
import pytest
from fake_evaluation import cell, contender, evaluation, test_set
from sklearn.metrics import roc_auc_score

from inctrl.errors import UsageError
from inctrl.evaluation.documents import from_json, shots_json, to_csv, to_json
from inctrl.evaluation.results import Evaluation
from inctrl.evaluation.tables import tables
from inctrl.inspection.calibration import MOST_SHOTS, Calibration
from inctrl.maths.metrics import METRICS


def auroc(found: Evaluation, who: str, dataset: str, k: int) -> np.ndarray:
    """Of each category and seed, straight from the cells."""
    by_place = {}
    for c in found.cells:
        if (c.contender, c.dataset, c.k) == (who, dataset, k):
            test = next(t for t in found.tests if t.category == c.category)
            by_place[c.category, c.seed] = roc_auc_score(test.anomalous, c.scores)
    categories = [t.category for t in found.tests if t.dataset == dataset]
    return np.array([[by_place[name, seed] for seed in found.seeds] for name in categories])


def changed(found: Evaluation, **changes: Any) -> Evaluation:
    return dataclasses.replace(found, **changes)


def reject_constant(name: str) -> None:
    raise AssertionError(f"{name} is no JSON")


def document(found: Evaluation) -> dict[str, Any]:
    loaded = json.loads(to_json(found), parse_constant=reject_constant)
    assert isinstance(loaded, dict)
    return loaded


def test_a_category_is_the_mean_and_sd_over_its_seeds() -> None:
    found = evaluation()
    values = auroc(found, "patchcore", "visa", 4)[1]
    spread = tables(found).category("image_auroc", 1, 4, 1)
    assert spread.mean == pytest.approx(values.mean())
    assert spread.sd == pytest.approx(values.std(ddof=1))
    assert spread.seeds == 3


def test_a_data_set_is_the_mean_over_categories_by_seed_and_then_over_seeds() -> None:
    found = evaluation()
    by_seed = auroc(found, "incontext", "mvtec", 8).mean(axis=0)
    mean = tables(found).dataset("image_auroc", 0, "mvtec", 2)
    assert mean.spread.mean == pytest.approx(by_seed.mean())
    assert mean.spread.sd == pytest.approx(by_seed.std(ddof=1))
    assert (mean.parts, mean.of) == (3, 3)


def test_overall_every_data_set_weighs_the_same() -> None:
    found = evaluation(categories=[("one", "a", False, 9, 9), *CATEGORIES_OF_TWO])
    one, two = (auroc(found, "incontext", name, 2).mean(axis=0) for name in ("one", "two"))
    mean = tables(found).overall("image_auroc", 0, 0)
    assert mean.spread.mean == pytest.approx(((one + two) / 2).mean())
    assert mean.spread.sd == pytest.approx(((one + two) / 2).std(ddof=1))


CATEGORIES_OF_TWO = [("two", name, False, 9, 9) for name in ("b", "c", "d", "e")]


def test_a_difference_is_that_of_the_means_in_the_tables() -> None:
    found = tables(evaluation())
    for k in range(3):
        means = [found.overall("image_ap", c, k).spread.mean or 0 for c in (0, 1)]
        one = found.difference("image_ap", 0, 1, k)
        assert one is not None
        assert one.mean == pytest.approx(means[0] - means[1])
    by_k = [found.difference("image_ap", 0, 1, k, "visa") for k in range(3)]
    every = found.difference("image_ap", 0, 1, None, "visa")
    assert every is not None
    assert every.mean == pytest.approx(np.mean([d.mean for d in by_k if d]))
    assert every.categories == 3


def test_what_one_contender_lacks_is_left_out_of_both() -> None:
    full = evaluation()
    gone = [c for c in full.cells if not (c.contender == "patchcore" and c.category == "screw")]
    found = tables(changed(full, cells=tuple(gone)))
    difference = found.difference("image_auroc", 0, 1, 0, "mvtec")
    both = auroc(full, "incontext", "mvtec", 2) - auroc(full, "patchcore", "mvtec", 2)
    assert difference is not None
    assert difference.mean == pytest.approx(both[:2].mean())
    mean = found.dataset("image_auroc", 1, "mvtec", 0)
    assert (mean.parts, mean.of) == (2, 3)
    assert found.overall("image_auroc", 1, 0).parts == 5
    assert found.category("image_auroc", 1, 2, 0).mean is None


def test_a_category_that_lacks_a_seed_is_not_counted_as_complete() -> None:
    full = evaluation()
    gone = full.cells[0]
    assert (gone.category, gone.k, gone.seed) == ("bottle", 2, 0)
    found = tables(changed(full, cells=full.cells[1:]))
    assert found.category("image_auroc", 0, 0, 0).seeds == 2
    mean = found.dataset("image_auroc", 0, "mvtec", 0)
    assert (mean.parts, mean.of, mean.spread.seeds) == (2, 3, 3)


def test_without_masks_figures_of_pixels_are_undefined_and_the_mean_says_over_how_many() -> None:
    found = tables(evaluation())
    assert found.category("aupro_30", 0, 3, 0).mean is None
    assert found.dataset("aupro_30", 0, "visa", 0).spread.mean is None
    mean = found.overall("aupro_30", 0, 0)
    assert mean.spread.mean == pytest.approx(found.dataset("aupro_30", 0, "mvtec", 0).spread.mean)
    assert (mean.parts, mean.of) == (3, 6)
    assert found.difference("aupro_30", 0, 1, 0, "visa") is None


def test_a_pixel_figure_that_is_none_or_nan_is_undefined() -> None:
    test = test_set("mvtec", "bottle", True, 5, 5)
    pixels = {"pixel_auroc": None, "aupro_30": math.nan, "aupro_05": 0.5}
    one = cell("a", test, 1, 0, pixels=pixels)
    found = Evaluation((contender("a"),), (test,), (1,), (0,), 0.05, (one,))
    figures = document(found)["cells"][0]["figures"]
    assert (figures["pixel_auroc"], figures["aupro_30"], figures["aupro_05"]) == (None, None, 0.5)


def test_the_document_holds_everything_that_was_found() -> None:
    found = evaluation()
    read = document(found)
    assert read["schema"] == "inctrl/evaluation/1"
    assert read["tests"][0]["images"] == list(found.tests[0].images)
    assert read["tests"][0]["anomalous"] == list(found.tests[0].anomalous)
    assert read["contenders"][1]["fingerprint"] == "cd" * 32
    assert read["cells"][0]["scores"] == list(found.cells[0].scores)
    assert read["cells"][0]["shots"] == list(found.cells[0].shots)
    assert len(read["cells"]) == len(found.cells)
    assert set(read["metrics"]) == set(METRICS)
    assert read["metrics"]["image_f1_max"]["oracle"] is True
    assert {name: len(rows) for name, rows in read["tables"].items()} == {
        "categories": 2 * 6 * 3,
        "datasets": 2 * 2 * 3,
        "overall": 2 * 3,
        "differences": (2 * 3 + 2 * 2) * 4,  # figures of images: 2 sets and both; of pixels: 1
    }
    assert "examples" not in read
    assert list(read) == sorted(read)


def test_numbers_in_the_document_are_those_of_the_tables() -> None:
    found = evaluation()
    read = document(found)["tables"]
    row = next(r for r in read["datasets"] if (r["contender"], r["k"]) == ("patchcore", 8))
    mean = tables(found).dataset("recall", 1, row["dataset"], 2)
    assert row["figures"]["recall"]["mean"] == pytest.approx(mean.spread.mean, abs=1e-9)
    assert row["figures"]["recall"]["sd"] == pytest.approx(mean.spread.sd, abs=1e-9)
    pair = read["differences"][-1]
    assert (pair["first"], pair["second"], pair["dataset"], pair["k"]) == (
        "incontext",
        "patchcore",
        None,
        None,
    )
    difference = tables(found).difference(pair["metric"], 0, 1, None)
    assert difference is not None
    assert pair["low"] == pytest.approx(difference.low, abs=1e-9)


def test_the_same_evaluation_gives_the_same_bytes_whatever_the_order_of_its_cells() -> None:
    found = evaluation()
    order = np.random.default_rng(0).permutation(len(found.cells))
    mixed = [found.cells[i] for i in order]
    other = changed(evaluation(), cells=tuple(mixed))
    for write in (to_json, to_csv, shots_json):
        assert write(found) == write(other)
        assert write(found) == write(found)


def test_what_is_not_finite_is_null_and_empty_never_0() -> None:
    test = test_set("mvtec", "bottle", False, 3, 3)
    scores = (0.1, 0.2, math.inf, 0.4, 0.5, -math.inf)
    one = cell("a", test, 1, 0, scores=scores, threshold=math.inf)
    found = Evaluation((contender("a"),), (test,), (1,), (0,), 0.05, (one,))
    read = document(found)["cells"][0]
    assert read["threshold"] is None
    assert read["scores"][2] is None
    assert read["figures"]["false_alarms"] is None
    assert read["figures"]["image_auroc"] is not None
    (row,) = csv.DictReader(io.StringIO(to_csv(found).decode()))
    assert (row["threshold"], row["recall"], row["aupro_30"]) == ("", "", "")


def test_a_spreadsheet_runs_no_name_as_a_formula_and_json_has_it_exactly() -> None:
    names = ['=HYPERLINK("x")', "+1", "-1", "@cmd", "\tx", "a,b", 'quote"d']
    found = evaluation(contenders=[contender(name) for name in names], shots=(1,), seeds=(0,))
    rows = list(csv.DictReader(io.StringIO(to_csv(found).decode(), newline="")))
    shown = list(dict.fromkeys(row["contender"] for row in rows))
    assert shown == [*(f"'{name}" for name in names[:5]), *names[5:]]
    assert [c["label"] for c in document(found)["contenders"]] == names


def test_undecodable_names_do_not_stop_the_files() -> None:
    found = evaluation(categories=[("mvtec", "b\udcff", True, 5, 5)])
    assert document(found)["tests"][0]["category"] == "b\udcff"
    assert b"b\\udcff" in to_csv(found)
    assert b"b\\udcff" in shots_json(found)


def test_the_csv_has_a_row_a_cell_with_every_figure() -> None:
    found = evaluation()
    rows = list(csv.DictReader(io.StringIO(to_csv(found).decode())))
    assert len(rows) == len(found.cells)
    assert set(METRICS) < set(rows[0])
    first = auroc(found, "incontext", "mvtec", 2)[0, 0]
    assert float(rows[0]["image_auroc"]) == pytest.approx(first, abs=1e-9)
    assert float(rows[0]["threshold"]) == found.cells[0].threshold
    assert int(rows[0]["bytes"]) == found.cells[0].bytes


def test_the_list_of_shots_names_those_of_every_run_once() -> None:
    found = evaluation()
    rows = json.loads(shots_json(found))["shots"]
    assert len(rows) == 6 * 3 * 3
    places = {(r["dataset"], r["category"], r["k"], r["seed"]): r["names"] for r in rows}
    for c in found.cells:
        assert places[c.dataset, c.category, c.k, c.seed] == list(c.shots)


@pytest.mark.parametrize(("k", "alpha"), [(0, 0.05), (2, 0.05), (4, 0.3), (8, 0.1), (36, 0.02)])
def test_verdicts_of_a_file_of_before_they_were_kept_are_read_from_it(k: int, alpha: float) -> None:
    normal = tuple(np.random.default_rng(k).lognormal(-2, 0.3, min(k, MOST_SHOTS)).tolist())
    limits = Calibration(alpha, k, normal, normal or (1.0,), 0.0, 0.1)
    test = test_set("mvtec", "bottle", False, 30, 30)
    values = (*np.linspace(0.01, 2, 60 - len(normal)).tolist(), *normal)
    one = cell("a", test, k, 0, scores=values, threshold=limits.threshold)
    one = dataclasses.replace(
        one,
        p_values=tuple(map(limits.p_value, values)),
        verdicts=tuple(map(limits.judge, values)),
    )
    found = Evaluation((contender("a"),), (test,), (k,), (0,), alpha, (one,))
    assert from_json(to_json(found)).cells[0].verdicts == one.verdicts
    before = document(found)
    del before["cells"][0]["verdicts"]
    assert from_json(json.dumps(before).encode()).cells[0].verdicts == one.verdicts


def test_one_shot_of_a_file_of_before_is_read_as_it_was_judged() -> None:
    test = test_set("mvtec", "bottle", False, 1, 1)
    one = cell("a", test, 1, 0, scores=(0.1, 0.9), p_values=(1.0, 0.5), threshold=0.2)
    before = document(Evaluation((contender("a"),), (test,), (1,), (0,), 0.05, (one,)))
    del before["cells"][0]["verdicts"]
    [again] = from_json(json.dumps(before).encode()).cells
    assert again.verdicts == ("normal", "undecided")


def test_contenders_with_different_shots_are_refused() -> None:
    found = evaluation()
    other = dataclasses.replace(found.cells[-1], shots=("another.png",))
    with pytest.raises(UsageError, match=r"'incontext' .* and 'patchcore' .* different shots"):
        shots_json(changed(found, cells=(*found.cells[:-1], other)))


def test_a_cell_twice_or_outside_the_plan_is_refused() -> None:
    found = evaluation()
    with pytest.raises(ValueError, match="'incontext' on mvtec/bottle, k 2, seed 0 is there twice"):
        tables(changed(found, cells=(*found.cells, found.cells[0])))
    stray = dataclasses.replace(found.cells[0], k=3)
    with pytest.raises(ValueError, match="is not in the plan"):
        tables(changed(found, cells=(stray,)))
