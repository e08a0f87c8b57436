import dataclasses
import math
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_evaluation import CATEGORIES, cell, contender, evaluation, test_set, verdicts
from sklearn.metrics import average_precision_score, roc_auc_score

import inctrl.reporting.evaluation
from inctrl.evaluation.results import Evaluation
from inctrl.evaluation.tables import tables
from inctrl.maths.intervals import Difference, Spread
from inctrl.reporting.evaluation import curves, figures, gallery, grids, histograms, render, strips
from inctrl.reporting.evaluation.findings import findings

FOLDER = Path(inctrl.reporting.evaluation.__file__).parent
CSS = (FOLDER / "evaluation.css").read_text("utf-8")
BASE = (FOLDER.parent / "report.css").read_text("utf-8")


@pytest.fixture(scope="module")
def found() -> Evaluation:
    return evaluation(protocol="inctrl")


@pytest.fixture(scope="module")
def page(found: Evaluation) -> str:
    return render(found)


def text(page: str) -> str:
    """What the page says, without markup and pictures."""
    body = re.sub(r"<(style|script)>.*?</\1>", "", page, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", body))


def replaced(found: Evaluation, **changes: Any) -> Evaluation:
    cells = tuple(dataclasses.replace(c, **changes) for c in found.cells)
    return dataclasses.replace(found, cells=cells)


def judged_anew(found: Evaluation, threshold: float) -> Evaluation:
    cells = [
        dataclasses.replace(c, threshold=threshold, verdicts=verdicts(c.scores, threshold))
        for c in found.cells
    ]
    return dataclasses.replace(found, cells=tuple(cells))


def row(grid: grids.Grid, head: str) -> list[str]:
    return next([e.text for e in line.entries] for line in grid.lines if line.head == head)


def test_the_page_loads_nothing(page: str) -> None:
    loaded = re.findall(r"""(?:src|href|srcset|action|poster)\s*=\s*["']?([^"'\s>]*)""", page)
    assert loaded
    assert all(address.startswith(("data:", "#")) for address in loaded)
    assert not re.search(r"url\((?!#|data:)|@import|https?://|<link(?! rel=\"icon\")", page)
    assert not re.search(r"fetch\(|XMLHttpRequest|<script src|<iframe|<base", page)


def test_names_are_escaped_and_stay_in_their_place() -> None:
    bad = "<script>alert(1)</script>\n\u202e\"'\udcff"
    found = evaluation(
        contenders=[contender(bad, adapter=bad, backbone=bad, options={bad: bad}), contender("b")],
        categories=[(bad, bad, True, 5, 5), ("mvtec", "x", True, 5, 5)],
        notes=(bad,),
        group_by=bad,
        protocol=bad,
    )
    page = render(found)
    page.encode("utf-8")
    assert page.count("<script>") == 1  # our own
    assert "\u202e" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;\\n\\u202e" in page
    assert bad not in page


class Nesting(HTMLParser):
    """Fails where a tag is closed that was not the last one opened."""

    EMPTY = frozenset({"meta", "link", "img", "br"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.headers: list[dict[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "th":
            self.headers.append(dict(attrs))
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_markup_is_well_formed_and_every_header_has_a_scope(page: str) -> None:
    reader = Nesting()
    reader.feed(page)
    assert reader.open == []
    assert reader.headers
    assert all(header.get("scope") in ("row", "col") for header in reader.headers)
    assert page.count('<table class="grid">') == page.count("<caption>")


def test_every_picture_has_words(page: str) -> None:
    for tag in re.findall(r"<img[^>]*>", page):
        assert re.search(r'alt="[^"]+"', tag), tag[:80]
    pictures = re.findall(r"<svg[^>]*>", page)
    assert sum('role="img"' in tag and 'aria-label="' in tag for tag in pictures) > 10
    for tag in pictures:
        inner = 'preserveAspectRatio="none"' in tag
        assert "aria-label" in tag or "aria-hidden" in tag or inner, tag


def test_the_order_is_findings_means_differences_data_sets_limit_scores_maps_and_making(
    page: str,
) -> None:
    heads = re.findall(r"<h[12]>(?:<bdi>)?([^<]*)", page)
    assert heads == [
        "incontext is best in image AUROC",
        "Overall",
        "Differences",
        "Beside the published figures",
        "mvtec",
        "visa",
        "The limit",
        "Scores",
        "Best and worst maps",
        "How it was done",
    ]


def test_a_winner_is_named_with_its_interval(found: Evaluation, page: str) -> None:
    difference = tables(found).difference("image_auroc", 0, 1, None)
    assert difference is not None
    assert difference.clear
    first = findings(tables(found))[0].grounds
    assert first in page
    assert figures.points(difference.mean) in first
    assert f"95\u00a0% interval {figures.interval(difference)}" in first
    assert f"higher in {difference.wins} of 6 categories" in first


def test_no_winner_is_named_where_the_interval_holds_0() -> None:
    found = tables(evaluation(ahead=(0.02, 0.0)))
    difference = found.difference("image_auroc", 0, 1, None)
    assert difference is not None
    assert not difference.clear
    finding = findings(found)[0]
    assert finding.verdict == "No clear winner in image AUROC"
    assert "and the interval holds 0" in finding.grounds


def test_the_best_of_three_must_be_clear_of_both_others() -> None:
    three = [contender(name) for name in ("a", "b", "c")]
    clear = findings(tables(evaluation(three, ahead=(0.0, 1.2, 0.3))))[0]
    assert clear.verdict == "b is best in image AUROC"
    assert "ahead of c by" in clear.grounds
    assert "clear of the other 1 too" in clear.grounds
    close = findings(tables(evaluation(three, ahead=(0.0, 1.2, 1.2))))[0]
    assert close.verdict == "No clear winner in image AUROC"


def test_too_few_categories_name_no_winner_however_far_it_is_ahead() -> None:
    found = tables(evaluation(categories=CATEGORIES[2:3], ahead=(1.5, 0.0)))
    difference = found.difference("image_auroc", 0, 1, None)
    assert difference is not None
    assert difference.low is not None
    assert difference.low > 0
    assert "too few categories and seeds" in findings(found)[0].grounds
    assert "(rough)" in str(grids.differences(found, "image_auroc"))


def test_one_contender_alone_is_told_without_a_rival() -> None:
    page = render(evaluation([contender("incontext")], protocol="inctrl"))
    assert re.search(r"<h1>incontext reaches \d\d\.\d % image AUROC</h1>", page)
    assert "<h2>Differences</h2>" not in page


def test_an_evaluation_without_any_cell_stands() -> None:
    page = render(dataclasses.replace(evaluation(), cells=(), examples=()))
    assert "Nothing could be compared" in page
    assert "108 planned runs are missing" in page
    assert "0.0 ±" not in page


def test_the_same_shots_are_claimed_only_where_it_is_so(found: Evaluation, page: str) -> None:
    assert "All detectors saw the same shots." in page
    other = dataclasses.replace(found.cells[-1], shots=("another.png",))
    uneven = render(dataclasses.replace(found, cells=(*found.cells[:-1], other)))
    assert "saw the same shots" not in uneven
    assert "Detectors were given different shots" in uneven


def test_tables_show_means_and_spreads_in_percent(found: Evaluation) -> None:
    all_tables = tables(found)
    spread = all_tables.overall("image_auroc", 1, 2).spread
    assert spread.mean is not None
    assert spread.sd is not None
    shown = row(grids.overall(all_tables, "image_auroc"), "patchcore")[2]
    assert shown == f"{100 * spread.mean:.1f} ± {100 * spread.sd:.1f}"


def test_the_worst_category_of_every_contender_is_marked(found: Evaluation) -> None:
    grid = grids.categories(tables(found), "mvtec", 2)
    marks = [[entry.mark for entry in line.entries] for line in grid.lines]
    assert [line.head for line in grid.lines] == ["bottle", "cable", "screw"]
    assert marks == [["", ""], ["", ""], ["worst", "worst"]]
    assert grid.lines[0].note == "12 normal, 26 anomalous"


def test_f1_max_is_called_an_oracle_wherever_it_is_shown(found: Evaluation, page: str) -> None:
    heads = re.findall(r"<th[^>]*><bdi>(F1-max[^<]*)</bdi>", page)
    assert heads
    assert set(heads) == {"F1-max (oracle)"}
    assert "Image F1-max (oracle), %" in page
    assert page.count(grids.ORACLE) == len(heads) + 1


def test_without_masks_pixels_are_n_a(found: Evaluation) -> None:
    grid = grids.detail(tables(found), 0, "visa", 0)
    for line in (*grid.lines, *grid.foot):
        assert [entry.text for entry in line.entries][3:6] == ["n/a"] * 3
    entries = grids.overall(tables(found), "aupro_30").lines[0].entries
    assert {entry.note for entry in entries} == {"3 of 6 categories"}


def test_missing_seeds_are_said_beside_the_mean(found: Evaluation) -> None:
    less = tables(dataclasses.replace(found, cells=found.cells[1:]))
    bottle = grids.detail(less, 0, "mvtec", 0).lines[0].entries
    assert {entry.note for entry in bottle} == {"2 of 3 seeds"}
    page = render(less.evaluation)
    assert "107 runs of 108 planned" in page
    assert "1 planned run is missing" in page


def test_published_figures_stand_beside_ours_only_under_their_protocol(found: Evaluation) -> None:
    with_them = render(found)
    assert with_them.count("InCTRL, published") == 3
    assert "ViT-B-16-plus-240, trained adapters" in with_them
    assert "94.0 ± 1.5" in with_them
    assert (
        "published"
        not in text(render(dataclasses.replace(found, protocol="")))[:20000].split(
            "How it was done"
        )[0]
    )


def test_a_published_mean_over_other_categories_is_said_to_be_another_figure() -> None:
    part = [("visa", f"c{i}", False, 5, 5) for i in range(11)]
    for categories, said in ((part, True), ([*part, ("visa", "last", False, 5, 5)], False)):
        page = render(evaluation(categories=categories, protocol="inctrl"))
        assert ("published mean is over 12 categories, ours over 11" in page) == said


def test_without_a_limit_there_are_no_alarms_and_no_line(found: Evaluation) -> None:
    endless = judged_anew(found, math.inf)
    assert strips.strips(tables(endless)) is None
    drawn, _ = histograms.histograms(tables(endless))
    assert all(h.limit is None and h.limit_words == "none" for h in drawn[0].drawn)
    shown = dataclasses.replace(endless, examples=())
    page = text(render(shown))
    assert "no limit" in render(shown)
    assert not re.search(r"\b(inf|nan|None)\b", page)
    assert "false alarms 0 of" not in page


def test_curves_enclose_the_mean_area_of_their_runs(found: Evaluation) -> None:
    runs = [c for c in found.cells if (c.contender, c.dataset, c.k) == ("incontext", "visa", 8)]
    labels = {t.category: t.anomalous for t in found.tests}
    areas = [roc_auc_score(labels[c.category], c.scores) for c in runs]
    precisions = [average_precision_score(labels[c.category], c.scores) for c in runs]
    roc, pr = curves.curves(tables(found), "visa", 2)
    for drawn, wanted in ((roc, areas), (pr, precisions)):
        x, y = points(drawn.curves[0].path)
        assert len(x) <= 200
        assert np.trapezoid(1 - y, x) == pytest.approx(np.mean(wanted), abs=0.01)


def test_the_band_goes_from_the_lowest_to_the_highest_seed(found: Evaluation) -> None:
    roc, _ = curves.curves(tables(found), "visa", 2)
    for curve in roc.curves:
        _, mean = points(curve.path)
        _, edge = points(curve.band.rstrip("Z"))
        high, low = edge[: len(mean)], edge[len(mean) :][::-1]
        assert (high <= mean + 1e-3).all()  # down is more in SVG
        assert (low >= mean - 1e-3).all()
        assert (high < mean - 0.005).any()
        assert (low > mean + 0.005).any()


def points(path: str) -> tuple[np.ndarray, np.ndarray]:
    pairs = np.array([p.split() for p in re.split("[ML]", path)[1:]], dtype=np.float64) / 100
    return pairs[:, 0], pairs[:, 1]


def test_a_curve_of_fewer_categories_says_so(found: Evaluation) -> None:
    cells = [c for c in found.cells if (c.contender, c.category) != ("patchcore", "pcb4")]
    roc, _ = curves.curves(tables(dataclasses.replace(found, cells=tuple(cells))), "visa", 2)
    assert [curve.label for curve in roc.curves] == ["incontext", "patchcore (2 of 3 categories)"]


def test_two_contenders_never_share_a_line_style() -> None:
    styles = {(f"c{i % 5}", f"d{i % 4}") for i in range(20)}
    assert len(styles) == 20
    page = render(evaluation([contender(str(i)) for i in range(7)], CATEGORIES[:1], ahead=(0.0,)))
    assert len(set(re.findall(r'class="line (c\d d\d)"', page))) == 7


def test_a_histogram_counts_what_lies_beyond_its_limit() -> None:
    test = test_set("mvtec", "bottle", False, 4, 4)
    scores = (0.1, 0.2, 0.3, 0.6, 0.2, 0.5, 0.9, 0.8)
    one = cell("a", test, 1, 0, scores=scores, threshold=0.5)
    found = Evaluation((contender("a"),), (test,), (1,), (0,), 0.05, (one,))
    (group,), _ = histograms.histograms(tables(found))
    (h,) = group.drawn
    # A score at the limit is no alarm, so an anomalous one there is missed.
    assert (h.alarms, h.normals, h.missed, h.anomalies) == (1, 4, 2, 4)
    assert h.limit == pytest.approx(100 * (0.5 - 0.076) / 0.848, abs=0.1)


def test_a_histogram_counts_verdicts_and_names_the_normal_images_left_undecided() -> None:
    test = test_set("mvtec", "bottle", False, 4, 2)
    kinds = ("normal", "undecided", "undecided", "anomalous", "undecided", "anomalous")
    one = cell(
        "a", test, 1, 0, scores=(0.1, 0.2, 0.3, 0.6, 0.4, 0.9), threshold=0.5, verdicts=kinds
    )
    found = Evaluation((contender("a"),), (test,), (1,), (0,), 0.05, (one,))
    (group,), _ = histograms.histograms(tables(found))
    (h,) = group.drawn
    assert (h.alarms, h.undecided, h.missed) == (1, 2, 1)
    assert "false alarms 1 of 4 (2 undecided), missed 1 of 2" in text(render(found))
    drawn = strips.strips(tables(found))
    assert drawn is not None
    assert "undecided 50.0" in drawn.strips[0].words


def test_a_limit_far_off_does_not_squeeze_the_scores(found: Evaluation) -> None:
    drawn, _ = histograms.histograms(tables(judged_anew(found, 40.0)))
    assert {h.limit_words for h in drawn[0].drawn} == {"40.0, off to the right"}
    assert all(h.limit is None for h in drawn[0].drawn)


def test_dots_lie_left_of_alpha_exactly_if_their_false_alarms_are_fewer(found: Evaluation) -> None:
    all_tables = tables(found)
    drawn = strips.strips(all_tables)
    assert drawn is not None
    assert [x for x, _ in drawn.ticks][:: len(drawn.ticks) - 1] == [strips.LEFT, strips.RIGHT]
    for strip, contender_ in zip(drawn.strips, range(2), strict=True):
        for i, dot in enumerate(strip.dots):
            share = all_tables.category("false_alarms", contender_, i, 2).mean
            assert share is not None
            assert (dot.x < drawn.alpha) == (share < 0.05)
            assert 0 <= dot.x <= 100


@pytest.mark.parametrize(
    ("role", "score", "words"),
    [
        ("found", 0.6, "found"),
        ("found", 0.4, "missed"),
        ("missed", 0.4, "missed"),
        ("missed", 0.6, "lowest anomalous, still found"),
        ("alarm", 0.6, "false alarm"),
        ("alarm", 0.4, "highest normal, no alarm"),
    ],
)
def test_a_map_is_called_what_the_limit_makes_of_it(role: str, score: float, words: str) -> None:
    example = dataclasses.replace(evaluation().examples[0], role=role, score=score, threshold=0.5)
    ((group,), _) = gallery.galleries([example])
    assert group.shown[0].verdict == words
    assert group.shown[0].scores == f"score {score:.3f}, limit 0.500"


def test_pictures_are_few_and_failures_come_first() -> None:
    examples = evaluation([contender(str(i)) for i in range(9)], ahead=(0.3,)).examples
    assert len(examples) == 9 * 6 * 3
    shown, left_out = gallery.galleries(examples)
    assert sum(len(group.shown) for group in shown) == gallery.MOST
    assert left_out == len(examples) - gallery.MOST
    assert len(shown) == 9
    first = [e for e in gallery._chosen(examples) if e.role == "missed"]
    assert len(first) == 9 * 6
    few = [e for e in examples if e.contender == "0"]
    assert {e.role for e in gallery._chosen([*few, *few, *few, *few])} == set(gallery.ROLES)
    heavy = [dataclasses.replace(e, png=bytes(3_000_000)) for e in examples]
    assert len(gallery._chosen(heavy)) == 2


def test_the_page_says_how_it_was_done(page: str, found: Evaluation) -> None:
    said = text(page)
    for words in (
        "5 % of normal images (alpha)",
        "cd" * 32,
        "top_share = 0.03",
        "stage3, stage4",
        found.notes[0],
        "mvtec/screw, 2 shots, seed 1",
        "screw/train/good/007.png",
        "147 kB",  # 8 shots of 18,432 bytes
    ):
        assert words in said, words


def test_the_same_evaluation_gives_the_same_page(page: str, found: Evaluation) -> None:
    shuffled = dataclasses.replace(found, cells=found.cells[::-1])
    assert render(shuffled) == page


def test_a_large_evaluation_makes_a_page_that_opens() -> None:
    categories = [("mvtec", f"category{i}", True, 20, 20) for i in range(15)]
    names = [contender(f"detector {i}") for i in range(9)]
    page = render(evaluation(names, categories, seeds=(0, 1), ahead=(0.1, 0.0, -0.2)))
    assert len(page) < 3_000_000
    assert page.count('<figure class="histogram">') == 9 * 15


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.021, "+2.1"), (-0.021, "−2.1"), (0.0, "0.0"), (0.0004, "+0.04"), (-0.00001, "−0.001")],
)
def test_differences_show_their_sign(value: float, shown: str) -> None:
    assert figures.points(value) == shown


def test_the_end_of_an_interval_shows_on_which_side_of_0_it_lies() -> None:
    near = Difference(0.01, 0.0002, 0.02, 3, 0, 3, "categories", rough=False)
    assert figures.interval(near) == "+0.02 to +2.00"


def test_undefined_figures_are_n_a_never_0() -> None:
    assert figures.figure(None) == "n/a"
    assert figures.with_spread(Spread(None, None, 0)) == "n/a"
    assert figures.with_spread(Spread(0.5, None, 1)) == "50.0"
    assert figures.figure(-0.03, "calibration_error") == "−3.0"
    assert figures.size(None) == "n/a"
    assert figures.size(147_456) == "147 kB"


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("mode", [0, 1])
def test_curves_have_contrast_in_both_modes(mode: int) -> None:
    lines, papers = (
        re.findall(rf"--{name}: (#[0-9a-f]{{6}})", css)
        for name, css in ((r"c\d", CSS), ("card", BASE))
    )
    for line in lines[5 * mode : 5 * mode + 5]:
        first, second = sorted((luminance(line), luminance(papers[mode])))
        assert (second + 0.05) / (first + 0.05) >= 4.5
