"""What an evaluation finds is what `detect` says, each image is encoded once, and runs go on."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fakes import FakeBackbone
from labelled import Quiet, draw, entrant, picture, plan_of, save, work_of, write_set

from inctrl.backbones.cache import FeatureCache
from inctrl.data.categories import Category
from inctrl.detectors import build_detector
from inctrl.detectors.incontext import InContext
from inctrl.detectors.zeroshot import ZeroShot
from inctrl.errors import OutputError, UsageError
from inctrl.evaluation.documents import shots_json, to_csv, to_json
from inctrl.evaluation.features import SharedFeatures, bytes_needed
from inctrl.evaluation.results import Cell, Evaluation
from inctrl.evaluation.run import Run, evaluate, waiting
from inctrl.inspection.inspector import Inspector
from inctrl.types import Prediction


def cells(found: Evaluation, label: str = "incontext") -> list[Cell]:
    return [cell for cell in found.cells if cell.contender == label]


@pytest.mark.parametrize("name", ["incontext", "patchcore", "spade", "padim", "regad"])
@pytest.mark.parametrize("deep", [False, True])
def test_scores_limits_and_p_values_are_those_of_detect(
    tmp_path: Path, name: str, deep: bool
) -> None:
    """16 bits are shown as the shots ask for; what lies beyond their window forbids "normal"."""
    write_set(tmp_path / "set", deep=deep)
    plan = plan_of(tmp_path / "set", [entrant(name)], shots=(1, 3))
    found = evaluate(work_of(plan, tmp_path / "out"))
    [category] = plan.categories
    for cell in found.cells:
        shots = [category.train[i].file for i in category.draw(cell.k, cell.seed)]
        fitted = Inspector(FakeBackbone(), build_detector(name)).fit(shots, item="field")
        results = fitted.inspect([sample.image.file for sample in category.test])
        assert cell.scores == pytest.approx([r.score for r in results], abs=1e-6)
        assert cell.p_values == pytest.approx([r.p_value for r in results], abs=1e-6)
        assert cell.verdicts == tuple(r.verdict for r in results)
        assert cell.threshold == pytest.approx(results[0].threshold, abs=1e-6)
        assert cell.shots == tuple(f"field/train/good/{path.name}" for path in shots)
    assert len(found.cells) == 4


def test_every_cell_is_there_in_the_order_of_the_plan(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_set(tmp_path / "set", name)
    entrants = [
        entrant("spade"),
        entrant("incontext", backbone=FakeBackbone("x")),
        entrant("padim"),
    ]
    found = evaluate(work_of(plan_of(tmp_path / "set", entrants), tmp_path / "out"))
    assert [(c.contender, c.category, c.k, c.seed) for c in found.cells] == [
        (label, category, k, seed)
        for label in ("spade", "incontext", "padim")
        for category in ("a", "b")
        for k in (2, 3)
        for seed in (0, 1)
    ]
    assert [test.category for test in found.tests] == ["a", "b"]
    assert found.notes == ()


def test_each_image_is_encoded_once_for_all_contenders_shots_and_seeds(tmp_path: Path) -> None:
    write_set(tmp_path / "set")
    backbone = FakeBackbone()
    entrants = [entrant(name, backbone=backbone) for name in ("incontext", "patchcore", "spade")]
    plan = plan_of(tmp_path / "set", entrants)
    work = work_of(plan, tmp_path / "out")
    evaluate(work)
    [category] = plan.categories
    assert backbone.encoded == len(category.test) + len(plan.drawn(category))
    assert (work.tally.encoded, work.tally.cached) == (backbone.encoded, 0)


def test_a_contender_more_encodes_nothing_and_keeps_the_other_cells(tmp_path: Path) -> None:
    write_set(tmp_path / "set")

    def run(*names: str) -> tuple[Run, Quiet, FakeBackbone]:
        backbone, cache = FakeBackbone(), FeatureCache(tmp_path / "cache")
        shared = SharedFeatures(cache)
        entrants = [entrant(name, backbone=backbone, cache=shared) for name in names]
        watch = Quiet()
        work = work_of(plan_of(tmp_path / "set", entrants), tmp_path / "out", watch)
        evaluate(work)
        return work, watch, backbone

    first, watch, backbone = run("incontext")
    assert (len(watch.computed), len(watch.taken)) == (4, 0)
    assert first.tally.encoded == backbone.encoded > 0
    second, watch, backbone = run("incontext", "padim")
    assert {cell.contender for cell in watch.computed} == {"padim"}
    assert (len(watch.computed), len(watch.taken)) == (4, 4)
    assert (backbone.encoded, second.tally.encoded) == (0, 0)
    assert second.tally.cached == first.tally.encoded


def test_a_changed_image_computes_its_category_again_and_no_other(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_set(tmp_path / "set", name)
    evaluate(work_of(plan_of(tmp_path / "set", [entrant()]), tmp_path / "out"))
    save(tmp_path / "set/b/test/good/00.png", picture(77))
    watch = Quiet()
    evaluate(work_of(plan_of(tmp_path / "set", [entrant()]), tmp_path / "out", watch))
    assert {cell.category for cell in watch.computed} == {"b"}
    assert len(watch.computed) == 4


def test_another_seed_or_number_of_shots_is_another_cell(tmp_path: Path) -> None:
    write_set(tmp_path / "set", train=20)
    found = evaluate(work_of(plan_of(tmp_path / "set", [entrant()], seeds=4), tmp_path / "out"))
    assert len({cell.shots for cell in found.cells}) == len(found.cells) == 8
    assert len({cell.scores for cell in found.cells}) == 8


class Stops(Quiet):
    """Is interrupted after some cells."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.after = after

    def cell(self, cell: Cell, category: Category, *, computed: bool) -> None:
        super().cell(cell, category, computed=computed)
        if len(self.computed) == self.after:
            raise KeyboardInterrupt


