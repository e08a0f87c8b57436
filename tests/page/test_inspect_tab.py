"""The Inspect tab: from images to a verdict, and what is done about it."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from paged import at_work

from inctrl.page.inputs import NEW, SAVED
from inctrl.page.inspect_tab import BOTH, InspectTab
from inctrl.page.shown import facts_html
from inctrl.page.uploads import added
from inctrl.service.settings import Settings
from inctrl.service.workbench import Workbench
from inctrl.views import Views

Tab = Callable[[InspectTab, Workbench], Awaitable[Any]]


def on_tab(settings: Settings, work: Tab) -> Any:
    async def all_of_it(bench: Workbench) -> Any:
        with gr.Blocks():
            tab = InspectTab(bench, 60)
        return await work(tab, bench)

    return at_work(settings, all_of_it)


async def pressed(
    tab: InspectTab,
    bench: Workbench,
    shots: Any,
    queries: Any,
    way: str = "fixed",
    tiles: str = "1",
) -> tuple[Any, ...]:
    files = await added(bench, shots), await added(bench, queries)
    return await tab.run(NEW, None, *files, "field", way, tiles, "", "", BOTH)


def pick(number: object) -> gr.EventData:
    return gr.EventData(None, {"number": number})


def test_moving_the_limit_and_choosing_another_image_run_no_model(
    settings: Settings, shots: list[Path], queries: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(tab: InspectTab, bench: Workbench) -> None:
        found, chosen, *rest = await pressed(tab, bench, shots, queries)
        assert chosen == 1
        assert "Anomalous" in rest[1]

        async def none(*_: object) -> None:
            raise AssertionError("the engine was asked")

        monkeypatch.setattr(bench.engine, "inspect", none)
        monkeypatch.setattr(bench.engine, "call", none)
        high = found.rows[1].score + 0.01
        texts = await tab.move(found, 1, high)
        assert "None of 2 look anomalous" in texts[0] or "All 2 look normal" in texts[0]
        assert "Normal" in texts[1]
        chosen, _, verdict, *_ = await tab.choose(found, 1, high, BOTH, pick(0))
        assert (chosen, "fine.png" in verdict) == (0, True)
        assert (await tab.reset(found, 1))[0].value == pytest.approx(found.info.threshold, abs=1e-3)

    on_tab(settings, work)


@pytest.mark.parametrize("number", [7, -1, "0", None, True, 1.5])
def test_a_click_on_no_image_changes_nothing(
    settings: Settings, shots: list[Path], queries: list[Path], number: object
) -> None:
    async def work(tab: InspectTab, bench: Workbench) -> None:
        found, *_ = await pressed(tab, bench, shots, queries)
        assert (await tab.choose(found, 1, 0.1, BOTH, pick(number)))[0] == 1

    on_tab(settings, work)


def test_a_set_is_saved_learns_from_a_false_alarm_and_forgets_it_again(
    settings: Settings, shots: list[Path], queries: list[Path], messages: list[str]
) -> None:
    async def work(tab: InspectTab, bench: Workbench) -> None:
        found, *_ = await pressed(tab, bench, shots, queries)
        saved, *_ = await tab.feedback.keep(found, " field ")
        assert saved.reference == "field@1"
        assert bench.store.sets.get("field").item == "field"
        id, outcome, undo, _ = await tab.feedback.false_alarm(saved, 0)
        assert bench.store.sets.get("field").version == 2
        assert ("field@2 has 5 shots" in outcome.value, undo.visible) == (True, True)
        _, outcome, undo, _ = await tab.feedback.take_back(saved, id)
        assert ("field@3 has 4 shots" in outcome.value, undo.visible) == (True, False)
        again = await tab.run(SAVED, "field", (), found.queries, "", "fixed", "1", "", "", BOTH)
        assert again[0].reference == "field@3"
        assert again[0].rows[1].score == pytest.approx(found.rows[1].score, abs=1e-6)

    on_tab(settings, work)
    assert any("Saved as field@1 with 4 images" in words for words in messages)


def test_both_questions_count_are_shown_with_the_answer_and_go_into_the_set(
    settings: Settings, shots: list[Path], queries: list[Path]
) -> None:
    words = "arts lie any way round; each image seen in tiles, 2 along its longer side"

    async def work(tab: InspectTab, bench: Workbench) -> None:
        usual = (await pressed(tab, bench, shots, queries))[0]
        assert words not in facts_html(usual, 1)
        found, *_ = await pressed(tab, bench, shots, queries, "any", "2")
        assert found.views == Views("any", 2)
        assert found.rows[1].score != usual.rows[1].score
        assert f"P{words}." in facts_html(found, 1)
        assert f"The set keeps your answers: p{words}." in tab.feedback.for_inspection(found)[1]
        await tab.feedback.keep(found, "field")
        assert bench.store.sets.get("field").views == Views("any", 2)
        asked = (SAVED, "field", (), found.queries, "")
        # What was answered for new images is not asked of a set, which has its own.
        again, *_ = await tab.run(*asked, "fixed", "1", "", "", BOTH)
        assert again.rows[1].score == pytest.approx(found.rows[1].score, abs=1e-6)
        assert again.views == found.views

    on_tab(settings, work)


def test_a_confirmed_defect_serves_the_limit(
    settings: Settings, shots: list[Path], queries: list[Path], messages: list[str]
) -> None:
    async def work(tab: InspectTab, bench: Workbench) -> None:
        found, *_ = await pressed(tab, bench, shots, queries)
        saved, *_ = await tab.feedback.keep(found, "field")
        await tab.feedback.confirm(saved, 1)
        assert bench.store.sets.get("field").version == 1
        assert len(bench.store.feedback.defects("field")) == 1

    on_tab(settings, work)


def test_what_is_missing_is_said_in_a_line_that_is_no_markup(
    settings: Settings, shots: list[Path], queries: list[Path], messages: list[str]
) -> None:
    async def work(tab: InspectTab, bench: Workbench) -> None:
        files = await added(bench, queries)
        await tab.run(NEW, None, (), files, "", "fixed", "1", "", "", BOTH)
        await tab.run(NEW, None, files, (), "", "fixed", "1", "", "", BOTH)
        await tab.run(SAVED, None, (), files, "", "fixed", "1", "", "", BOTH)
        await tab.run(SAVED, "no-such", (), files, "", "fixed", "1", "", "", BOTH)
        found, *_ = await pressed(tab, bench, shots, queries)
        await tab.feedback.false_alarm(found, 0)
        await tab.feedback.keep(found, "<b>X</b>")

    on_tab(settings, work)
    assert [words.split()[0] for words in messages] == [
        "add",
        "add",
        "choose",
        "there",
        "save",
        "&#x27;&lt;b&gt;X&lt;/b&gt;&#x27;",
    ]
    assert not any("<" in words or "/" in words.replace("&lt;/b", "") for words in messages)


def test_an_example_is_loaded_with_its_normal_images(settings: Settings) -> None:
    async def work(tab: InspectTab, _bench: Workbench) -> None:
        names = [one.name for _, one in tab.inputs.example_buttons]
        assert names == ["brick", "gravel"]
        shots, _, queries, *_, item = await tab.inputs.example(tab.inputs.examples[0])
        assert (len(shots), len(queries), item) == (6, 7, "brick")

    on_tab(settings, work)


def test_without_the_photographs_there_are_no_examples(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inctrl.page.inputs.examples", lambda: ())

    async def work(tab: InspectTab, _bench: Workbench) -> None:
        assert tab.inputs.example_buttons == []

    on_tab(settings, work)


def test_without_a_history_the_page_keeps_no_score(
    settings: Settings, shots: list[Path], queries: list[Path]
) -> None:
    async def work(tab: InspectTab, bench: Workbench) -> None:
        await pressed(tab, bench, shots, queries)
        assert bench.store.history.list(None, None, 10).records == ()

    on_tab(replace(settings, history=False), work)
