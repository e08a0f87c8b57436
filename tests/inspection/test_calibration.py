import math
from dataclasses import replace
from typing import NoReturn

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from inctrl.detectors.incontext import InContext
from inctrl.detectors.zeroshot import ZeroShot
from inctrl.inspection.calibration import MOST_SHOTS, Calibration, calibrate
from inctrl.inspection.seen import Seen
from inctrl.maths.tiles import Tiling
from inctrl.types import Features, Item

ITEM = Item("thing")
ALPHAS = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 1 / 3, 0.5, 1 - 0.9, 1 - 0.8)


def features(count: int, seed: int = 0, spread: float = 0.3) -> Features:
    generator = torch.Generator().manual_seed(seed)
    base = torch.randn(1, 4, 4, 6, generator=torch.Generator().manual_seed(99))
    patches = base + spread * torch.randn(count, 4, 4, 6, generator=generator)
    return Features((patches,), patches.mean((1, 2)))


def calibrated(shots: Features, alpha: float = 0.1, views: Features | None = None) -> Calibration:
    names = tuple(f"shot{i}" for i in range(len(shots)))

    def changed() -> tuple[Features, list[int]]:
        return (views, [1] * len(views)) if views else _never()

    return calibrate(InContext(), seen(shots), ITEM, alpha, changed, names)


def seen(shots: Features) -> list[Seen]:
    """Each as it is, and as a whole."""
    alone = [shots[i : i + 1] for i in range(len(shots))]
    return [Seen(shot, shot, Tiling((4, 4))) for shot in alone]


def _never() -> NoReturn:
    raise AssertionError("views are for a single shot")


def test_a_shot_is_never_scored_against_a_bank_that_holds_it() -> None:
    shots = features(4)
    detector = InContext()
    expected = [
        float(
            detector.score(
                shots[i : i + 1], detector.prepare(shots[[j for j in range(4) if j != i]], ITEM)
            ).score
        )
        for i in range(4)
    ]
    assert calibrated(shots).scores == pytest.approx(expected)
    assert min(expected) > 0.01  # against themselves they would be 0


def test_few_shots_give_a_prediction_limit_and_many_a_rank() -> None:
    assert calibrated(features(8), alpha=0.1).method == "prediction"
    assert calibrated(features(9), alpha=0.1).method == "rank"
    assert calibrated(features(20), alpha=0.05).method == "rank"


@pytest.mark.parametrize("k", [2, 4, 8, 24])
def test_held_out_normals_are_called_anomalous_about_as_often_as_wanted(k: int) -> None:
    detector, alarms = InContext(), []
    for seed in range(60):
        shots, held_out = features(k, seed), features(20, 1000 + seed)
        calibration = calibrated(shots, alpha=0.1)
        scores = detector.score(held_out, detector.prepare(shots, ITEM)).score.tolist()
        alarms += [calibration.judge(score) == "anomalous" for score in scores]
    assert 0.02 < sum(alarms) / len(alarms) < 0.16


def test_verdicts_follow_the_limit() -> None:
    scores = (0.1, 0.2, 0.15)
    calibration = Calibration(0.1, 3, scores, scores, 0.0, 0.1)
    limit = calibration.threshold
    assert limit > 0.25
    verdicts = [calibration.judge(s) for s in (0.05, 0.2, 0.25, limit, limit + 0.01, math.nan)]
    assert verdicts == ["normal", "normal", "undecided", "undecided", "anomalous", "undecided"]
    assert calibration.p_value(0.25) == calibration.p_floor == 0.25


def test_the_limit_is_never_below_a_shot() -> None:
    scores = (0.10, 0.10, 0.11, 0.10, 0.11, 0.10, 0.10, 0.18)
    calibration = Calibration(0.05, 8, scores, scores, 0.0, 0.1)
    assert calibration.method == "prediction"
    assert calibration.threshold == 0.18
    assert calibration.judge(0.17) == calibration.judge(0.18) == "normal"


