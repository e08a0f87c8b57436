from pathlib import Path

import pytest
from sklearn.model_selection import train_test_split
from trees import elpv

from inctrl.data.sources import read_data
from inctrl.errors import MissingData


def numbers(files: list[Path]) -> list[int]:
    return [int(file.stem.removeprefix("cell")) for file in files]


@pytest.mark.parametrize("below", ["", "src/elpv_dataset/data"])
def test_only_certain_cells_are_read_and_a_quarter_of_the_normal_ones_tested(
    tmp_path: Path, below: str
) -> None:
    [cells] = read_data(elpv(tmp_path, below))
    assert (cells.dataset, cells.name, cells.words) == ("elpv", "elpv", "solar cell")
    normal = [i for i in range(1, 15) if i % 5 in (0, 1)]
    train, test = train_test_split(normal, test_size=0.25, random_state=42)
    assert numbers([image.file for image in cells.train]) == sorted(train)
    assert numbers([s.image.file for s in cells.test if not s.anomalous]) == sorted(test)
    anomalous = [sample for sample in cells.test if sample.anomalous]
    assert numbers([sample.image.file for sample in anomalous]) == [3, 8, 13]
    assert [sample.kind for sample in anomalous] == ["mono", "poly", "poly"]
    assert not cells.has_masks


def test_a_line_that_is_none_is_told_with_its_number(tmp_path: Path) -> None:
    labels = elpv(tmp_path) / "labels.csv"
    labels.write_text(labels.read_text() + "images/cell0001.png,1.0,mono\n")
    with pytest.raises(MissingData, match=r"labels\.csv, line 15: 'images/cell0001\.png,1\.0"):
        read_data(tmp_path)


def test_a_cell_that_is_not_there_is_told_with_its_line(tmp_path: Path) -> None:
    (elpv(tmp_path) / "images/cell0003.png").unlink()
    with pytest.raises(MissingData, match=r"labels\.csv, line 3: there is no file .*cell0003"):
        read_data(tmp_path)
