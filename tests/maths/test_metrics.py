import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inctrl.maths.metrics import METRICS, image_figures, verdict_figures

RANKING = ("image_auroc", "image_ap", "image_f1_max")
UNDEFINED = {"false_alarms": None, "recall": None, "calibration_error": None}
VERDICTS = {"n": "normal", "?": "undecided", "!": "anomalous"}


def at_limit(labels: str, verdicts: str, alpha: float = 0.05) -> dict[str, float | None]:
    """Of images in letters: g(ood) or b(ad); n(ormal), ?, !"""
    return verdict_figures([c == "b" for c in labels], [VERDICTS[c] for c in verdicts], alpha)


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
    figures = image_figures(labels, scores)
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


def test_false_alarms_and_recall_count_verdicts_and_the_undecided_stand_beside() -> None:
    figures = at_limit("gggg bbb".replace(" ", ""), "n?!n?!!")
    assert figures["false_alarms"] == figures["undecided"] == 1 / 4
    assert figures["recall"] == 2 / 3


def test_too_few_false_alarms_are_a_negative_error() -> None:
    assert at_limit("ggb", "nn!", 0.1)["calibration_error"] == pytest.approx(-0.1)
    assert at_limit("ggb", "n!!", 0.1)["calibration_error"] == pytest.approx(0.4)


def test_one_kind_alone_is_not_ranked_but_meets_the_limit() -> None:
    assert set(image_figures([False] * 4, [0.1, 0.2, 0.3, 0.9]).values()) == {None}
    assert set(image_figures([True] * 4, [0.1, 0.2, 0.3, 0.9]).values()) == {None}
    good, bad = at_limit("gggg", "nnn!"), at_limit("bbbb", "nnn!")
    assert (good["false_alarms"], good["recall"]) == (0.25, None)
    assert (bad["false_alarms"], bad["recall"], bad["calibration_error"]) == (None, 0.25, None)


def test_no_image_defines_no_figure() -> None:
    assert set(image_figures([], []).values()) == {None}
    assert set(at_limit("", "").values()) == {None}


def test_where_nothing_is_decided_nothing_is_an_alarm_and_nothing_is_missed() -> None:
    assert at_limit("ggb", "???") == {**UNDEFINED, "undecided": 1.0}
    assert at_limit("ggb", "??n")["false_alarms"] == 0


def test_a_score_that_is_not_a_number_ranks_nothing() -> None:
    assert set(image_figures([False, True], [0.1, math.nan]).values()) == {None}


def test_infinite_scores_are_ranked_last_and_first() -> None:
    labels, ends = [False, False, True, True], [-math.inf, 1.0, 2.0, math.inf]
    assert image_figures(labels, ends) == image_figures(labels, [0, 1, 2, 3])


def test_scores_that_differ_by_the_least_are_told_apart() -> None:
    higher = float(np.nextafter(1.0, 2.0))
    assert image_figures([False, True], [1.0, higher])["image_auroc"] == 1


def test_labels_and_scores_must_match() -> None:
    with pytest.raises(ValueError, match="give one for each"):
        image_figures([True, False], [0.1, 0.2, 0.3])
    with pytest.raises(ValueError, match="give one for each"):
        at_limit("gb", "nn!")


def test_every_figure_has_a_name_and_only_f1_max_looks_at_the_labels() -> None:
    image = [key for key, metric in METRICS.items() if metric.about != "pixels"]
    assert image == [*image_figures([False, True], [0, 1]), *at_limit("gb", "n!")]
    assert [key for key, metric in METRICS.items() if metric.oracle] == ["image_f1_max"]
    assert len({metric.column for metric in METRICS.values()}) == len(METRICS)
