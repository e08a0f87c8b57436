"""BrainMRI and HeadCT, as Kaggle packs them."""

from pathlib import Path

import pytest
from sklearn.model_selection import train_test_split
from trees import brainmri, headct

from inctrl.data.sources import read_data
from inctrl.errors import MissingData


@pytest.mark.parametrize("below", ["", "brain_tumor_dataset"])
def test_brainmri_no_is_normal_and_yes_anomalous(tmp_path: Path, below: str) -> None:
    [brain] = read_data(brainmri(tmp_path, below))
    assert (brain.dataset, brain.name, brain.words) == ("brainmri", "brainmri", "brain MRI")
    names = [f"{i} no.{'jpeg' if i % 2 else 'jpg'}" for i in range(5)]
    train, test = train_test_split(names, test_size=0.25, random_state=42)
    assert [image.file.name for image in brain.train] == sorted(train)
    assert [s.image.file.name for s in brain.test if not s.anomalous] == sorted(test)
    tumours = [(s.image.file.name, s.kind) for s in brain.test if s.anomalous]
    assert tumours == [(f"Y{i}.JPG", "tumour") for i in range(5)]


def test_brainmri_is_not_read_twice_where_the_archive_holds_it_twice(tmp_path: Path) -> None:
    brainmri(tmp_path)
    [brain] = read_data(brainmri(tmp_path, "brain_tumor_dataset"))
    assert len(brain.train) + len(brain.test) == 10


@pytest.mark.parametrize("below", ["head_ct/head_ct", "head_ct"])
def test_headct_the_second_column_tells_hemorrhages(tmp_path: Path, below: str) -> None:
    [head] = read_data(headct(tmp_path, below))
    assert (head.dataset, head.name, head.words) == ("headct", "headct", "head CT")
    train, test = train_test_split([4, 5, 6, 7], test_size=0.25, random_state=42)
    assert [int(image.file.stem) for image in head.train] == sorted(train)
    tested = [(int(sample.image.file.stem), sample.anomalous) for sample in head.test]
    assert tested == [(test[0], False), (0, True), (1, True), (2, True), (3, True)]


def test_headct_a_label_that_is_none_is_told(tmp_path: Path) -> None:
    (headct(tmp_path) / "labels.csv").write_text("id, hemorrhage\n0, yes\n")
    with pytest.raises(MissingData, match=r"labels\.csv, line 2: \['0', 'yes'\]"):
        read_data(tmp_path)


def test_headct_an_image_that_is_not_there_is_told(tmp_path: Path) -> None:
    (headct(tmp_path) / "head_ct/head_ct/005.png").unlink()
    with pytest.raises(MissingData, match=r"labels\.csv, line 7: there is no file .*005\.png"):
        read_data(tmp_path)