@pytest.mark.parametrize("k", [2, 8, 20])
@pytest.mark.parametrize("alpha", [0.05, 0.1])
def test_anomalous_always_means_the_least_p_value_or_one_below_alpha(k: int, alpha: float) -> None:
    scores = tuple(torch.rand(k, generator=torch.Generator().manual_seed(k)).tolist())
    calibration = Calibration(alpha, k, scores, scores, 0.0, 0.1)
    tried = [*scores, *torch.linspace(0, 3, 60).tolist(), *torch.linspace(3, 100, 60).tolist()]
    alarms = [score for score in tried if calibration.judge(score) == "anomalous"]
    assert len(alarms) > 3
    assert max(map(calibration.p_value, alarms)) <= max(alpha, calibration.p_floor)


def test_copies_do_not_alarm_each_other() -> None:
    scores = (1.1213123940478908e-07,) * 4
    calibration = Calibration(0.05, 4, scores, scores, 0.0, 0.0)
    assert calibration.judge(1.2e-07) == "normal"


def test_another_alpha_moves_the_limits_and_nothing_else() -> None:
    strict, loose = calibrated(features(6), alpha=0.01), calibrated(features(6), alpha=0.3)
    assert strict.scores == loose.scores
    assert replace(strict, alpha=0.3) == loose
    assert strict.threshold > loose.threshold


def test_one_shot_sets_no_limit_and_calls_nothing_normal_or_anomalous() -> None:
    shot = features(1)
    views = Features((shot.patches[0] + 0.01 * torch.randn(8, 4, 4, 6),), shot.image.expand(8, -1))
    calibration = calibrated(shot, views=views)
    assert (calibration.method, calibration.scores) == ("views", ())
    assert calibration.threshold == calibration.calibrated == math.inf
    assert {calibration.judge(score) for score in (0.0, 0.9, math.inf)} == {"undecided"}
    assert calibration.p_value(0.9) == calibration.p_floor == 1
    assert "one shot" in calibration.warnings[0]
    assert "No limit" in calibration.limit_words


def test_one_shot_keeps_a_limit_of_its_maps_which_draws_places_and_claims_nothing() -> None:
    shot = features(1)
    views = Features((shot.patches[0] + 0.01 * torch.randn(8, 4, 4, 6),), shot.image.expand(8, -1))
    calibration = calibrated(shot, views=views)
    assert calibration.pixel_limit == max(calibration.tops)
    assert calibration.map_low < calibration.pixel_limit < calibration.map_high


def test_a_context_of_one_shot_that_was_saved_with_a_limit_has_none_any_more() -> None:
    before = Calibration(0.05, 1, (0.01, 0.02), (0.01, 0.02), 0.0, 0.01)
    assert before.threshold == math.inf
    assert before.judge(0.001) == before.judge(0.5) == "undecided"
    assert before.p_value(0.5) == before.p_floor == 1


LIMITS = st.tuples(
    st.lists(st.floats(0, 3, width=32), min_size=2, max_size=40), st.sampled_from(ALPHAS)
)


@settings(max_examples=300, deadline=None)
@given(LIMITS, st.floats(-1, 1), st.integers(0, 39))
def test_a_score_that_is_a_shots_but_for_rounding_is_judged_like_it(
    drawn: tuple[list[float], float], off: float, which: int
) -> None:
    scores, alpha = tuple(drawn[0]), drawn[1]
    calibration = Calibration(alpha, len(scores), scores, scores, 0.0, 0.1)
    score = scores[which % len(scores)]
    moved = score + off * 4e-7 * max(1.0, score)
    assert calibration.judge(score) == "normal" or calibration.method == "rank"
    if all(abs(moved - other) < 5e-7 or abs(moved - other) > 5e-6 for other in scores):
        assert calibration.p_value(moved) == calibration.p_value(score)
        assert calibration.judge(moved) == calibration.judge(score)


@settings(max_examples=300, deadline=None)
@given(LIMITS, st.floats(0, 4))
def test_where_a_rank_can_answer_anomalous_means_a_p_value_of_at_most_alpha(
    drawn: tuple[list[float], float], score: float
) -> None:
    scores, alpha = tuple(drawn[0]), drawn[1]
    calibration = Calibration(alpha, len(scores), scores, scores, 0.0, 0.1)
    if calibration.method == "rank":
        alarm = calibration.p_value(score) <= alpha * (1 + 1e-6)
        assert (calibration.judge(score) == "anomalous") == alarm


