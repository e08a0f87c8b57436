"""What lies in a folder of data and is not used is named: nothing is passed over in silence."""

from pathlib import Path

import pytest
from trees import TREES, aitex, elpv, folder, marked, mvtec, picture, sdd, visa

from inctrl.data.sources import MOST_WARNINGS, find_data, read_data, unused
from inctrl.errors import MissingData

GOOD = ("NORMAL", "Good", "OK", "Pass", "normal", "no defect")
BAD = ("NG", "Bad", "FAIL", "abnormal", "Anomalous", "defects", "Defective", "nok", "not_ok")


def category(root: Path, normal: str = "normal", anomalous: str = "anomalous") -> Path:
    for i in range(4):
        picture(root / normal / f"{i}.png", i)
    picture(root / anomalous / "x.png", 99)
    return root


@pytest.mark.parametrize("name", [name for name in TREES if name not in ("aitex", "elpv")])
def test_of_a_set_as_it_should_be_nothing_is_left_out(name: str, tmp_path: Path) -> None:
    assert find_data(f"{name}:{TREES[name](tmp_path)}").left_out == ()


@pytest.mark.parametrize(
    ("normal", "anomalous"),
    [*zip(GOOD, BAD, strict=False), *((g, "NG") for g in GOOD), *(("ok", b) for b in BAD)],
)
def test_folders_of_one_s_own_may_be_called(normal: str, anomalous: str, tmp_path: Path) -> None:
    [found] = find_data(category(tmp_path / "part", normal, anomalous)).categories
    assert (len(found.train), len(found.test)) == (3, 2)
    assert find_data(tmp_path / "part").left_out == ()


@pytest.mark.parametrize(
    ("train", "normal"), [("train", "Good"), ("Train", "OK"), ("TRAIN", "normal")]
)
def test_the_folders_of_mvtec_ad_may_be_called(train: str, normal: str, tmp_path: Path) -> None:
    picture(tmp_path / "nut" / train / normal / "0.png")
    for kind in (normal.upper(), "NG"):
        picture(tmp_path / "nut/Test" / kind / "0.png")
    [nut] = find_data(f"mvtec:{tmp_path}").categories
    assert len(nut.train) == 1
    assert {sample.kind: sample.anomalous for sample in nut.test} == {
        normal.upper(): False,
        "NG": True,
    }


def test_a_folder_that_is_no_category_is_named_with_what_it_lacks(tmp_path: Path) -> None:
    category(tmp_path / "A")
    category(tmp_path / "B", "clean", "dirty")
    assert find_data(tmp_path).left_out == (
        "B: 5 images are not used (0.png, 1.png, 2.png, ...): no folder 'normal' (it has clean, "
        "dirty)",
    )
    mvtec(tmp_path / "sets")
    picture(tmp_path / "sets/bolt/train/1.png")
    assert find_data(tmp_path / "sets").left_out == (
        "bolt: 1 image is not used (1.png): no folder 'train/good' (it has train)",
    )


def test_normal_images_alone_are_learned_from_and_left_out_of_an_evaluation(tmp_path: Path) -> None:
    category(tmp_path / "A")
    for i in range(3):
        picture(tmp_path / f"C/normal/{i}.png", i)
    for labelled, names in ((False, ["A", "C"]), (True, ["A"])):
        found = find_data(tmp_path, labelled=labelled)
        assert [one.name for one in found.categories] == names
    assert found.left_out == ("C: left out, it has no anomalous images",)
    assert len(find_data(tmp_path / "C", labelled=False).categories[0].train) == 3
    with pytest.raises(MissingData, match="'C' has no test image"):
        find_data(tmp_path / "C")


@pytest.mark.parametrize("parts", [("normal", "OK"), ("good", "Good")])
def test_two_folders_of_normal_images_are_both_read_and_named(
    parts: tuple[str, str], tmp_path: Path
) -> None:
    root = category(tmp_path / "A", parts[0])
    for i in range(4):
        picture(root / parts[1] / f"b{i}.png", 20 + i)
    found = find_data(tmp_path)
    assert len(found.categories[0].train) == 6
    both = " and ".join(sorted(parts))
    assert found.left_out == (f"A: {both} are both read, as normal",)
    for part in parts:
        picture(tmp_path / "set/nut/train" / part / f"{part}.png")
    picture(tmp_path / "set/nut/test/bent/0.png")
    [line] = find_data(tmp_path / "set").left_out
    assert "are both read as normal images to draw shots from" in line


