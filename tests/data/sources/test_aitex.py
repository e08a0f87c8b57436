from pathlib import Path

import numpy as np
import pytest
from trees import aitex, marked, picture

from inctrl.data.categories import Category
from inctrl.data.masks import read_mask
from inctrl.data.sources import read_data


def anomalous(found: Category) -> dict[str, list[list[int]]]:
    """The marked pixels of each anomalous tile, by the name of the tile."""
    return {
        sample.image.name.rsplit("/", 1)[1]: np.argwhere(read_mask(sample, (8, 256))).tolist()
        for sample in found.test
        if sample.anomalous
    }


@pytest.mark.parametrize("nested", [False, True])
def test_marked_tiles_are_anomalous_and_unmarked_ones_of_defective_strips_left_out(
    tmp_path: Path, nested: bool
) -> None:
    [fabric] = read_data(aitex(tmp_path, nested))
    assert anomalous(fabric) == {
        "0001_002_00.png[256,0,512,8]": [[2, 44]],
        "0044_019_04.png[0,0,256,8]": [[1, 5], [4, 7]],
        "0044_019_04.png[512,0,768,8]": [[1, 88]],
    }
    kinds = [sample.kind for sample in fabric.test if sample.anomalous]
    assert kinds == ["broken end", "fuzzyball", "fuzzyball"]
    strips = {image.file.parent.parent.name for image in fabric.train}
    assert strips == {"NODefect_images"}
    assert len(fabric.train) + sum(not sample.anomalous for sample in fabric.test) == 6


def test_a_tile_shows_its_columns_only(tmp_path: Path) -> None:
    [fabric] = read_data(aitex(tmp_path))
    for image in fabric.train:
        left = int(image.name.split("[")[1].split(",")[0])
        assert image.open().size == (8, 256)
        assert np.unique(image.open().rgb).tolist() == [left // 256 * 50]


def test_tiles_of_a_strip_are_a_group(tmp_path: Path) -> None:
    [fabric] = read_data(aitex(tmp_path))
    groups = {image.group for image in fabric.train}
    assert groups == {"2306881-210020u/0001_000_05", "2311694-2040n7u/0002_000_00"}
    [group] = {s.image.group for s in fabric.test if "0044_019_04" in s.image.name}
    assert group == "Defect_images/0044_019_04"


def test_the_last_tile_of_a_narrow_strip_is_narrow(tmp_path: Path) -> None:
    picture(aitex(tmp_path) / "Defect_images/0094_027_05.png", size=(8, 300))
    picture(tmp_path / "Mask_images/0094_027_05_mask.png", marked(8, 300, (7, 299)))
    [fabric] = read_data(tmp_path)
    [tile] = [sample for sample in fabric.test if "0094" in sample.image.name]
    assert tile.image.name.endswith("0094_027_05.png[256,0,300,8]")
    assert (tile.kind, tile.image.open().size) == ("knots", (8, 44))
    assert np.argwhere(read_mask(tile, (8, 44))).tolist() == [[7, 43]]
