import numpy as np
import pytest
from numpy.typing import NDArray

from inctrl.maths.extremes import PLACE, around, places, reach


def plain() -> NDArray[np.uint16]:
    """Values 100..199, all of them in each row."""
    return np.tile(np.arange(100, 200, dtype=np.uint16), (100, 1))


def test_values_between_the_limits_reach_no_further() -> None:
    assert reach(plain(), 100, 199) == (100, 199)
    assert reach(plain(), 0, 1000) == (0, 1000)


def test_a_place_reaches_as_far_as_its_last_pixel_but_a_few_hot_ones_nowhere() -> None:
    values = plain()
    values[3, 3] = values[50, 7] = values[50, 8] = values[51, 9] = 60_000
    values[90, 5] = values[91, 6] = 0
    assert reach(values, 100, 199) == (100, 199)
    values[20:22, 20:24] = [[300, 310, 320, 330], [340, 350, 360, 370]]
    values[70, 20:30] = 40  # a line one pixel wide is a place too
    assert reach(values, 100, 199) == (40, sorted(values[20:22, 20:24].ravel())[-PLACE])


def test_pixels_that_touch_by_their_corners_are_one_place() -> None:
    values = plain()
    for i in range(PLACE):
        values[10 + i, 10 + i] = 5000
    assert reach(values, 100, 199) == (100, 5000)
    values[12, 12] = 100
    assert reach(values, 100, 199) == (100, 199)


def test_the_end_of_a_row_does_not_touch_the_next_one() -> None:
    values = plain()
    values[10, -3:] = values[11, :2] = 5000
    assert reach(values, 100, 199) == (100, 199)


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32, np.float64])
def test_every_kind_of_value_is_understood(dtype: type) -> None:
    values = plain().astype(dtype)
    values[4:8, 4:8] = 3
    assert reach(values, 100, 199) == (3, 199)


@pytest.mark.parametrize("few", [0, 10_000])
def test_places_are_the_connected_parts_that_are_large_enough(
    few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inctrl.maths.extremes.FEW", few)
    marked = np.random.default_rng(0).random((60, 60)) < 0.15
    expected = np.zeros_like(marked)
    for start in np.argwhere(marked):
        part, waiting = set(), [tuple(start)]
        while waiting:
            y, x = waiting.pop()
            if (y, x) in part or not (0 <= y < 60 and 0 <= x < 60) or not marked[y, x]:
                continue
            part.add((y, x))
            waiting += [(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
        expected[tuple(start)] = len(part) >= PLACE
    assert expected.any()
    assert (marked & ~expected).any()
    np.testing.assert_array_equal(places(marked), expected)
    assert not places(np.zeros((9, 9), dtype=bool)).any()


def test_what_is_around_a_pixel_is_the_median_of_its_neighbours_that_are_not_marked() -> None:
    values = np.random.default_rng(0).integers(0, 255, (12, 12)).astype(np.uint8)
    marked = np.zeros_like(values, dtype=bool)
    marked[5, 5] = marked[6, 5] = marked[0, 0] = True
    expected = []
    for y, x in np.argwhere(marked):
        near = [
            (min(max(y + dy, 0), 11), min(max(x + dx, 0), 11))
            for dy in range(-2, 3)
            for dx in range(-2, 3)
        ]
        expected.append(np.rint(np.median([values[at] for at in near if not marked[at]])))
    np.testing.assert_array_equal(around(values, marked), expected)
