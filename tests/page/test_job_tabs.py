"""Train and Evaluate: forms that become jobs, and jobs as they are shown."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from fake_evaluation import evaluation
from labelled import write_set
from paged import at_work

from inctrl.errors import UsageError
from inctrl.evaluation.documents import from_json, to_json
from inctrl.page import jobviews
from inctrl.page.evaluate_tab import EvaluateTab
from inctrl.page.train_tab import TrainTab, number, numbers
from inctrl.service.settings import Settings
from inctrl.service.workbench import Workbench

AS_USUAL = ("fixed", "1")
"""Answers to the questions on how images are seen."""
Tabs = Callable[[TrainTab, EvaluateTab, Workbench], Awaitable[Any]]


@pytest.fixture
def rooted(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("INCTRL_IMAGE_SIZE", "64")
    monkeypatch.setenv("INCTRL_CACHE", str(tmp_path / "cache"))
    write_set(tmp_path / "root/made", "field")
    return replace(settings, data_root=tmp_path / "root")


def on_tabs(settings: Settings, work: Tabs) -> Any:
    async def all_of_it(bench: Any) -> Any:
        with gr.Blocks():
            train = TrainTab(bench.runner, bench.store)
            evaluate = EvaluateTab(bench, bench.runner)
        return await work(train, evaluate, bench)

    return at_work(settings, all_of_it)


def test_without_a_data_root_both_say_what_to_do(settings: Settings) -> None:
    async def work(train: TrainTab, evaluate: EvaluateTab, _bench: Workbench) -> None:
        for tab in (train, evaluate):
            words, form, *_ = await tab.look(None)
            assert "inctrl serve --data-root FOLDER" in words
            assert not form.visible

    on_tabs(settings, work)


def test_an_empty_data_root_says_what_a_set_looks_like(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    async def work(train: TrainTab, _evaluate: EvaluateTab, _bench: Workbench) -> None:
        words, form, *_ = await train.look(None)
        assert "train/good" in words
        assert str(tmp_path) not in words
        assert not form.visible

    on_tabs(replace(settings, data_root=tmp_path / "empty"), work)


async def ended(board: Any, id: str) -> tuple[Any, ...]:
    for _ in range(1200):
        shown = await board.look(id)
        if not shown[-1].active:
            return shown
        await asyncio.sleep(0.1)
    raise TimeoutError


def test_a_training_shows_its_curve_and_gives_its_adapter(
    rooted: Settings,
    messages: list[str],
) -> None:
    async def work(train: TrainTab, evaluate: EvaluateTab, bench: Workbench) -> None:
        _, form, data, *_ = await train.look(None)
        assert form.visible
        assert [name for _, name in data.choices] == ["made"]
        started = await train.start(["made"], "mine", "inctrl", "2", "20", "8", "", "", "")
        assert started[-1].active  # it is looked at while it runs
        status, details, log, *_ = await ended(train.board, started[0].value)
        assert "Done" in status
        assert "<svg" in details
        assert "/adapter" in details
        assert str(bench.store.folder) not in status + details + log
        adapters = (await evaluate.look(None))[3]
        assert [name.split(":")[0] for _, name in adapters.choices][:1] == ["job"]

    on_tabs(rooted, work)


def test_an_evaluation_fills_a_table_and_draws_curves(
    rooted: Settings,
    messages: list[str],
) -> None:
    async def work(_train: TrainTab, evaluate: EvaluateTab, bench: Workbench) -> None:
        await evaluate.look(None)
        started = await evaluate.start(["made"], ["incontext"], [], ["2"], 1, "any", "2")
        spec = bench.store.jobs.get(started[0].value).spec
        assert (spec["orientation"], spec["tiles"]) == ("any", 2)
        status, details, *_ = await ended(evaluate.board, started[0].value)
        assert "Done" in status
        assert "made/field" in details
        assert "ROC" in details
        assert "report.html" in details

    on_tabs(rooted, work)


def test_single_categories_are_offered_and_what_is_not_used_is_said_before_and_after(
    rooted: Settings, tmp_path: Path, messages: list[str]
) -> None:
    write_set(tmp_path / "root/made", "other", first=50)
    odd = write_set(tmp_path / "root/made", "odd", first=90)
    (odd / "train/good").rename(odd / "train/<b>clean")

    async def work(_train: TrainTab, evaluate: EvaluateTab, _bench: Workbench) -> None:
        words, form, data, *_ = await evaluate.look(None)
        assert form.visible
        assert data.choices == [
            ("made  (mvtec, 2 categories)", "made"),
            ("made/field  (mvtec)", "made/field"),
            ("made/other  (mvtec)", "made/other"),
        ]
        line = "odd: 18 images are not used ("
        assert line in words
        assert "<b>" not in words
        started = await evaluate.start(["made"], ["incontext"], [], ["2"], 1, *AS_USUAL)
        status, *_ = await ended(evaluate.board, started[0].value)
        assert "Done" in status
        assert f"made: {line}" in status

    on_tabs(rooted, work)


def test_a_job_can_be_stopped(rooted: Settings, messages: list[str]) -> None:
    async def work(train: TrainTab, _evaluate: EvaluateTab, _bench: Workbench) -> None:
        started = await train.start(["made"], "long", "inctrl", "1000", "", "", "", "", "")
        stopped = await train.board.cancel(started[0].value)
        assert "Stopped" in stopped[1]
        assert not stopped[-1].active

    on_tabs(rooted, work)


def test_a_form_that_makes_no_job_is_told_in_words(
    rooted: Settings,
    messages: list[str],
) -> None:
    async def work(train: TrainTab, evaluate: EvaluateTab, _bench: Workbench) -> None:
        await train.start([], "mine", "inctrl", "", "", "", "", "", "")
        await train.start(["made"], " ", "inctrl", "", "", "", "", "", "")
        await train.start(["made"], "../x", "inctrl", "", "", "", "", "", "")
        await train.start(["../made"], "mine", "inctrl", "", "", "", "", "", "")
        await train.start(["made"], "mine", "inctrl", "many", "", "", "", "", "")
        await evaluate.start(["made"], [], [], ["2"], 1, *AS_USUAL)
        await evaluate.start(["made"], ["incontext"], [], [], 1, *AS_USUAL)

    on_tabs(rooted, work)
    assert len(messages) == 7
    assert not any("Traceback" in words or "<" in words for words in messages)


def test_numbers_are_whole_or_not_given() -> None:
    assert numbers("2 4, 8") == (2, 4, 8)
    assert numbers("  ") is None
    assert (number("7"), number("")) == (7, None)
    for text in ("x", "-1", "1.5", "1 2"):
        with pytest.raises(UsageError):
            number(text)


def test_a_table_tells_means_over_the_seeds_that_are_there() -> None:
    cells = [
        {"contender": "a", "set": "s/x", "k": k, "seed": seed, "image_auroc": auroc}
        for k, seed, auroc in ((2, 0, 0.8), (2, 1, 0.9), (4, 0, None))
    ]
    shots, (line,) = jobviews.table(cells)
    assert shots == [2, 4]
    assert line.means == ((pytest.approx(0.85), 2), (None, 0))


def test_curves_are_drawn_from_the_file_as_from_the_evaluation(tmp_path: Path) -> None:
    made = evaluation()
    path = tmp_path / "results.json"
    path.write_bytes(to_json(made))
    again = from_json(path.read_bytes())
    assert again.contenders == made.contenders
    assert [cell.scores for cell in again.cells] == [cell.scores for cell in made.cells]
    drawn = jobviews.curves_of(path)
    assert {one.dataset for one in drawn} <= {test.dataset for test in made.tests}
    assert all(one.curves.kind == "ROC" for one in drawn)
