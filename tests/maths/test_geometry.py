"""An image meets the square of a backbone, and a map finds its way back."""

import pytest
import torch

from inctrl.maths.geometry import View, view_of

SIZES = [(37, 101), (101, 37), (53, 53), (480, 641), (5, 7)]
GRID = (8, 8)


def box(view: View, row: int, column: int) -> tuple[int, int, int, int]:
    return view.cell_box(row, column, GRID)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("fit", ["squash", "crop", "pad"])
def test_a_constant_map_is_constant_where_the_square_looks_and_keeps_the_size(
    size: tuple[int, int], fit: str
) -> None:
    seen = view_of(size, 64, fit).to_source(torch.ones(GRID))
    assert seen.shape == size
    assert seen.min() >= 0
    assert seen.max() <= 1 + 1e-6
    if fit == "crop" and size[0] != size[1]:
        middle = seen[size[0] // 2, size[1] // 2]
        assert middle == pytest.approx(1)
    else:  # squash and pad see all of the image
        torch.testing.assert_close(seen, torch.ones(size))


def test_crop_says_nothing_of_what_it_does_not_see() -> None:
    seen = view_of((100, 300), 64, "crop").to_source(torch.ones(GRID))
    # The centre square is columns 100..200; the border blends over about one scaled pixel.
    assert seen[:, :97].abs().max() == 0
    assert seen[:, 203:].abs().max() == 0
    torch.testing.assert_close(seen[:, 103:197], torch.ones(100, 94))


@pytest.mark.parametrize("size", SIZES)
def test_squash_boxes_tile_the_image(size: tuple[int, int]) -> None:
    view = view_of(size, 64, "squash")
    boxes = [[box(view, row, column) for column in range(8)] for row in range(8)]
    assert boxes[0][0][:2] == (0, 0)
    assert boxes[7][7][2:] == (size[1], size[0])
    if min(size) >= 8:  # with fewer pixels than cells, neighbours share one
        for row in range(8):
            assert all(boxes[row][i][2] == boxes[row][i + 1][0] for i in range(7))
            assert all(boxes[i][row][3] == boxes[i + 1][row][1] for i in range(7))


@pytest.mark.parametrize("size", [(90, 210), (211, 97), (128, 128), (300, 481)])
@pytest.mark.parametrize("fit", ["squash", "crop", "pad"])
def test_a_peak_in_a_cell_comes_back_inside_the_box_of_that_cell(
    size: tuple[int, int], fit: str
) -> None:
    view = view_of(size, 64, fit, short=72 if fit == "crop" else 0)
    for row, column in [(3, 3), (4, 3), (3, 4), (4, 4)]:
        grid = torch.zeros(GRID)
        grid[row, column] = 1
        seen = view.to_source(grid)
        y, x = divmod(int(seen.argmax()), size[1])
        x0, y0, x1, y1 = box(view, row, column)
        assert x0 <= x < x1
        assert y0 <= y < y1
        # The mass is centred in the box, so no scale or offset is lost on the way.
        rows, columns = torch.arange(size[0]) + 0.5, torch.arange(size[1]) + 0.5
        centre_y = float((seen.sum(1) * rows).sum() / seen.sum())
        centre_x = float((seen.sum(0) * columns).sum() / seen.sum())
        assert centre_y == pytest.approx((y0 + y1) / 2, abs=1.5)
        assert centre_x == pytest.approx((x0 + x1) / 2, abs=1.5)


def test_box_edges_are_exact_where_cells_are_whole_pixels() -> None:
    # 15 x 15 cells of 30 pixels: truncation would turn 89.99999999999999 into 89.
    view = view_of((450, 450), 240, "squash")
    edges = [view.cell_box(0, column, (15, 15)) for column in range(15)]
    assert [(e[0], e[2]) for e in edges] == [(30 * i, 30 * i + 30) for i in range(15)]


def test_cells_in_the_padding_are_clamped_to_the_border() -> None:
    view = view_of((32, 64), 64, "pad")
    assert view.top == -16
    assert box(view, 0, 0) == (0, 0, 8, 1)
    assert box(view, 7, 7) == (56, 31, 64, 32)
    assert box(view, 2, 0) == (0, 0, 8, 8)


def test_crop_follows_torchvisions_numbers() -> None:
    view = view_of((60, 101), 48, "crop")
    assert view.scaled == (48, int(48 * 101 / 60))
    assert (view.top, view.left) == (0, 16)  # (80 - 48) / 2
    odd = view_of((48, 51), 48, "crop")
    assert odd.left == 2  # 1.5 to even
