"""Images of more than 8 bits: what is shown, and what of them counts although it cannot be."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from inctrl.errors import UsageError
from inctrl.window import Window, show, window_of

WINDOW = Window(1000, 2000, 990, 2010)


def field(seed: int = 0, size: int = 100) -> NDArray[np.uint16]:
    """A plateau of 1500 +- 100."""
    return np.random.default_rng(seed).normal(1500, 100, (size, size)).astype(np.uint16)


def spotted(value: int, side: int = 15) -> NDArray[np.uint16]:
    values = field()
    values[40 : 40 + side, 30 : 30 + side] = value
    return values


def test_values_in_the_window_are_scaled_and_those_beyond_are_cut() -> None:
    values = spotted(2050)
    shown = show(values, WINDOW)
    gray = np.rint(np.clip((values.astype(float) - 1000) / 1000, 0, 1) * 255)
    for channel in range(3):
        np.testing.assert_array_equal(shown.rgb[..., channel], gray)
    assert shown.notes == ("uint16 values 1000..2000 shown",)


def test_a_window_is_taken_from_all_normal_images_and_knows_how_far_they_reach() -> None:
    values = [field(0), spotted(3000)]
    window = window_of(values)
    low, high = np.percentile(np.concatenate(values), (0.1, 99.9))
    assert (window.low, window.high) == (low, high)
    assert window.most == 3000
    assert window.least is not None
    assert window.least <= low
    given = window_of(values, Window(0, 2000))
    assert (given.low, given.high, given.least, given.most) == (0, 2000, 0, 3000)


@pytest.mark.parametrize(
    ("value", "colour", "says"),
    [
        (65_000, (255, 0, 0), "2.2 % of the pixels lie far above the normal images"),
        (2600, (255, 0, 0), "up to 2600"),
        (3, (0, 0, 255), "below the normal images, which end at 990 (down to 3)"),
    ],
)
def test_a_place_far_beyond_the_normal_images_is_marked_and_is_a_doubt(
    value: int, colour: tuple[int, int, int], says: str
) -> None:
    shown, plain = show(spotted(value), WINDOW), show(field(), WINDOW)
    assert (shown.rgb[40:55, 30:45] == colour).all()
    elsewhere = np.ones((100, 100), dtype=bool)
    elsewhere[40:55, 30:45] = False
    np.testing.assert_array_equal(shown.rgb[elsewhere], plain.rgb[elsewhere])
    [doubt] = shown.doubts
    assert says in doubt
    assert doubt in shown.notes


def test_dark_places_count_although_nothing_is_darker_than_zero() -> None:
    """Half of the window below 600 would be below 0."""
    window = Window(600, 2000, 600, 2000)
    assert (show(spotted(0), window).rgb[40:55, 30:45] == (0, 0, 255)).all()
    assert show(spotted(260), window).doubts == ()
    near_black = Window(20, 2000, 20, 2000)
    assert show(spotted(0), near_black).doubts == ()


def test_a_few_hot_and_dead_pixels_are_told_and_filled_from_around_them() -> None:
    values = field()
    values[10, 10] = values[11, 11] = values[70, 20] = 65_535
    values[0, 99] = 0
    shown, plain = show(values, WINDOW), show(field(), WINDOW)
    assert shown.doubts == ()
    assert "single pixels (3) lie far above" in shown.notes[1]
    assert "single pixels (1) lie far below" in shown.notes[2]
    others = [
        plain.rgb[y, x]
        for y in range(8, 13)
        for x in range(8, 13)
        if (y, x) not in [(10, 10), (11, 11)]
    ]
    np.testing.assert_array_equal(shown.rgb[10, 10], np.rint(np.median(others, axis=0)))
    changed = (shown.rgb != plain.rgb).any(axis=2)
    assert np.count_nonzero(changed) <= 4


def test_many_single_pixels_are_no_fault_of_a_sensor() -> None:
    values = field()
    values[::9, ::9] = 65_535
    shown = show(values, WINDOW)
    assert (shown.rgb[::9, ::9] == (255, 0, 0)).all()
    assert "1.4 % of the pixels lie far above" in shown.doubts[0]


def test_a_place_a_little_brighter_than_the_normal_images_is_told() -> None:
    shown = show(spotted(2300), WINDOW)
    assert shown.doubts == ()
    assert "2.2 % of the pixels lie above the normal images" in shown.notes[1]
    assert (shown.rgb[40:55, 30:45] == 255).all()


def test_what_normal_images_reach_is_nothing_to_tell() -> None:
    values = [field(), spotted(65_000)]
    window = replace(window_of(values), high=2000.0)
    for one in values:
        assert show(one, window).doubts == ()
        assert len(show(one, window).notes) == 1


def test_where_the_reach_is_not_known_nothing_is_marked_but_it_is_a_doubt() -> None:
    shown = show(spotted(65_000), Window(1000, 2000))
    assert (shown.rgb[40:55, 30:45] == 255).all()
    [doubt] = shown.doubts
    assert "far above the window's 2000 (up to 65000): shown as white" in doubt


@pytest.mark.parametrize("dtype", [np.int32, np.float32, np.float64])
def test_negative_and_fractional_values_count_like_others(dtype: type) -> None:
    normal, query = field().astype(dtype) - 5000, spotted(65_000).astype(dtype) - 5000
    shown = show(query, window_of([normal]))
    assert (shown.rgb[40:55, 30:45] == (255, 0, 0)).all()
    assert "up to 60000" in shown.doubts[0]


def test_normal_images_of_one_value_have_a_window_all_the_same() -> None:
    shown = show(np.full((8, 8), 7, np.uint16), window_of([np.full((8, 8), 7, np.uint16)]))
    assert shown.doubts == ()
    assert not shown.rgb.any()


@pytest.mark.parametrize("ends", [(2000, 1000), (5, 5), (float("nan"), 5)])
def test_a_window_upside_down_is_refused(ends: tuple[float, float]) -> None:
    with pytest.raises(UsageError, match="low end must lie below"):
        Window(*ends)


def test_all_of_an_image_is_told_as_100_percent() -> None:
    shown = show(np.full((8, 8), 60_000, np.uint16), Window(0, 1000, 0, 1000))
    assert "100 % of the pixels lie far above" in shown.doubts[0]
