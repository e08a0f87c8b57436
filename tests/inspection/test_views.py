import numpy as np

from inctrl.decoding import open_image
from inctrl.inspection.inputs import small_views


def test_views_are_small_changes_all_different_and_repeatable() -> None:
    random = np.random.default_rng(0)
    image = open_image(random.integers(60, 190, (50, 70, 3), dtype=np.uint8))
    views = small_views(image)
    assert {view.size for view in views} == {image.size}
    assert len({view.sha256 for view in [image, *views]}) == 9
    assert [v.sha256 for v in views] == [v.sha256 for v in small_views(image)]


def test_a_shift_moves_the_picture_and_reflects_at_the_border() -> None:
    rgb = np.zeros((100, 100, 3), dtype=np.uint8)
    rgb[50, 50] = 255
    shifted = small_views(open_image(rgb))[4].rgb  # down 2 %, right 3 %
    assert tuple(np.argwhere(shifted[..., 0] == 255)[0]) == (52, 53)


def test_a_tiny_image_has_views_too() -> None:
    assert len(small_views(open_image(np.zeros((4, 4), dtype=np.uint8)))) == 8