def documents(found: Evaluation) -> list[bytes]:
    return [to_json(found), to_csv(found), shots_json(found), *(e.png for e in found.examples)]


@pytest.mark.parametrize("after", [1, 3, 6, 8])
def test_a_stopped_evaluation_goes_on_and_ends_in_the_same_bytes(
    tmp_path: Path, after: int
) -> None:
    for name in ("a", "b"):
        write_set(tmp_path / "set", name)

    def run(out: str, watch: Quiet) -> Evaluation:
        cache = SharedFeatures(FeatureCache(tmp_path / f"{out}-cache"))
        plan = plan_of(tmp_path / "set", [entrant(cache=cache)])
        return evaluate(work_of(plan, tmp_path / out, watch))

    whole = run("whole", Quiet())
    with pytest.raises(KeyboardInterrupt):
        run("stopped", Stops(after))
    watch = Quiet()
    resumed = run("stopped", watch)
    assert len(watch.taken) == after
    assert documents(resumed) == documents(whole)
    assert len(whole.examples) == 2 * (3 + 1 + 3)


def test_examples_are_the_best_and_the_worst_and_are_kept(tmp_path: Path) -> None:
    write_set(tmp_path / "set", bad=5)
    plan = plan_of(tmp_path / "set", [entrant()])
    found = evaluate(work_of(plan, tmp_path / "out"))
    [category] = plan.categories
    [cell] = [c for c in found.cells if (c.k, c.seed) == (3, 0)]
    scored = sorted(zip(cell.scores, category.test, strict=True), key=lambda pair: -pair[0])
    bad = [category.short(s.image) for _, s in scored if s.anomalous]
    good = [category.short(s.image) for _, s in scored if not s.anomalous]
    told = {
        role: [e.image for e in found.examples if e.role == role] for role in ("found", "alarm")
    }
    assert told == {"found": bad[:3], "alarm": good[:3]}
    assert [e.image for e in found.examples if e.role == "missed"] == bad[:-3:-1]
    assert {(e.k, e.seed) for e in found.examples} == {(3, 0)}
    first = found.examples[0]
    drawn = f"{Path(first.image).name} {first.score:.9f} {first.threshold:.9f}"
    assert first.png.decode() == drawn
    assert (first.kind, found.examples[-1].kind) == ("hole", "good")

    def never(*_: object) -> bytes:
        raise AssertionError("drawn again")

    again = evaluate(replace(work_of(plan, tmp_path / "out"), draw=never))
    assert [vars(e) for e in again.examples] == [vars(e) for e in found.examples]
    (next((tmp_path / "out/examples").glob("*-0.png"))).write_bytes(b"damaged")
    mended = evaluate(replace(work_of(plan, tmp_path / "out"), draw=draw))
    assert [vars(e) for e in mended.examples] == [vars(e) for e in found.examples]


