"""An inspection on the page is the one that REST gives."""

import asyncio
import math
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from awkward import part, stack
from paged import at_work

from inctrl.page.inspection import Inspection, inspect
from inctrl.page.uploads import added, read
from inctrl.reporting.run import FailedRow, Row
from inctrl.service.detection import Asked, detect
from inctrl.service.engine import Expired
from inctrl.service.http.limits import Limits
from inctrl.service.inspectors import Choice
from inctrl.service.settings import Settings
from inctrl.service.workbench import Workbench


async def inspected(bench: Workbench, shots: list[Path], queries: list[Path]) -> Inspection:
    asked = Asked(None, tuple(await read(shots)), "field", Choice())
    return await inspect(bench, asked, await added(bench, queries), await added(bench, shots))


def test_scores_and_limit_are_those_of_rest(
    settings: Settings, shots: list[Path], queries: list[Path]
) -> None:
    async def work(bench: Workbench):
        found = await inspected(bench, shots, queries)
        asked = Asked(None, tuple(await read(shots)), "field", Choice())
        with bench.admission.admit(10) as ticket:
            return found, await detect(bench, asked, await read(queries), ticket)

    found, rest = at_work(settings, work)
    assert [one.score for one in found.rows] == pytest.approx(
        [one.score for one in rest.results], abs=1e-6
    )
    assert [one.verdict for one in found.rows] == [one.verdict for one in rest.results]
    assert found.info.threshold == pytest.approx(rest.limit.threshold, abs=1e-6)
    assert found.info.limit_words == rest.limit.words


def test_an_unreadable_query_is_told_and_the_others_are_scored(
    settings: Settings, shots: list[Path], queries: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "bad.png").write_bytes(b"\x89PNG broken")

    async def work(bench: Workbench):
        return await inspected(bench, shots, [tmp_path / "bad.png", *queries])

    found = at_work(settings, work)
    assert isinstance(found.rows[0], FailedRow)
    assert found.shown[0] is None
    assert [type(one) for one in found.rows[1:]] == [Row, Row]


def test_each_image_of_a_file_is_a_row_with_a_picture_of_its_own(
    settings: Settings, shots: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "stack.tif").write_bytes(stack(part(50), part(51, spot=True)))

    async def work(bench: Workbench):
        return await inspected(bench, shots, [tmp_path / "stack.tif", shots[0]])

    found = at_work(settings, work)
    assert [one.name for one in found.rows] == ["stack.tif#1", "stack.tif#2", "good-0.png"]
    assert [one.number for one in found.rows] == [0, 1, 2]
    assert [one.frame for one in found.queries] == [1, 2, "all"]
    assert found.queries[0].picture != found.queries[1].picture
    assert [one.verdict for one in found.rows[:2]] == ["normal", "anomalous"]


@pytest.mark.parametrize("history", [True, False])
def test_scores_are_kept_only_where_a_history_is(
    settings: Settings, shots: list[Path], queries: list[Path], history: bool
) -> None:
    async def work(bench: Workbench):
        found = await inspected(bench, shots, queries)
        return found, bench.store.history.list(None, None, 10).records

    found, records = at_work(replace(settings, history=history), work)
    assert len(records) == (2 if history else 0)
    if history:
        assert {r.score for r in records} == {one.score for one in found.rows}
        assert records[0].identity["backbone"] == "tiny"


def test_an_inspection_that_takes_too_long_ends_and_leaves_its_place(
    settings: Settings, shots: list[Path], queries: list[Path]
) -> None:
    async def work(bench: Workbench) -> tuple[int, int]:
        uploads = await added(bench, queries)
        asked = Asked(None, tuple(await read(shots)), "field", Choice())
        go_on = threading.Event()
        busy = asyncio.ensure_future(bench.engine.call(lambda: go_on.wait(60)))
        try:
            with pytest.raises(Expired, match="its deadline passed"):
                await asyncio.wait_for(inspect(bench, asked, uploads), 30)
        finally:
            go_on.set()
        assert await busy
        return bench.admission.requests, bench.admission.images

    limits = Limits(deadline=0.5, longest_deadline=0.5)
    assert at_work(replace(settings, limits=limits), work) == (0, 0)


def test_another_limit_judges_the_same_scores(
    settings: Settings, shots: list[Path], queries: list[Path]
) -> None:
    async def work(bench: Workbench):
        return await inspected(bench, shots, queries)

    found = at_work(settings, work)
    assert found.judged(None) == found.rows
    assert {one.verdict for one in found.judged(0.0)} == {"anomalous"}
    assert {one.verdict for one in found.judged(math.inf)} == {"normal"}
    between = sum(one.score for one in found.rows) / 2
    assert [one.verdict for one in found.judged(between)] == ["normal", "anomalous"]
    assert [one.score for one in found.judged(0.0)] == [one.score for one in found.rows]


def test_what_was_not_compared_is_normal_by_no_limit_of_ones_own(
    settings: Settings, shots: list[Path], tmp_path: Path
) -> None:
    deep = tmp_path / "deep.tif"
    deep.write_bytes(stack(part(50).astype(np.uint16) * 100))

    async def work(bench: Workbench):
        return await inspected(bench, shots, [deep, shots[0]])

    found = at_work(settings, work)
    assert "not called normal" in " ".join(found.rows[0].notes)
    assert [one.verdict for one in found.judged(math.inf)] == ["undecided", "normal"]
    assert {one.verdict for one in found.judged(0.0)} >= {"anomalous"}


def test_image_and_overlay_are_of_one_size(
    settings: Settings, shots: list[Path], queries: list[Path]
) -> None:
    async def work(bench: Workbench):
        return await inspected(bench, shots, queries)

    image, heat = at_work(settings, work).shown[1].pair
    assert image.size == heat.size == (320, 256)
    assert image.tobytes() != heat.tobytes()
