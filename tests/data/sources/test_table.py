from pathlib import Path

import numpy as np
import pytest
from trees import COLUMNS, ROWS, lines, table

from inctrl.data.masks import read_mask
from inctrl.data.sources import read_data
from inctrl.errors import MissingData


def test_every_column_is_used(tmp_path: Path) -> None:
    bolt, nut = read_data(table(tmp_path))
    assert (nut.dataset, nut.name, nut.words) == ("parts", "nut", "metal nut")
    assert [(nut.short(image), image.group) for image in nut.train] == [
        ("a/1.png", "p1"),
        ("a/2.png", "p2"),
    ]
    assert [(s.anomalous, s.kind, s.image.group) for s in nut.test] == [
        (False, "", "p1"),
        (True, "bent", "p3"),
    ]
    assert np.argwhere(read_mask(nut.test[1], (8, 8))).tolist() == [[5, 6]]
    assert (bolt.words, bolt.train[0].group, bolt.test[0].kind) == ("bolt", None, "rust")


def test_three_columns_are_enough_and_the_category_is_the_file(tmp_path: Path) -> None:
    table(tmp_path)
    short = lines(tmp_path / "all.csv", [COLUMNS[:3], *(row[:3] for row in ROWS)])
    [category] = read_data(short)
    assert (category.name, len(category.train), len(category.test)) == ("all", 3, 3)


def test_a_mark_at_the_start_as_spreadsheets_write_it_is_no_column(tmp_path: Path) -> None:
    file = table(tmp_path)
    file.write_text("\ufeff" + file.read_text(), encoding="utf-8")
    assert len(read_data(file)) == 2


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("a/9.png", "normal", "train"), "line 8: there is no file '.*a/9.png'"),
        (("a/1.png", "good", "train"), "line 8: label 'good' and split 'train' are not"),
        (("a/1.png", "normal", "val"), "line 8: label 'normal' and split 'val' are not"),
        (("a/1.png", "normal"), "line 8: label 'normal' and split '' are not"),
        (("a/1.png", "1", "train"), "line 8: an anomalous image in train"),
        (("a/4.png", "1", "test", "m/9.png"), "line 8: there is no file '.*m/9.png'"),
        (("a/1.png", "0", "test", "", "nut"), "line 8: '.*a/1.png' is in line 2 too"),
        (("b/../a/1.png", "0", "test", "", "nut"), "line 8: '.*a/1.png' is in line 2 too"),
        (("b/1.png", "0", "test", "", "nut", "nut"), "line 8: category 'nut' has two items"),
        (("b/1.png", "0", "test", "", "", "", "", "", "x"), "line 8: more values than columns"),
    ],
)
def test_a_wrong_line_is_told_with_its_number(
    tmp_path: Path, row: tuple[str, ...], message: str
) -> None:
    file = table(tmp_path)
    lines(file, [COLUMNS, *ROWS, row])
    with pytest.raises(MissingData, match=message):
        read_data(file)


def test_columns_that_are_unknown_or_lack_are_named(tmp_path: Path) -> None:
    file = table(tmp_path)
    lines(file, [("path", "lable", "split")])
    with pytest.raises(MissingData, match="unknown column 'lable'; did you mean 'label'"):
        read_data(file)
    lines(file, [("path", "label")])
    with pytest.raises(MissingData, match="line 1: no column split"):
        read_data(file)
    file.write_text("")
    with pytest.raises(MissingData, match="line 1: no column path, label, split"):
        read_data(file)
    lines(file, [COLUMNS])
    with pytest.raises(MissingData, match="no category found"):
        read_data(file)
