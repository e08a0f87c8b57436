from pathlib import Path

import numpy as np
import pytest
from trees import sdd

from inctrl.data.masks import read_mask
from inctrl.data.sources import read_data
from inctrl.errors import MissingData


def test_images_are_cut_in_three_and_a_marked_piece_is_anomalous(tmp_path: Path) -> None:
    [pieces] = read_data(sdd(tmp_path))
    anomalous = [sample for sample in pieces.test if sample.anomalous]
    assert [pieces.short(sample.image) for sample in anomalous] == [
        "kos01/Part1.jpg[0,6,6,10]",
        "kos02/Part1.jpg[0,6,6,10]",
    ]
    assert len(pieces.train) == 7  # of ten normal pieces, train_test_split holds three back
    assert sum(not sample.anomalous for sample in pieces.test) == 3


def test_a_piece_shows_its_rows_and_its_mask_only(tmp_path: Path) -> None:
    [pieces] = read_data(sdd(tmp_path))
    for image in (*pieces.train, *(sample.image for sample in pieces.test)):
        rows = image.open().rgb[:, 0, 0].astype(int)
        first = int(image.name.split("[")[1].split(",")[1])
        np.testing.assert_allclose(rows, 20 * np.arange(first, first + len(rows)), atol=6)  # JPEG
    [sample] = [s for s in pieces.test if s.anomalous and s.image.group == "kos01"]
    size = sample.image.open().size
    assert size == (4, 6)
    assert np.argwhere(read_mask(sample, size)).tolist() == [[0, 2]]


def test_pieces_of_one_part_are_a_group(tmp_path: Path) -> None:
    [pieces] = read_data(sdd(tmp_path))
    images = [*pieces.train, *(sample.image for sample in pieces.test)]
    assert {(image.group, image.file.parent.name) for image in images} == {
        ("kos01", "kos01"),
        ("kos02", "kos02"),
    }


def test_an_image_without_mask_is_told(tmp_path: Path) -> None:
    (sdd(tmp_path) / "kos02/Part0_label.bmp").unlink()
    with pytest.raises(MissingData, match=r"Part0\.jpg: there is no file .*kos02/Part0_label\.bmp"):
        read_data(tmp_path)


def test_a_damaged_mask_is_told(tmp_path: Path) -> None:
    (sdd(tmp_path) / "kos02/Part0_label.bmp").write_bytes(b"BM")
    with pytest.raises(MissingData, match=r"kos02/Part0_label\.bmp"):
        read_data(tmp_path)
