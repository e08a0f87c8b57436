from itertools import pairwise

import pytest
import torch

from inctrl.maths.tiles import OVERLAP, Tiling, automatic, tiling_of
from inctrl.views import MOST_TILES

SIZES = [(3000, 4000), (4000, 3000), (300, 300), (100, 1000), (641, 977), (9, 7), (1, 1)]


@pytest.mark.parametrize("count", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("size", SIZES)
def test_tiles_cover_the_image_and_their_weights_sum_to_one(
    size: tuple[int, int], count: int
) -> None:
    tiling = tiling_of(size, count)
    assert max(tiling.down, tiling.across) == count
    ones = [torch.ones(b - t, r - le) for le, t, r, b in tiling.boxes]
    joined = tiling.join(lambda tile: ones[tile])
    assert joined.shape == size
    torch.testing.assert_close(joined, torch.ones(size), atol=1e-6, rtol=0)


def test_tiles_of_a_photograph_are_square_and_overlap_by_a_quarter() -> None:
    assert [(t.down, t.across) for t in (tiling_of((3000, 4000), n) for n in (1, 2, 4, 8))] == [
        (1, 1),
        (2, 2),
        (3, 4),
        (6, 8),
    ]
    for left, top, right, bottom in tiling_of((3000, 4000), 8).boxes:
        assert right - left == bottom - top == 640
    columns = [box[:3:2] for box in tiling_of((3000, 4000), 8).boxes[:8]]
    for (_, end), (start, after) in pairwise(columns):
        assert end - start >= OVERLAP * (after - start) - 1


def test_one_tile_is_the_whole_image_whatever_its_shape() -> None:
    assert tiling_of((100, 1000), 1) == Tiling((100, 1000))
    assert Tiling((100, 1000)).boxes == [(0, 0, 1000, 100)]


def test_a_tile_counts_for_nothing_at_its_inner_border_and_fully_at_the_edge_of_the_image() -> None:
    tiling = tiling_of((64, 160), 2)
    (_, _, end, _), (start, *_) = tiling.boxes
    left = tiling.join(lambda tile: torch.full((64, end), float(tile == 0)))
    assert torch.equal(left[:, :start], torch.ones(64, start))
    ramp = left[0, start:end]
    assert (ramp.diff() <= 0).all()
    assert float(ramp[: len(ramp) // 5].min()) == 1
    assert float(ramp[-len(ramp) // 5 :].max()) == 0


def test_a_step_between_two_tiles_becomes_a_slope() -> None:
    tiling = tiling_of((64, 256), 2)
    width = tiling.boxes[0][2]
    joined = tiling.join(lambda tile: torch.full((64, width), float(tile)))
    assert float(joined.diff(dim=1).abs().max()) < 2 / (OVERLAP * width)


def test_the_tile_that_counts_most_at_a_pixel_holds_it_nearest_its_middle() -> None:
    tiling = tiling_of((300, 400), 4)
    for row, column in [(0, 0), (150, 200), (299, 399), (17, 250)]:
        left, top, right, bottom = tiling.boxes[tiling.at(row, column)]
        assert left <= column < right
        assert top <= row < bottom
    assert tiling.at(0, 0) == 0
    assert tiling.at(299, 399) == len(tiling) - 1


def test_automatic_tiles_go_by_the_size_of_the_image_alone() -> None:
    found = [automatic((h, w), 288) for h, w in [(8, 8), (320, 240), (576, 576), (720, 1280)]]
    assert found == [1, 1, 1, 3]
    assert automatic((3000, 4000), 288) == automatic((40_000, 10), 288) == MOST_TILES
    assert automatic((3000, 4000), 518) < MOST_TILES