def test_whatever_else_lies_in_the_layout_of_mvtec_ad_is_named(tmp_path: Path) -> None:
    root = mvtec(tmp_path)
    nut = root / "metal_nut"
    for place in ("", "validation/good", "train/bad", "test/bent/deep", "train/good/old"):
        picture(nut / place / "q.png", 77)
    for name in ("notes.txt", "all.zip", "README", "x.heic", "y.heic", "Thumbs.db", ".DS_Store"):
        (nut / "test/bent" / name).touch()
    (nut / "license.txt").touch()
    (nut / "x.npy").touch()
    picture(nut / "ground_truth/good/000_mask.png", marked(8, 8))
    assert sorted(find_data(root).left_out) == [
        "1 file in metal_nut/ground_truth/good/ fits no anomalous image (000_mask.png)",
        "metal_nut/test/bent/deep: 1 image is not used (q.png)",
        "metal_nut/test/bent: 5 files are no images that are read (.heic 2, .txt 1, .zip 1, no "
        "suffix 1)",
        "metal_nut/train/bad: 1 image is not used (q.png)",
        "metal_nut/train/good/old: 1 image is not used (q.png)",
        "metal_nut/validation: 1 image is not used (q.png)",
        "metal_nut: 1 file is no image that is read (.npy 1)",
        "metal_nut: 1 image is not used (q.png)",
    ]


def test_whatever_else_lies_among_one_s_own_folders_is_named(tmp_path: Path) -> None:
    root = folder(tmp_path)
    for place in ("query", "oak-board", "oak-board/normal/day", "oak-board/masks/knot"):
        picture(root / place / "q.png", 77)
    assert sorted(find_data(root).left_out) == [
        "1 file in oak-board/masks/knot/ fits no anomalous image (q.png)",
        "oak-board/normal/day: 1 image is not used (q.png)",
        "oak-board: 1 image is not used (q.png)",
        "query: 1 image is not used (q.png): no folder 'normal' (it has no folders)",
    ]


def test_a_category_itself_is_looked_through_too(tmp_path: Path) -> None:
    root = category(tmp_path)
    picture(root / "q.png")
    picture(root / "new/q.png")
    assert find_data(root).left_out == (
        "in the folder itself: 1 image is not used (q.png)",
        "new: 1 image is not used (q.png)",
    )


def test_sets_of_others_are_looked_through_too(tmp_path: Path) -> None:
    root = visa(tmp_path / "visa")
    picture(root / "candle/Data/Images/Normal/new.JPG")
    assert find_data(root).left_out == ("candle/Data/Images/Normal: 1 image is not used (new.JPG)",)
    [strip] = find_data(aitex(tmp_path / "aitex")).left_out  # it has no mask
    assert strip == "Defect_images: 1 image is not used (0100_036_08.png)"
    root = sdd(tmp_path / "sdd")
    picture(root / "kos01/Part7.png")
    (root / "kos01/Part7_label.bmp").write_bytes((root / "kos01/Part0_label.bmp").read_bytes())
    assert find_data(root).left_out == (
        "kos01: 2 images are not used (Part7.png, Part7_label.bmp)",
    )
    [between] = find_data(elpv(tmp_path / "elpv")).left_out
    assert between.startswith("images: 6 images are not used (cell0002.png, ")


def test_descriptions_in_a_folder_of_masks_are_counted(tmp_path: Path) -> None:
    root = mvtec(tmp_path)
    for file in sorted((root / "metal_nut/ground_truth/bent").iterdir()):
        file.rename(file.with_suffix(".json"))
    assert find_data(root).left_out == (
        "metal_nut/ground_truth: 3 files are no images that are read (.json 3)",
    )