class Failing(InContext):
    """Cannot score one category's shots."""

    name = "failing"

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def prepare(self, references: Any, item: Any) -> Any:
        if item.name == "a":
            raise self.error
        return super().prepare(references, item)


def test_a_contender_that_fails_is_noted_and_the_others_go_on(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_set(tmp_path / "set", name)
    failing = entrant("failing", detector=Failing(UsageError("not this one")))
    watch = Quiet()
    plan = plan_of(tmp_path / "set", [failing, entrant()])
    found = evaluate(work_of(plan, tmp_path / "out", watch))
    assert [note.partition(":")[0] for note in found.notes] == ["failing failed on set/a"]
    assert watch.faults == ["failing a not this one"]
    assert [(c.contender, c.category) for c in found.cells[::4]] == [
        ("failing", "b"),
        ("incontext", "a"),
        ("incontext", "b"),
    ]


@pytest.mark.parametrize("error", [OutputError("full"), ValueError("a bug"), MemoryError()])
def test_a_full_disk_and_a_bug_are_not_taken_for_a_failing_contender(
    tmp_path: Path, error: Exception
) -> None:
    write_set(tmp_path / "set", "a")
    plan = plan_of(tmp_path / "set", [entrant("failing", detector=Failing(error))])
    with pytest.raises(type(error)):
        evaluate(work_of(plan, tmp_path / "out"))


class Broken(InContext):
    name = "broken"

    def score(self, queries: Any, context: Any) -> Prediction:
        made = super().score(queries, context)
        return Prediction(torch.full_like(made.score, torch.nan), made.anomaly_map)


def test_scores_that_are_no_numbers_are_a_fault(tmp_path: Path) -> None:
    write_set(tmp_path / "set")
    plan = plan_of(tmp_path / "set", [entrant("broken", detector=Broken())])
    found = evaluate(work_of(plan, tmp_path / "out"))
    assert found.cells == ()
    assert "is nan" in found.notes[0]


def test_an_image_that_the_fit_cannot_show_fails_its_category_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inctrl.preprocessing.MAX_SCALED_PIXELS", 500_000)
    for name in ("a", "b"):
        write_set(tmp_path / "set", name)
    save(tmp_path / "set/a/test/good/09.png", np.zeros((4, 4000), dtype=np.uint8))
    plan = plan_of(tmp_path / "set", [entrant(fit_mode="crop")])
    found = evaluate(work_of(plan, tmp_path / "out"))
    assert {cell.category for cell in found.cells} == {"b"}
    assert "09.png" in found.notes[0]


def test_limits_do_not_know_the_test_images(tmp_path: Path) -> None:
    for i, first in enumerate((0, 500)):
        write_set(tmp_path / f"{i}/set", bad=3, first=first)
        for path in sorted((tmp_path / f"{i}/set/field/train/good").iterdir()):
            save(path, picture(1000 + int(path.stem)))
    runs = [
        evaluate(work_of(plan_of(tmp_path / f"{i}/set", [entrant()]), tmp_path / f"out{i}"))
        for i in (0, 1)
    ]
    limits = [[cell.threshold for cell in found.cells] for found in runs]
    assert limits[0] == limits[1]
    assert runs[0].cells[0].scores != runs[1].cells[0].scores


def test_pixels_are_measured_where_masks_and_places_are(tmp_path: Path) -> None:
    write_set(tmp_path / "set", "masked")
    write_set(tmp_path / "set", "plain", masks=False)
    blind = entrant("blind", detector=Blind())
    found = evaluate(work_of(plan_of(tmp_path / "set", [entrant(), blind]), tmp_path / "out"))
    for cell in found.cells:
        if (cell.contender, cell.category) == ("incontext", "masked"):
            assert cell.pixels is not None
            assert set(cell.pixels) == {"pixel_auroc", "aupro_30", "aupro_05"}
            assert cell.pixels["pixel_auroc"] > 0.9
        else:
            assert cell.pixels is None
    assert [test.masks for test in found.tests] == [True, False]


def test_a_few_missing_masks_are_said(tmp_path: Path) -> None:
    write_set(tmp_path / "set", "masked")
    write_set(tmp_path / "set", "plain", masks=False)
    (tmp_path / "set/masked/ground_truth/hole/02_mask.png").unlink()
    found = evaluate(work_of(plan_of(tmp_path / "set", [entrant()]), tmp_path / "out"))
    assert found.notes == (
        "1 of 4 anomalous images of set/masked have no mask: pixels are not evaluated",
    )


class Blind(InContext):
    name = "blind"
    localises = False


def test_no_shots_gives_scores_without_a_limit(tmp_path: Path) -> None:
    write_set(tmp_path / "set")
    alone = entrant("zeroshot", backbone=FakeBackbone(has_text=True), detector=ZeroShot())
    plan = plan_of(tmp_path / "set", [alone], shots=(0, 2), seeds=1)
    first, second = evaluate(work_of(plan, tmp_path / "out")).cells
    assert (first.shots, first.threshold, set(first.p_values)) == ((), np.inf, {1.0})
    assert first.scores == second.scores
    assert evaluate(work_of(plan, tmp_path / "out")).cells == (first, second)


def test_waiting_are_those_with_a_cell_to_compute(tmp_path: Path) -> None:
    write_set(tmp_path / "set")
    both = [entrant("incontext"), entrant("padim")]
    evaluate(work_of(plan_of(tmp_path / "set", both[:1]), tmp_path / "out"))
    work = work_of(plan_of(tmp_path / "set", both), tmp_path / "out")
    assert waiting(work) == [both[1]]
    evaluate(work)
    assert waiting(work) == []


def test_the_bytes_a_cache_needs_are_those_it_then_holds(tmp_path: Path) -> None:
    write_set(tmp_path / "set")
    shared = SharedFeatures(FeatureCache(tmp_path / "cache"))
    entrants = [entrant("incontext", cache=shared), entrant("regad", cache=shared)]
    plan = plan_of(tmp_path / "set", entrants)
    told = bytes_needed(entrants, plan.categories, lambda c: len(plan.drawn(c)))
    evaluate(work_of(plan, tmp_path / "out"))
    held = sum(path.stat().st_size for path in (tmp_path / "cache").glob("*/*"))
    assert 0.6 * held < told < held  # each file has a header of its own


def test_a_small_memory_costs_encoding_and_no_result(tmp_path: Path) -> None:
    write_set(tmp_path / "set")
    found, encoded = [], []
    for limit in (0, 4000, 4 * 1024**3):
        plan = plan_of(tmp_path / "set", [entrant(cache=SharedFeatures(limit=limit))])
        work = work_of(plan, tmp_path / f"out{limit}")
        found.append(evaluate(work).cells)
        encoded.append(work.tally.encoded)
    assert found[0] == found[1] == found[2]
    assert encoded[0] > encoded[1] > encoded[2]


def test_times_are_of_what_was_computed(tmp_path: Path) -> None:
    write_set(tmp_path / "set")
    plan = plan_of(tmp_path / "set", [entrant()])
    work = work_of(plan, tmp_path / "out")
    evaluate(work)
    spent = work.timings.spent["incontext"]
    assert (spent.cells, spent.scored, spent.encoded) == (4, 32, work.tally.encoded)
    assert min(spent.encode, spent.prepare, spent.score, spent.bytes) > 0
    told = work.timings.to_json(work.tally, None)
    again = work_of(plan, tmp_path / "out")
    evaluate(again)
    assert again.timings.spent == {}
    assert b'"cells": 4' in again.timings.to_json(again.tally, told)
    assert b'"cells"' not in again.timings.to_json(again.tally, b"damaged")
