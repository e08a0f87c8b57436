from pathlib import Path

import numpy as np
import pytest
from trees import visa

from inctrl.data.masks import read_mask
from inctrl.data.sources import read_data
from inctrl.errors import MissingData


def test_the_split_is_that_of_the_file(tmp_path: Path) -> None:
    candle, fryum = read_data(visa(tmp_path))
    assert (candle.dataset, candle.name) == ("visa", "candle")
    assert (fryum.name, fryum.words) == ("pipe_fryum", "pipe fryum")
    assert [image.file.name for image in candle.train] == ["0000.JPG", "0002.JPG"]
    tested = [(sample.image.file.name, sample.anomalous, sample.kind) for sample in candle.test]
    assert tested == [
        ("000.JPG", True, "anomaly"),
        ("001.JPG", True, "anomaly"),
        ("0001.JPG", False, ""),
        ("0003.JPG", False, ""),
    ]


def test_small_numbers_in_masks_mark_the_defect(tmp_path: Path) -> None:
    candle, _ = read_data(visa(tmp_path))
    assert candle.has_masks
    for i, sample in enumerate(candle.test[:2]):
        assert np.argwhere(read_mask(sample, (8, 8))).tolist() == [[i, 2]]
    assert not read_mask(candle.test[2], (8, 8)).any()


def test_an_image_that_the_split_lists_and_is_not_there_is_named(tmp_path: Path) -> None:
    (visa(tmp_path) / "candle/Data/Masks/Anomaly/001.png").unlink()
    with pytest.raises(MissingData, match=r"1cls\.csv: there is no file .*Masks/Anomaly/001\.png"):
        read_data(tmp_path)


def test_a_split_with_other_columns_is_told(tmp_path: Path) -> None:
    split = visa(tmp_path) / "split_csv/1cls.csv"
    split.write_text(split.read_text().replace("object,", "category,", 1))
    with pytest.raises(MissingData, match="'object'"):
        read_data(tmp_path)