@pytest.mark.parametrize(
    ("k", "alpha"),
    [
        (19, 0.05),
        (9, 0.1),
        (9, 1 - 0.9),
        (4, 0.2),
        (4, 1 - 0.8),
        (3, 0.25),
        (19, 1 - 0.95),
        (9, float(np.float32(0.1))),
        (2, 1 / 3),
        (32, 1 / 33),
        (6, 1 - 6 / 7),
    ],
)
def test_a_p_value_of_exactly_alpha_alarms(k: int, alpha: float) -> None:
    scores = tuple(0.1 + 0.01 * i for i in range(k))
    calibration = Calibration(alpha, k, scores, scores, 0.0, 0.1)
    assert calibration.method == "rank"
    assert calibration.judge(scores[-1] + 0.001) == "anomalous"
    assert calibration.judge(scores[-1]) == "normal"
    assert calibration.threshold == scores[-1]


def test_a_shot_unlike_the_others_is_named() -> None:
    shots = features(6, spread=0.1)
    odd = Features((torch.cat([shots.patches[0][:5], -shots.patches[0][5:]]),), shots.image)
    assert any("'shot5' is unlike" in warning for warning in calibrated(odd).warnings)
    assert not calibrated(shots).warnings


def test_copies_are_said_to_tell_little() -> None:
    shots = features(4, spread=1e-4)
    assert any("nearly copies" in warning for warning in calibrated(shots).warnings)


def test_many_shots_are_left_out_in_turn_up_to_a_bound() -> None:
    calibration = calibrated(features(MOST_SHOTS + 10))
    assert len(calibration.scores) == MOST_SHOTS
    assert calibration.scores == calibrated(features(MOST_SHOTS + 10)).scores


def test_the_pixel_limit_is_the_threshold_where_score_and_map_share_a_scale() -> None:
    calibration = calibrated(features(5))
    assert calibration.pixel_limit == pytest.approx(calibration.threshold)
    assert calibration.map_low < calibration.pixel_limit < calibration.map_high


def test_without_shots_there_is_no_limit_and_no_verdict() -> None:
    calibration = calibrate(ZeroShot(), [], ITEM, 0.1, _never, ())
    assert calibration.method == "none"
    assert calibration.threshold == calibration.pixel_limit == math.inf
    assert {calibration.judge(score) for score in (0.0, 0.5, 1.0)} == {"undecided"}
    assert calibration.p_value(1.0) == calibration.p_floor == 1.0
    assert 0 < calibration.map_low < calibration.map_high < 1
    assert "give normal images" in calibration.warnings[0]
    assert "no normal image" in calibration.limit_words.lower()


def test_low_scores_of_shots_that_nothing_is_compared_with_do_not_make_them_copies() -> None:
    shots = Features(features(4).patches, torch.tensor([1.0, 0.0, 0, 0, 0, 0]).repeat(4, 1))
    item = Item("thing", torch.eye(2, 6))
    calibration = calibrate(ZeroShot(), seen(shots), item, 0.1, _never, ("a", "b", "c", "d"))
    assert max(calibration.scores) < 1e-6
    assert calibration.warnings == ()


def test_two_shots_that_differ_greatly_set_no_limit() -> None:
    wide = (1e-6, 0.9)
    calibration = Calibration(0.001, 2, wide, wide, 0.0, 0.9)
    assert calibration.threshold == calibration.pixel_limit == math.inf
    assert calibration.judge(0.95) == "undecided"
    assert calibration.judge(0.5) == "normal"
    assert calibration.map_high == pytest.approx(1.8)


def test_a_confirmed_defect_lowers_the_limit_half_way_to_the_highest_shot() -> None:
    scores = (0.10, 0.11, 0.12)
    plain = Calibration(0.05, 3, scores, scores, 0.0, 0.1)
    missed = (0.12 + plain.threshold) / 2
    told = replace(plain, defects=(missed, 0.5))
    assert told.threshold == pytest.approx((0.12 + missed) / 2)
    assert told.calibrated == plain.threshold
    assert (plain.judge(missed), told.judge(missed)) == ("undecided", "anomalous")
    assert told.pixel_limit == plain.pixel_limit
    assert "confirmed defect" in told.limit_words
    assert "confirmed defect" not in plain.limit_words
    assert replace(plain, defects=(0.12, 0.05)).threshold == plain.threshold
