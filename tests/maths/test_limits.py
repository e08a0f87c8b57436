import math

import numpy as np
import pytest
from scipy import special, stats

from inctrl.maths.limits import (
    at_most,
    exceeds,
    limit_below,
    outliers,
    prediction_limit,
    rank_limit,
    rank_p_value,
)


def test_p_value_counts_scores_as_high_and_has_a_floor() -> None:
    normal = [0.1, 0.2, 0.3]
    assert rank_p_value(0.05, normal) == 1
    assert rank_p_value(0.2, normal) == 3 / 4  # a tie counts
    assert rank_p_value(9.0, normal) == 1 / 4


def test_a_score_equals_a_normal_one_where_only_rounding_tells_them_apart() -> None:
    assert rank_p_value(0.3 + 3e-7, [0.1, 0.2, 0.3]) == rank_p_value(0.3, [0.1, 0.2, 0.3]) == 2 / 4
    assert rank_p_value(0.3 + 3e-6, [0.1, 0.2, 0.3]) == 1 / 4
    assert not exceeds(1e4 * (1 + 3e-7), 1e4)  # distances of some detectors run to thousands
    assert exceeds(1e4 * (1 + 3e-6), 1e4)
    assert not exceeds(math.nan, 0.1)
    assert exceeds(math.inf, 0.1)
    assert not exceeds(math.inf, math.inf)


def test_a_share_is_at_most_alpha_whatever_arithmetic_alpha_came_from() -> None:
    assert at_most(1 / 10, 1 - 0.9)
    assert at_most(1 / 20, 0.05)
    assert at_most(1 / 5, 1 - 0.8)
    assert not at_most(1 / 9, 0.11)


@pytest.mark.parametrize("alpha", [0.05, 0.1, 0.2, 1 - 0.9])
@pytest.mark.parametrize("n", [1, 4, 8, 9, 19, 20, 100])
def test_limit_and_p_value_say_the_same(n: int, alpha: float) -> None:
    normal = np.random.default_rng(n).lognormal(size=n).tolist()
    limit = rank_limit(normal, alpha)
    for score in [*normal, *np.linspace(0, 10, 50)]:
        assert exceeds(score, limit) == (rank_p_value(score, normal) <= alpha + 1e-9)


def test_rank_limit_keeps_its_promise_for_any_distribution() -> None:
    random = np.random.default_rng(0)
    draws = random.standard_cauchy((4000, 20))
    alarms = [row[-1] > rank_limit(row[:-1].tolist(), 0.1) for row in draws]
    assert np.mean(alarms) == pytest.approx(0.1, abs=0.015)


@pytest.mark.parametrize("n", [2, 4, 8])
def test_prediction_limit_keeps_its_promise_for_log_normal_scores(n: int) -> None:
    random = np.random.default_rng(n)
    draws = random.lognormal(-2, 0.3, (4000, n + 1))
    alarms = [row[-1] > prediction_limit(row[:-1].tolist(), 0.1) for row in draws]
    assert np.mean(alarms) == pytest.approx(0.1, abs=0.015)


def test_prediction_limit_is_the_textbook_formula() -> None:
    logs = np.array([-2.0, -1.5, -1.9])
    expected = logs.mean() + stats.t.ppf(0.95, 2) * logs.std(ddof=1) * math.sqrt(4 / 3)
    assert prediction_limit(np.exp(logs).tolist(), 0.05) == pytest.approx(math.exp(expected))


@pytest.mark.parametrize("n", [2, 4, 8])
def test_limits_of_probabilities_keep_their_promise_and_stay_below_one(n: int) -> None:
    random = np.random.default_rng(n)
    draws = special.expit(random.normal(0.5, 1.5, (4000, n + 1)))
    limits = [prediction_limit(row[:-1].tolist(), 0.1, bounded=True) for row in draws]
    assert max(limits) <= 1
    alarms = [row[-1] > limit for row, limit in zip(draws, limits, strict=True)]
    assert np.mean(alarms) == pytest.approx(0.1, abs=0.015)


def test_small_probabilities_have_the_limit_of_their_logarithms() -> None:
    small = [1e-5, 2e-5, 1.5e-5]
    bounded = prediction_limit(small, 0.05, bounded=True)
    assert bounded == pytest.approx(prediction_limit(small, 0.05), rel=1e-3)


def test_two_equal_scores_leave_room_above_them() -> None:
    """As of detectors for which two shots are as far from each other either way."""
    assert 3 < prediction_limit([0.3, 0.3], 0.05) / 0.3 < 10
    assert prediction_limit([0.3, 0.3, 0.3], 0.05) == pytest.approx(0.3)


def test_limits_that_cannot_be_given_are_infinite() -> None:
    assert prediction_limit([0.3], 0.05) == math.inf
    assert rank_limit([0.1] * 8, 0.1) == math.inf
    assert math.isfinite(prediction_limit([0.0, 0.0], 0.05))


def test_an_outlier_among_the_shots_is_found_and_near_equal_scores_are_not() -> None:
    assert outliers([0.10, 0.11, 0.12, 0.40, 0.10]) == [3]
    assert outliers([0.100, 0.101, 0.102, 0.110]) == []
    assert outliers([0.1, 0.9, 0.1]) == []  # no majority


@pytest.mark.parametrize(
    ("anomalous", "expected"),
    [
        ([], 1.0),  # nothing is known
        ([1.2], 1.0),  # found anyhow
        ([0.9], 0.7),  # missed: half way to the highest normal score
        ([0.95, 0.7, 1.4], 0.6),  # the lowest of them counts
        ([0.5], 1.0),  # scores like a normal image: no limit can tell it
        ([0.3, 0.9], 0.7),
        ([0.5 + 1e-6], 1.0),  # half way would be within rounding of either
    ],
)
def test_a_limit_falls_below_missed_anomalies_but_not_below_normals(
    anomalous: list[float], expected: float
) -> None:
    assert limit_below(1.0, [0.2, 0.5], anomalous) == pytest.approx(expected)


def test_without_normal_scores_a_limit_stays() -> None:
    assert limit_below(1.0, [], [0.5]) == 1.0
