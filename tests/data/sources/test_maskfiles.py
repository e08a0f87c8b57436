"""Which file is the mask of which image, in both layouts that people make themselves."""

from collections.abc import Callable
from pathlib import Path

import pytest
from trees import marked, picture

from inctrl.data.categories import Category
from inctrl.data.sources import find_data

Layout = Callable[..., Category]


def in_mvtec(root: Path, image: str, *masks: str) -> Category:
    picture(root / "train/good/1.png", 1)
    picture(root / "test/crack" / image, 9)
    return with_masks(root, "ground_truth", masks)


def in_folders(root: Path, image: str, *masks: str) -> Category:
    for i in range(3):
        picture(root / f"normal/{i}.png", i)
    picture(root / "anomalous/crack" / image, 9)
    return with_masks(root, "masks", masks)


def with_masks(root: Path, folder: str, masks: tuple[str, ...]) -> Category:
    for i, mask in enumerate(masks):
        picture(root / folder / mask, marked(8, 8, (2, 3 + i)))
    [category] = find_data(root).categories
    return category


def masks_of(category: Category) -> list[str]:
    [sample] = [sample for sample in category.test if sample.anomalous]
    if sample.mask is None:
        return []
    parts = (sample.mask.image, *sample.mask.others)
    return ["/".join(part.file.parts[-2:]) for part in parts]


@pytest.mark.parametrize("layout", [in_mvtec, in_folders])
@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("a.jpg", "crack/a_mask.png"),
        ("a.jpg", "crack/a.png"),
        ("a.png", "crack/a.bmp"),
        ("a.png", "crack/a_mask.tif"),
        ("a.png", "crack/a_MASK.PNG"),
        ("a.png", "Crack/a.gif"),
        ("A.PNG", "crack/a.jpg"),
        ("a.png", "crack/a_gt.png"),
        ("a.png", "crack/a_label.png"),
        ("a.png", "crack/a-mask.png"),
        ("a.png", "crack/a mask.png"),
        ("a.png", "crack/a_ground_truth.png"),
        ("a.png", "crack/mask_a.png"),
        ("a.1.png", "crack/a.1_mask.png"),
        ("a.png", "a_mask.png"),
        ("a.png", "a.png"),
        ("a.png", "crack/a/000.png"),
        ("a.png", "a/000.png"),
    ],
)
def test_a_mask_is_found(layout: Layout, image: str, mask: str, tmp_path: Path) -> None:
    [found] = masks_of(layout(tmp_path, image, mask))
    assert found.endswith(Path(mask).name)
    assert find_data(tmp_path).left_out == ()


@pytest.mark.parametrize("layout", [in_mvtec, in_folders])
def test_several_masks_of_an_image_unite(layout: Layout, tmp_path: Path) -> None:
    numbered = layout(tmp_path / "one", "a.png", "crack/a_mask1.png", "crack/a_mask2.png")
    assert masks_of(numbered) == ["crack/a_mask1.png", "crack/a_mask2.png"]
    inside = layout(tmp_path / "two", "a.png", "crack/a/0.png", "crack/a/1.bmp")
    assert masks_of(inside) == ["a/0.png", "a/1.bmp"]


@pytest.mark.parametrize("layout", [in_mvtec, in_folders])
@pytest.mark.parametrize("mask", ["crack/ab_mask.png", "crack/b.png", "other/a.png", "a2.png"])
def test_what_is_called_otherwise_is_no_mask_and_is_named(
    layout: Layout, mask: str, tmp_path: Path
) -> None:
    assert masks_of(layout(tmp_path, "a.png", mask)) == []
    [line] = find_data(tmp_path).left_out
    assert line.endswith(f" fits no anomalous image ({Path(mask).name})")


def test_a_mask_without_its_kind_is_none_where_several_images_are_called_so(tmp_path: Path) -> None:
    picture(tmp_path / "test/hole/a.png", 5)
    category = in_mvtec(tmp_path, "a.png", "a.png")
    assert [sample.mask for sample in category.test] == [None, None]
    assert "1 file in ground_truth/ fits no anomalous image" in find_data(tmp_path).left_out[0]


def test_the_usual_name_comes_before_that_of_the_image(tmp_path: Path) -> None:
    category = in_mvtec(tmp_path, "a.png", "crack/a_mask.png", "crack/a.png")
    assert masks_of(category) == ["crack/a_mask.png"]
    assert find_data(tmp_path).left_out == (
        "1 file in ground_truth/crack/ fits no anomalous image (a.png)",
    )


@pytest.mark.parametrize(
    "folder", ["Ground_Truth", "ground truth", "GT", "Masks", "mask", "labels"]
)
def test_the_folder_of_masks_may_be_called(folder: str, tmp_path: Path) -> None:
    picture(tmp_path / "train/good/1.png")
    picture(tmp_path / "test/crack/a.png")
    assert masks_of(with_masks(tmp_path, folder, ("crack/a.png",))) == ["crack/a.png"]


@pytest.mark.parametrize("place", ["test", "anomalous"])
def test_a_folder_of_masks_among_the_kinds_of_defect_is_none(place: str, tmp_path: Path) -> None:
    for i in range(3):
        picture(tmp_path / ("train/good" if place == "test" else "normal") / f"{i}.png", i)
    picture(tmp_path / place / "crack/a.png")
    category = with_masks(tmp_path, f"{place}/ground_truth", ("crack/a.png",))
    assert [sample.kind for sample in category.test if sample.anomalous] == ["crack"]
    assert masks_of(category) == ["crack/a.png"]


@pytest.mark.parametrize("place", ["test", "anomalous"])
def test_a_mask_may_lie_beside_its_image_and_is_none_of_the_images(
    place: str, tmp_path: Path
) -> None:
    for i in range(3):
        picture(tmp_path / ("train/good" if place == "test" else "normal") / f"{i}.png", i)
    picture(tmp_path / place / "crack/a.jpg")
    picture(tmp_path / place / "crack/b_mask.jpg")
    category = with_masks(tmp_path, f"{place}/crack", ("a_mask.png",))
    found = {s.image.file.name: s.mask and s.mask.image.file.name for s in category.test}
    assert found["a.jpg"] == "a_mask.png"
    assert found["b_mask.jpg"] is None
    assert "a_mask.png" not in found
