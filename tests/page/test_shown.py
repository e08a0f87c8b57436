"""What is shown of an inspection, in words."""

from dataclasses import replace
from pathlib import Path

import pytest
from paged import at_work
from test_inspection import inspected

from inctrl.page import shown
from inctrl.page.html import render
from inctrl.page.inspection import Inspection
from inctrl.page.uploads import Added
from inctrl.reporting.lossplot import loss_plot
from inctrl.reporting.run import FailedRow
from inctrl.service.settings import Settings

HOSTILE = '<img src=x onerror="alert(1)">.png'


@pytest.fixture
def found(settings: Settings, shots: list[Path], queries: list[Path]) -> Inspection:
    return at_work(settings, lambda bench: inspected(bench, shots, queries))


def test_the_verdict_is_a_word_with_score_limit_and_p(found: Inspection) -> None:
    text = shown.verdict_html(found, 1, None)
    assert "<span>Anomalous</span>" in text
    assert 'class="icon"' in text
    assert f"limit {found.info.threshold:.3f}"[:10] in text
    assert "the least 4 shots can show" in text


def test_a_limit_of_ones_own_is_said_to_be_one(found: Inspection) -> None:
    limit = found.rows[1].score + 1
    assert "<span>Normal</span>" in shown.verdict_html(found, 1, limit)
    assert "judged by the limit that you set" in shown.verdict_html(found, 1, limit)
    assert "<b>Your limit" in shown.limit_html(found, limit)
    assert "0 of 2 inspected images lie above it, and 0 of the 4 normal" in " ".join(
        shown.limit_html(found, limit).split()
    )
    assert "2 of 2 inspected" in " ".join(shown.limit_html(found, 0.0).split())


def test_the_slider_starts_at_the_limit_and_that_is_no_limit_of_ones_own(
    found: Inspection,
) -> None:
    place = shown.limit_range(found)
    assert place.low <= 0 < place.start < place.high
    assert place.high >= max(one.score for one in found.rows)
    assert place.start == pytest.approx(found.info.threshold, abs=place.step)
    assert shown.own_limit(found, place.start) is None
    assert shown.own_limit(found, place.start + place.step) == place.start + place.step


def test_queries_come_with_the_most_anomalous_first(found: Inspection) -> None:
    text = shown.queries_html(found, 1, None)
    assert text.index('data-row="1"') < text.index('data-row="0"')
    assert shown.first(found) == 1
    assert text.count('aria-pressed="true"') == 1
    assert "1 of 2 looks anomalous" in text


def test_facts_tell_place_evidence_limit_and_time(found: Inspection) -> None:
    text = shown.facts_html(found, 1)
    for words in ("stand", "most similar normal place", "How the limit was set", "This image took"):
        assert words in text
    assert text.count("<img") == 2
    assert 'alt=""' not in text


def test_of_one_shot_alone_it_is_said_once_that_there_is_no_limit(
    settings: Settings, shots: list[Path], queries: list[Path]
) -> None:
    found = at_work(settings, lambda bench: inspected(bench, shots[:1], queries))
    text = shown.facts_html(found, 1)
    assert "Why there is no limit" in text
    assert "Without a limit" not in text
    assert "the worst places of the shot, a little moved and lit otherwise, lie at" in text
    assert "of normal images lie at" not in text


def test_files_of_several_images_are_counted_by_their_images() -> None:
    files = (Added(Path("a.png"), "data:", ""), Added(Path("stack.tif"), "data:", "", frames=4))
    assert ">5 normal images</p>" in render("added", files=files, what="normal image", bad=0)


def test_names_are_never_markup(found: Inspection) -> None:
    rows = tuple(replace(row, name=HOSTILE, notes=(HOSTILE,)) for row in found.rows)
    card = replace(found.info.card, item=HOSTILE)
    hostile = replace(
        found,
        rows=(*rows, FailedRow(2, HOSTILE, f"{HOSTILE!r} is damaged")),
        shown=(*found.shown, None),
        queries=(*found.queries, Added(Path(HOSTILE), "", HOSTILE)),
        info=replace(found.info, card=card, warnings=(HOSTILE,)),
        refused=(HOSTILE,),
    )
    texts = [
        *(shown.verdict_html(hostile, i, None) for i in range(3)),
        *(shown.facts_html(hostile, i) for i in range(3)),
        *(shown.queries_html(hostile, 0, None), shown.scores_html(hostile, None)),
    ]
    for text in texts:
        assert "<img src=x" not in text
        assert "onerror=&#34;" in text or "onerror" not in text


def test_a_curve_of_losses_lies_in_its_frame_and_leaves_out_what_is_no_number() -> None:
    rows = [{"step": i, "loss": 2.0 / i} for i in range(1, 1001)]
    rows += [{"step": 500, "loss": float("nan")}, {"step": 1000, "epoch": 1, "loss": 0.1}]
    plot = loss_plot(rows)
    assert plot is not None
    pairs = [tuple(map(float, pair.split())) for pair in plot.steps[1:].split("L")]
    assert len(pairs) <= 400
    assert all(0 <= value <= 100 for pair in pairs for value in pair)
    assert pairs[0][1] < pairs[-1][1]  # down is further from the top
    assert plot.points == ((100.0, 93.33),)
    assert plot.up[0].label == "0"
    assert loss_plot(rows[:1]) is None
