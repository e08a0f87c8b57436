import itertools

import numpy as np
import pytest

from inctrl.maths import intervals
from inctrl.maths.intervals import paired_difference, spread

NAN = float("nan")


def rows(*values: list[float]) -> np.ndarray:
    return np.array(values, dtype=np.float64)


def test_the_spread_over_seeds_divides_by_n_minus_1() -> None:
    found = spread(np.array([1.0, 2.0, 6.0]))
    assert (found.mean, found.seeds) == (3.0, 3)
    assert found.sd == pytest.approx(np.sqrt((4 + 1 + 9) / 2))


def test_undefined_seeds_are_left_out_and_counted() -> None:
    assert spread(np.array([1.0, NAN, 3.0])).seeds == 2
    assert spread(np.array([1.0, NAN])) == intervals.Spread(1.0, None, 1)
    assert spread(np.array([NAN])) == intervals.Spread(None, None, 0)


def test_every_category_weighs_the_same_and_every_group_too() -> None:
    one = rows([1.0, 1.0, 1.0], [4.0, NAN, NAN])
    two = rows([10.0, 10.0, 10.0])
    found = paired_difference([one, two])
    assert found is not None
    assert found.mean == pytest.approx(((1 + 4) / 2 + 10) / 2)


def test_wins_are_counted_by_category_in_the_mean_over_its_seeds() -> None:
    found = paired_difference([rows([2.0, -1.0], [-2.0, 1.0], [0.1, -0.1], [3.0, 3.0])])
    assert found is not None
    assert (found.wins, found.losses, found.categories) == (2, 1, 4)


def test_the_interval_is_a_quantile_of_all_ways_to_draw_categories_then_seeds() -> None:
    values = rows([0.0, 3.0], [1.0, 1.0], [5.0, 9.0])
    # Each drawn category is the mean of two of its seeds, drawn on their own.
    by_category = [[(a + b) / 2 for a in row for b in row] for row in values]
    drawn = [v for row in by_category for v in row]
    every = sorted(np.mean(three) for three in itertools.product(drawn, repeat=3))
    weights = intervals._weights((2, 2, 2), 0)
    ours = (weights * values.ravel()).sum(axis=1)
    assert np.allclose(weights.sum(axis=1), 1)
    assert ours.mean() == pytest.approx(np.mean(every), abs=0.06)
    assert ours.std() == pytest.approx(np.std(every), rel=0.03)
    assert np.quantile(ours, [0.1, 0.9]) == pytest.approx(np.quantile(every, [0.1, 0.9]), abs=0.35)


def test_a_category_with_fewer_seeds_draws_only_these() -> None:
    weights = intervals._weights((1, 3), 0)
    once = weights[(weights[:, 0] > 0) & (weights[:, 0] < 1)]
    assert len(once) > 1500  # both categories drawn, in half of the draws
    assert np.allclose(once[:, 0], 0.5)
    assert set(np.round(weights[weights[:, 0] == 0] * 6).astype(int).sum(axis=1)) == {6}


@pytest.mark.parametrize(("categories", "seeds"), [(3, 5), (6, 5), (12, 5), (1, 5)])
def test_the_interval_holds_the_truth_as_often_as_it_says(categories: int, seeds: int) -> None:
    random = np.random.default_rng(categories)
    held = 0
    for _ in range(300):
        centre = 1 + random.normal(0, 1, (categories, 1)) * (categories > 1)
        found = paired_difference([centre + random.normal(0, 1, (categories, seeds))])
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        held += found.low <= 1 <= found.high
    assert 0.90 <= held / 300 <= 0.99


def test_swapping_the_two_turns_the_interval_around() -> None:
    values = np.random.default_rng(0).normal(0.3, 1, (5, 4))
    one, other = paired_difference([values]), paired_difference([-values])
    assert one is not None
    assert other is not None
    assert (one.low, one.high) == pytest.approx((-(other.high or 0), -(other.low or 0)), abs=1e-12)
    assert (one.wins, one.losses) == (other.losses, other.wins)


def test_the_same_values_give_the_same_interval() -> None:
    values = np.random.default_rng(0).normal(0.3, 1, (5, 4))
    first = paired_difference([values])
    intervals._weights.cache_clear()
    assert paired_difference([values.copy()]) == first


def test_it_says_what_was_drawn_and_whether_that_was_enough() -> None:
    random = np.random.default_rng(0)

    def drawn(*shapes: tuple[int, int]) -> tuple[str, bool]:
        found = paired_difference([random.normal(size=shape) for shape in shapes])
        assert found is not None
        return found.drawn, found.rough

    assert drawn((3, 2)) == ("categories and seeds", False)
    assert drawn((3, 1)) == ("categories", False)
    assert drawn((2, 5)) == ("categories and seeds", True)
    assert drawn((1, 5)) == ("seeds", False)
    assert drawn((1, 4)) == ("seeds", True)
    assert drawn((1, 3), (1, 3)) == ("seeds", False)


def test_a_difference_is_clear_only_if_its_interval_leaves_out_0_and_is_not_rough() -> None:
    def clear(*values: list[float]) -> bool:
        found = paired_difference([rows(*values)])
        assert found is not None
        return found.clear

    assert clear([1.0, 2.0], [2.0, 1.0], [1.5, 1.0])
    assert clear([-1.0, -2.0], [-2.0, -1.0], [-1.5, -1.0])
    assert not clear([1.0, 2.0], [2.0, -9.0], [1.5, 1.0])
    assert not clear([0.0, 0.0], [0.0, 0.0], [0.0, 0.0])
    assert not clear([1.0, 2.0])  # two seeds of one category
    assert not clear([1.0])


def test_one_value_alone_has_no_interval() -> None:
    found = paired_difference([rows([0.2, NAN])])
    assert found is not None
    assert (found.mean, found.low, found.high, found.drawn) == (0.2, None, None, "")


def test_nothing_defined_is_no_difference() -> None:
    assert paired_difference([rows([NAN, NAN]), rows([NAN])]) is None
    assert paired_difference([]) is None
