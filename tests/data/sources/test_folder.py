from pathlib import Path

import numpy as np
import pytest
from sklearn.model_selection import train_test_split
from trees import folder, picture

from inctrl.data.masks import read_mask
from inctrl.data.sources import SOURCES, find_layout, read_data
from inctrl.errors import MissingData


def test_folders_are_categories_and_subfolders_kinds_of_defect(tmp_path: Path) -> None:
    oak, tile = read_data(folder(tmp_path))
    assert (oak.dataset, oak.name, oak.words) == (tmp_path.name, "oak-board", "oak board")
    train, test = train_test_split(list(range(8)), test_size=0.25, random_state=42)
    assert [int(image.file.stem) for image in oak.train] == sorted(train)
    assert [int(s.image.file.stem) for s in oak.test if not s.anomalous] == sorted(test)
    kinds = [(sample.image.file.name, sample.kind) for sample in oak.test if sample.anomalous]
    assert kinds == [("0.jpg", "knot"), ("1.jpg", "knot"), ("odd.png", "anomalous")]
    assert (len(tile.train), len(tile.test)) == (3, 2)
    assert tile.test[-1].kind == "defect"


def test_masks_mirror_the_anomalous_images(tmp_path: Path) -> None:
    oak, _ = read_data(folder(tmp_path))
    masks = [sample for sample in oak.test if sample.mask]
    for i, sample in enumerate(masks):
        assert sample.image.file.stem == str(i)
        assert np.argwhere(read_mask(sample, (8, 8))).tolist() == [[i, 3]]
    assert len(masks) == 2
    assert not oak.has_masks


def test_a_category_alone_is_read_too(tmp_path: Path) -> None:
    for part in ("normal", "bad"):
        picture(tmp_path / "oak-board/older" / part / "0.png")
    [oak] = read_data(folder(tmp_path) / "oak-board")
    assert oak.name == "oak-board"
    assert oak.short(oak.train[0]).startswith("normal/")


def test_the_test_images_of_a_set_in_the_layout_of_mvtec_are_no_category(tmp_path: Path) -> None:
    for part in ("train/good", "test/good", "test/bad"):
        picture(tmp_path / part / "0.png")
    assert not SOURCES["folder"].recognise(tmp_path)
    assert find_layout(tmp_path)[0] == "mvtec"


def test_an_empty_folder_of_normal_images_is_told(tmp_path: Path) -> None:
    picture(tmp_path / "bad/a.png")
    (tmp_path / "good").mkdir()
    with pytest.raises(MissingData, match="has no normal training image"):
        read_data(tmp_path)


def test_an_empty_folder_of_anomalous_images_leaves_the_normal_ones_to_test(tmp_path: Path) -> None:
    for i in range(4):
        picture(tmp_path / f"good/{i}.png", i)
    (tmp_path / "bad").mkdir()
    [category] = read_data(tmp_path)
    assert [sample.anomalous for sample in category.test] == [False]