def test_linked_images_and_folders_are_used_and_links_that_are_not_followed_named(
    tmp_path: Path,
) -> None:
    root = category(tmp_path / "set" / "A")
    picture(tmp_path / "store/scratch/s.png", 50)
    (root / "anomalous/scratch").symlink_to(tmp_path / "store/scratch")
    (root / "anomalous/round").symlink_to(root)
    (root / "anomalous/nowhere.png").symlink_to(tmp_path / "gone")
    found = find_data(root)
    kinds = [sample.kind for sample in found.categories[0].test if sample.anomalous]
    assert sorted(kinds) == ["anomalous", "scratch"]
    assert found.left_out == (
        "anomalous: 1 image is not used (nowhere.png)",
        "anomalous/round is a link that is not followed",
    )


def test_what_a_run_has_written_is_not_looked_through(tmp_path: Path) -> None:
    root = category(tmp_path)
    picture(root / "runs/detect-1/overlays/x.png")
    for name in ("scores.json", "report.html"):
        (root / "runs/detect-1" / name).touch()
    [said] = find_data(root).left_out
    assert said == "runs/detect-1 is left out with 1 image: a run has written it"


def test_the_look_ends_somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unused, "MOST", 4)
    [line] = find_data(category(tmp_path)).left_out
    assert line == "there are more than 4 files; the others were not looked at"


def test_the_log_is_told_with_the_name_of_the_set_and_of_many_the_first(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = category(tmp_path / "set")
    for i in range(MOST_WARNINGS + 3):
        picture(root / f"other{i:02d}/q.png")
    read_data(root)
    lines = caplog.messages
    assert len(lines) == MOST_WARNINGS + 1
    assert lines[0] == "set: other00: 1 image is not used (q.png)"
    assert lines[-1] == "set: 3 more; `inctrl data` names all"


def test_a_set_that_is_one_category_is_named_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    category(tmp_path / "part")
    category(tmp_path / "part", normal="OK")
    read_data(tmp_path / "part")
    assert caplog.messages == ["part: OK and normal are both read, as normal"]


def test_why_a_category_has_no_images_is_told(tmp_path: Path) -> None:
    root = mvtec(tmp_path)
    for file in (root / "metal_nut/train/good").iterdir():
        file.rename(file.with_suffix(".heic"))
    with pytest.raises(MissingData, match=r"no normal training image; .*/train: .*\.heic 3\)"):
        find_data(root)


@pytest.mark.parametrize("normal", ["normal", "train/good"])
def test_of_a_folder_with_normal_images_in_subfolders_alone_these_are_named(
    normal: str, tmp_path: Path
) -> None:
    picture(tmp_path / "part/test/bad/x.png" if "/" in normal else tmp_path / "part/bad/x.png")
    for camera in ("left", "right"):
        picture(tmp_path / "part" / normal / camera / "0.png")
    folder = normal.rpartition("/")[2]
    with pytest.raises(MissingData, match=rf"{folder!r} subfolders .* 2 images \(left, right\)"):
        find_data(tmp_path / "part")


def test_a_set_in_a_folder_of_what_is_none_is_named(tmp_path: Path) -> None:
    category(tmp_path / "delivery/sets/part")
    with pytest.raises(MissingData, match=r"no layout known .* it holds '.*/sets', which is; name"):
        find_data(tmp_path / "delivery")


def test_a_mask_beside_one_image_of_several_is_named_as_it_may_be_none(tmp_path: Path) -> None:
    root = category(tmp_path / "set")
    picture(root / "anomalous/part.png", 7)
    picture(root / "anomalous/part_mask.png", 8)
    assert find_data(root).left_out == (
        "set: part_mask.png is read as the mask of part.png beside it",
    )
    picture(root / "anomalous/x_mask.png", 9)
    assert find_data(root).left_out == ()


def test_the_test_half_of_a_set_in_the_layout_of_mvtec_ad_is_no_category(tmp_path: Path) -> None:
    picture(tmp_path / "test/good/0.png")
    with pytest.raises(MissingData, match="in no layout known here"):
        find_data(tmp_path)
