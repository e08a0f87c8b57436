import dataclasses
import math
import re
from pathlib import Path

import pytest

import inctrl.reporting
from inctrl.reporting import words
from inctrl.reporting.page import render
from inctrl.reporting.pictures import pictures
from inctrl.reporting.plot import plot
from inctrl.reporting.run import FailedRow, row
from inctrl.types import Box

CSS = (Path(inctrl.reporting.__file__).parent / "report.css").read_text("utf-8")


@pytest.fixture
def made(result, info):
    """A row with its pictures."""

    def make(number=1, name="query.png", **changes):
        outcome = result(name, **changes)
        shown = pictures(outcome, info().scale, info().shot_images)
        return row(number, outcome, (f"maps/{number}.npz", f"overlays/{number}.png"), shown)

    return make


def test_the_page_loads_nothing(info, made):
    page = render(info(), [made(), FailedRow(2, "bad.png", "damaged")], 1.0)
    loaded = re.findall(r"""(?:src|href|srcset|action|poster)\s*=\s*["']?([^"'\s>]*)""", page)
    assert loaded
    assert all(address.startswith(("data:", "#")) for address in loaded)
    assert not re.search(r"url\((?!#|data:)|@import|https?://|<link(?! rel=\"icon\")", page)
    assert not re.search(r"fetch\(|XMLHttpRequest|<script src|<iframe|<base", page)


def test_names_are_escaped(info, made):
    name = "<script>alert(1)</script>\n\u202e\"'.png"
    warned = info(warnings=(name,))
    failed = FailedRow(2, name, f"{name!r} <b>broken</b>")
    page = render(warned, [made(name=name, notes=(name,)), failed], 1.0)
    assert page.count("<script>") == 1  # our own
    assert "<b>broken" not in page
    assert "\u202e" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;\\n\\u202e" in page


def test_undecodable_names_are_shown_as_escapes(info, made):
    page = render(info(), [made(name="bytes\udcff.png")], 1.0)
    page.encode("utf-8")
    assert "bytes\\udcff.png" in page


def test_a_card_gives_verdict_score_p_value_place_and_evidence(info, made):
    page = render(info(), [made()], 1.0)
    for words_on_it in (
        "The image looks anomalous",
        "score 0.213, limit 0.180",
        "p ≤ 0.2, the least 4 shots can show",
        "centre, 32 × 24 px at (32, 24), 6.2\u00a0% of the image, peak 0.700",
        "shot 2, shot1.png",
        "map value 0.700; the worst places of normal images lie at 0.300",
        "2.3 times as high",
        "frame 1 of 4 used",
    ):
        assert words_on_it in page, words_on_it


def test_every_picture_has_words_and_every_slider_a_label(info, made):
    page = render(info(), [made(1), made(2, verdict="normal", regions=())], 1.0)
    for tag in re.findall(r"<img[^>]*>", page):
        assert re.search(r'alt="[^"]+"', tag), tag[:80]
    sliders = re.findall(r'<input id="(o\d+)" type="range"', page)
    assert sliders == ["o1", "o2"]
    assert all(f'<label for="{slider}">' in page for slider in sliders)


def test_cards_come_most_anomalous_first(info, made):
    page = render(info(), [made(1, score=0.1), made(2, score=0.3), made(3, score=0.2)], 1.0)
    assert re.findall(r'<article class="card \w+" id="q(\d)"', page) == ["2", "3", "1"]


def test_rows_without_pictures_are_listed(info, made):
    bare = dataclasses.replace(made(2, "late.png", verdict="normal"), pictures=None)
    page = render(info(), [made(1), bare], 1.0)
    assert page.count("<article") == 1
    assert "Of 2 scored images the 1 most anomalous are shown" in page
    assert '<tr id="q2">' in page


def test_a_run_without_shots_has_no_limit_and_says_so(info, made):
    nothing = info(
        card=dataclasses.replace(info().card, shots=(), shot_names=()),
        method="none",
        limit_words="No normal image was given.",
        calibration_scores=(),
        threshold=math.inf,
        p_floor=1.0,
        scale=dataclasses.replace(info().scale, limit=math.inf),
        shot_images=(),
    )
    unlimited = {"threshold": math.inf, "pixel_limit": math.inf, "p_value": 1.0, "p_floor": 1.0}
    rows = [made(**unlimited, verdict="undecided", regions=(), evidence=None)]
    page = re.sub(r"base64,[^\"]*", "", render(nothing, rows, 1.0))
    for words_on_it in (
        "ranked without normal shots",
        "score 0.213, no limit",
        "<b>Why there is no limit.</b> No normal image was given. Without a limit",
        "the colour fades towards low values",
        "highest value of its map is 0.700",
    ):
        assert words_on_it in page, words_on_it
    assert not re.search(r"\b(inf|nan|None)\b(?!;)", page)
    assert not re.search(
        r"shots can show|What normal looks like|p ≤|p =|pixel limit<|0 scores", page
    )
    assert not re.search(
        r"Preparing the shots|8-bit|false alarms|Shots \(sha256|normal scores behind", page
    )


