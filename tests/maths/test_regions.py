import numpy as np

from inctrl.maths.regions import components


def blank() -> np.ndarray:
    return np.zeros((50, 80), dtype=np.float32)


def test_two_places_are_two_regions_highest_first() -> None:
    values = blank()
    values[5:10, 20:30] = 0.5
    values[30:35, 60:62] = 0.9
    first, second = components(values, 0.3)
    assert first.box == (60, 30, 62, 35)
    assert (first.area, second.area) == (10, 50)
    assert second.box == (20, 5, 30, 10)
    assert np.isclose([first.peak, second.peak], [0.9, 0.5]).all()


def test_corners_that_touch_are_one_region() -> None:
    values = blank()
    values[5:10, 5:10] = values[10:15, 10:15] = 1
    assert [c.box for c in components(values, 0.5)] == [(5, 5, 15, 15)]


def test_nothing_above_the_limit_is_no_region() -> None:
    assert components(blank(), 0.0) == []
    assert components(blank() + 1, float("inf")) == []


def test_specks_are_left_out_unless_they_are_all() -> None:
    values = np.zeros((200, 200), dtype=np.float32)
    values[3, 3] = 2
    assert [c.area for c in components(values, 1)] == [1]
    values[50:60, 50:60] = 1.5
    assert [c.area for c in components(values, 1)] == [100]


def test_the_number_of_regions_is_bounded() -> None:
    values = np.zeros((40, 40), dtype=np.float32)
    values[::2, ::2] = np.arange(400).reshape(20, 20) + 1
    found = components(values, 0.5, most=3, least_share=0)
    assert [c.peak for c in found] == [400, 399, 398]
