from pathlib import Path

from trees import marked, mvtec, picture

from inctrl.data.masks import read_mask
from inctrl.data.sources import read_data


def test_good_is_normal_and_every_other_folder_a_kind_of_defect(tmp_path: Path) -> None:
    [nut] = read_data(mvtec(tmp_path))
    assert (nut.dataset, nut.name, nut.words) == (tmp_path.name, "metal_nut", "metal nut")
    assert nut.short(nut.train[0]) == "metal_nut/train/good/000.png"
    assert [(sample.anomalous, sample.kind) for sample in nut.test] == [(True, "bent")] * 3 + [
        (False, "good")
    ] * 3


def test_masks_are_found_under_both_of_their_names(tmp_path: Path) -> None:
    mvtec(tmp_path)
    truth = tmp_path / "metal_nut/ground_truth/bent"
    (truth / "002_mask.png").rename(truth / "002.png")
    (truth / "001_mask.png").unlink()
    [nut] = read_data(tmp_path)
    assert [sample.mask is not None for sample in nut.test[:3]] == [True, False, True]
    assert not nut.has_masks
    assert read_mask(nut.test[2], (8, 8)).tolist() == (marked(8, 8, (2, 1)) > 0).tolist()


def test_a_category_alone_is_read_too(tmp_path: Path) -> None:
    picture(tmp_path / "other/train/good/0.png")
    [nut] = read_data(mvtec(tmp_path) / "metal_nut")
    assert nut.name == "metal_nut"
    assert nut.short(nut.train[0]) == "train/good/000.png"
