import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inctrl.maths.metrics import METRICS, image_figures

RANKING = ("image_auroc", "image_ap", "image_f1_max")
LIMIT = ("false_alarms", "recall", "calibration_error")


def auroc(labels: list[bool], scores: list[float]) -> float:
    """The chance that an anomalous image lies above a normal one; ties count half."""
    bad = [s for s, label in zip(scores, labels, strict=True) if label]
    good = [s for s, label in zip(scores, labels, strict=True) if not label]
    return float(np.mean([(b > g) + (b == g) / 2 for b in bad for g in good]))


def at_thresholds(labels: list[bool], scores: list[float]) -> list[tuple[float, float]]:
    """Precision and recall of `score >= t` for every score t, highest first."""
    found = []
    for t in sorted(set(scores), reverse=True):
        hits = sum(label for s, label in zip(scores, labels, strict=True) if s >= t)
        found.append((hits / sum(s >= t for s in scores), hits / sum(labels)))
    return found


labelled = st.lists(st.tuples(st.booleans(), st.integers(0, 8)), min_size=2, max_size=30)


@settings(max_examples=200, deadline=None)
@given(labelled)
def test_ranking_figures_are_what_their_definitions_give(pairs: list[tuple[bool, int]]) -> None:
    labels, scores = [a for a, _ in pairs], [b / 7 for _, b in pairs]
    figures = image_figures(labels, scores, 0.5, 0.05)
    if len(set(labels)) < 2:
        assert [figures[key] for key in RANKING] == [None] * 3
        return
    points = at_thresholds(labels, scores)
    recalls = [0.0, *(r for _, r in points)]
    ap = sum(p * (r - before) for (p, r), before in zip(points, recalls, strict=False))
    best = max(2 * p * r / (p + r) for p, r in points if r)
    assert figures["image_auroc"] == pytest.approx(auroc(labels, scores), abs=1e-12)
    assert figures["image_ap"] == pytest.approx(ap, abs=1e-12)
    assert figures["image_f1_max"] == pytest.approx(best, abs=1e-12)


def test_a_score_at_the_limit_is_no_alarm() -> None:
    labels = [False, False, False, False, True, True, True]
    figures = image_figures(labels, [0.1, 0.2, 0.5, 0.6, 0.5, 0.7, 0.9], 0.5, 0.05)
    assert figures["false_alarms"] == 1 / 4
    assert figures["recall"] == 2 / 3


def test_too_few_false_alarms_are_a_negative_error() -> None:
    labels = [False, False, True]
    assert image_figures(labels, [0, 0, 1], 0.5, 0.1)["calibration_error"] == pytest.approx(-0.1)
    assert image_figures(labels, [0, 1, 1], 0.5, 0.1)["calibration_error"] == pytest.approx(0.4)


def test_one_kind_alone_is_not_ranked_but_meets_the_limit() -> None:
    good = image_figures([False] * 4, [0.1, 0.2, 0.3, 0.9], 0.5, 0.05)
    assert [good[key] for key in RANKING] == [None] * 3
    assert (good["false_alarms"], good["recall"]) == (0.25, None)
    bad = image_figures([True] * 4, [0.1, 0.2, 0.3, 0.9], 0.5, 0.05)
    assert [bad[key] for key in RANKING] == [None] * 3
    assert (bad["false_alarms"], bad["recall"], bad["calibration_error"]) == (None, 0.25, None)


def test_no_image_defines_no_figure() -> None:
    assert set(image_figures([], [], 0.5, 0.05).values()) == {None}


def test_a_score_that_is_not_a_number_leaves_everything_undefined() -> None:
    assert set(image_figures([False, True], [0.1, math.nan], 0.5, 0.05).values()) == {None}


def test_infinite_scores_are_ranked_last_and_first() -> None:
    labels, ends = [False, False, True, True], [-math.inf, 1.0, 2.0, math.inf]
    assert image_figures(labels, ends, 1.5, 0.05) == image_figures(labels, [0, 1, 2, 3], 1.5, 0.05)


@pytest.mark.parametrize("threshold", [math.inf, -math.inf, math.nan])
def test_without_a_limit_nothing_is_an_alarm_and_nothing_is_missed(threshold: float) -> None:
    figures = image_figures([False, True], [0.1, 0.9], threshold, 0.05)
    assert [figures[key] for key in LIMIT] == [None] * 3
    assert figures["image_auroc"] == 1


def test_scores_that_differ_by_the_least_are_told_apart() -> None:
    higher = float(np.nextafter(1.0, 2.0))
    assert image_figures([False, True], [1.0, higher], 0.5, 0.05)["image_auroc"] == 1


def test_labels_and_scores_must_match() -> None:
    with pytest.raises(ValueError, match="give one for each"):
        image_figures([True, False], [0.1, 0.2, 0.3], 0.5, 0.05)


def test_every_figure_has_a_name_and_only_f1_max_looks_at_the_labels() -> None:
    image = [key for key, metric in METRICS.items() if metric.about != "pixels"]
    assert image == list(image_figures([False, True], [0, 1], 0.5, 0.05))
    assert [key for key, metric in METRICS.items() if metric.oracle] == ["image_f1_max"]
    assert len({metric.column for metric in METRICS.values()}) == len(METRICS)
