import numpy as np
import pytest

from inctrl.maths.turns import TURNS, turned, turned_back


def picture(height: int = 40, width: int = 60, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("size", [(40, 60), (31, 20), (16, 16), (5, 90), (1, 7)])
@pytest.mark.parametrize("turn", range(TURNS))
def test_a_turn_keeps_the_canvas_and_a_plain_colour(size: tuple[int, int], turn: int) -> None:
    """Reflected margins: no corner is black."""
    plain = np.full((*size, 3), 90, dtype=np.uint8)
    assert np.array_equal(turned(plain, turn), plain)


@pytest.mark.parametrize("quarters", range(4))
def test_quarter_turns_of_squares_only_rearrange_pixels(quarters: int) -> None:
    square = picture(33, 33)
    assert np.array_equal(turned(square, 2 * quarters), np.rot90(square, quarters))


def test_a_quarter_turn_of_another_shape_shows_its_middle_and_reflected_margins() -> None:
    wide = picture(20, 60)
    upright = turned(wide, 2)
    assert np.array_equal(upright[:, 20:40], np.rot90(wide)[20:40])
    assert np.array_equal(upright[:, 19], upright[:, 20])


def test_four_quarter_turns_and_eight_eighths_come_back() -> None:
    square = picture(24, 24)
    again = square
    for _ in range(4):
        again = turned(again, 2)
    assert np.array_equal(again, square)
    assert np.array_equal(turned(square, 8), square)


@pytest.mark.parametrize("turn", range(TURNS))
@pytest.mark.parametrize("size", [(120, 120), (100, 140)])
def test_a_box_in_a_turned_image_is_found_again_in_the_image(
    size: tuple[int, int], turn: int
) -> None:
    rgb = np.zeros((*size, 3), dtype=np.uint8)
    rgb[36:46, 54:64] = 255  # near the centre, so that no turn loses it
    rows, columns = np.nonzero(turned(rgb, turn)[..., 0] > 128)
    box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    left, top, right, bottom = turned_back(box, size, turn)
    assert abs((left + right) / 2 - 59) <= 1
    assert abs((top + bottom) / 2 - 41) <= 1
    assert left <= 55
    assert right >= 63


def test_a_place_in_a_reflected_margin_is_told_from_where_it_is_reflected() -> None:
    """The corner of an eighth turn lies outside of the image."""
    left, top, right, bottom = turned_back((0, 0, 4, 4), (100, 100), 1)
    assert 0 <= (left + right) / 2 <= 100
    assert 0 <= (top + bottom) / 2 <= 100