@pytest.mark.parametrize("rows", [[], [FailedRow(1, "bad.png", "damaged")]])
def test_a_page_without_results_stands(info, rows):
    assert "What made this report" in render(info(shot_images=()), rows, 0.0)


def test_the_page_says_what_made_it(info, made):
    page = render(info(warnings=("Look at shot 3.",)), [made()], 1.0)
    for fact in ("cd" * 32, "ab" * 32, "top_share = 0.03", "Look at shot 3.", "shot3.png"):
        assert fact in page


@pytest.mark.parametrize(
    ("verdicts", "headline"),
    [
        (
            "anomalous " * 3 + "normal " * 4 + "undecided unreadable",
            "3 of 9 look anomalous, 4 normal, 1 undecided, 1 unreadable",
        ),
        ("anomalous normal", "1 of 2 looks anomalous, 1 normal"),
        ("normal undecided", "None of 2 look anomalous, 1 normal, 1 undecided"),
        ("normal normal", "All 2 look normal"),
        ("anomalous", "The image looks anomalous"),
        ("unreadable unreadable", "None of 2 could be read"),
        ("", "No images were given"),
    ],
)
def test_the_headline_counts_every_query(result, verdicts, headline):
    rows = [
        FailedRow(i, "x", "y")
        if verdict == "unreadable"
        else row(i, result(verdict=verdict), ("", ""), None)
        for i, verdict in enumerate(verdicts.split())
    ]
    assert words.headline(rows) == headline


def test_numbers_that_differ_are_written_apart():
    assert words.told_apart(0.213, 0.18) == ("0.213", "0.180")
    assert words.told_apart(0.18004, 0.18001) == ("0.18004", "0.18001")
    assert words.told_apart(0.087, 0.18) == ("0.087", "0.180")
    assert words.told_apart(0.2, 0.2) == ("0.200", "0.200")
    assert words.told_apart(1234.0, 87.5) == ("1,234", "88")
    assert words.told_apart(0.0, 0.0) == ("0.00", "0.00")
    assert words.number(1e304) == "1.00e+304"


@pytest.mark.parametrize("scores", [[0.2], [0.0, 0.0], [0.3] * 500, [1e-4, 0.5], [-3.0, 2.0, 7.0]])
def test_every_set_of_scores_has_a_plot_inside_its_frame(result, scores):
    rows = [row(i, result(score=s), ("", ""), None) for i, s in enumerate(scores)]
    drawn = plot(rows, (0.1, 0.2), 0.18)
    assert drawn is not None
    assert len(drawn.marks) == len(scores)
    places = [*(m.x for m in drawn.marks), *drawn.rug, *(t.x for t in drawn.ticks)]
    assert all(0 <= x <= 100 for x in places)
    assert all(0 <= m.y <= drawn.height for m in drawn.marks)
    assert len({t.label for t in drawn.ticks}) == len(drawn.ticks) >= 2


def test_marks_lie_where_their_scores_do_and_never_on_each_other(result):
    rows = [row(i, result(score=0.1 + 0.001 * (i % 40)), ("", ""), None) for i in range(200)]
    drawn = plot(rows, (), 0.1205)
    assert drawn is not None
    assert drawn.limit is not None
    assert len({(m.x, m.y) for m in drawn.marks}) == 200
    for mark in drawn.marks:
        assert (mark.x > drawn.limit.x) == (mark.row.score > 0.1205)


def test_the_axis_is_logarithmic_only_for_wide_ranges(result):
    rows = [row(i, result(score=s), ("", ""), None) for i, s in enumerate((0.001, 0.9))]
    wide, narrow = plot(rows, (), math.inf), plot(rows[1:], (0.5,), math.inf)
    assert wide is not None
    assert narrow is not None
    assert (wide.log, narrow.log) == (True, False)


def test_a_limit_far_off_does_not_squeeze_the_scores(result):
    drawn = plot([row(1, result(), ("", ""), None)], (0.1,), 1e304)
    assert drawn is not None
    assert drawn.limit is None


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_text_has_contrast_in_both_modes(mode):
    light, dark = CSS.split("@media screen and (prefers-color-scheme: dark)")
    block = light if mode == "light" else dark.partition("* { box-sizing")[0]
    colour = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block))
    kinds = ("anomalous", "normal", "undecided", "unreadable")
    pairs = [(ink, paper) for ink in ("ink", "muted", *kinds) for paper in ("bg", "card")]
    for ink, paper in [*pairs, *((kind, f"tint-{kind}") for kind in kinds)]:
        light_one, dark_one = sorted((luminance(colour[ink]), luminance(colour[paper])))[::-1]
        assert (light_one + 0.05) / (dark_one + 0.05) >= 4.5, (ink, paper)


@pytest.mark.parametrize(
    ("box", "place"),
    [
        (Box(0, 0, 10, 10), "upper left"),
        (Box(40, 0, 60, 10), "upper"),
        (Box(90, 90, 100, 100), "lower right"),
        (Box(40, 40, 60, 60), "centre"),
        (Box(0, 40, 10, 60), "left"),
    ],
)
def test_places_have_names(box, place):
    assert words.place(box, (100, 100)) == place
