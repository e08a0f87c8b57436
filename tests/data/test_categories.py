from pathlib import Path

import numpy as np
import pytest
from trees import marked, picture

from inctrl.data.categories import Category, Mask, Sample
from inctrl.data.masks import read_mask
from inctrl.data.stored import Stored
from inctrl.errors import MissingData, UsageError
from inctrl.types import Box

GOOD = Sample(Stored(Path("d/good.png")), anomalous=False)


def category(*test: Sample, count: int = 20, item: str = "", root: str = "d") -> Category:
    train = tuple(Stored(Path(f"d/{i}.png")) for i in range(count))
    return Category("set", "nut", train, test, Path(root), item)


def bad(tmp_path: Path, *masks: Mask) -> Sample:
    return Sample(Stored(tmp_path / "bad.png"), True, "bent", *masks)


def test_draws_of_a_seed_are_nested_and_repeat() -> None:
    data = category()
    drawn = data.draw(8, seed=3)
    assert data.draw(4, seed=3) == drawn[:4]
    assert len(set(drawn)) == 8
    assert data.draw(8, seed=4) != drawn


def test_more_shots_than_images_are_refused() -> None:
    with pytest.raises(UsageError, match="'nut' has 3 normal training images, not 4"):
        category(count=3).draw(4, 0)


def test_an_item_is_told_in_words_or_by_the_name() -> None:
    assert category().words == "nut"
    assert category(item="metal nut").words == "metal nut"


def test_names_are_told_from_the_root() -> None:
    assert category().short(GOOD.image) == "good.png"
    assert category(root=".").short(GOOD.image) == "d/good.png"
    assert category().short(Stored(Path("d/a.png"), Box(0, 1, 2, 3))) == "a.png[0,1,2,3]"


@pytest.mark.parametrize(
    ("file", "root", "name"),
    [
        ("/else/a.png", "/data", "/else/a.png"),
        ("/database/a.png", "/data", "/database/a.png"),
        ("/else/a.png", ".", "/else/a.png"),
        (".x/a.png", ".", ".x/a.png"),
        ("d/.x/a.png", "d", ".x/a.png"),
    ],
)
def test_only_what_lies_below_the_root_is_told_from_it(file: str, root: str, name: str) -> None:
    assert category(root=root).short(Stored(Path(file))) == name
    tile = Stored(Path(file), Box(0, 1, 2, 3))
    assert category(root=root).short(tile) == f"{name}[0,1,2,3]"


def test_pixels_are_evaluated_only_where_every_anomalous_image_has_a_mask(tmp_path: Path) -> None:
    mask = Mask(Stored(tmp_path / "m.png"))
    assert category(GOOD, bad(tmp_path, mask)).has_masks
    assert not category(GOOD, bad(tmp_path, mask), bad(tmp_path)).has_masks
    assert not category(GOOD).has_masks


def test_a_normal_image_has_no_anomalous_pixel() -> None:
    assert not read_mask(GOOD, (3, 4)).any()
    assert read_mask(GOOD, (3, 4)).shape == (3, 4)


@pytest.mark.parametrize(("above", "seen"), [(127, [[3, 3]]), (0, [[1, 2], [3, 3]])])
def test_pixels_brighter_than_the_limit_are_anomalous(
    tmp_path: Path, above: int, seen: list[list[int]]
) -> None:
    values = marked(6, 5, (1, 2), value=127) + marked(6, 5, (3, 3), value=128)
    mask = Mask(Stored(picture(tmp_path / "m.png", values)), above)
    assert np.argwhere(read_mask(bad(tmp_path, mask), (6, 5))).tolist() == seen


def test_further_masks_of_an_image_add_to_the_first(tmp_path: Path) -> None:
    first, second = (Stored(picture(tmp_path / f"{i}.png", marked(6, 5, (i, i)))) for i in range(2))
    sample = bad(tmp_path, Mask(first, others=(second,)))
    assert np.argwhere(read_mask(sample, (6, 5))).tolist() == [[0, 0], [1, 1]]


def test_a_mask_of_another_size_is_refused(tmp_path: Path) -> None:
    image = Stored(picture(tmp_path / "m.png", size=(6, 5)))
    other = Stored(picture(tmp_path / "n.png", size=(5, 6)))
    for mask in (Mask(image), Mask(other, others=(image,))):
        with pytest.raises(MissingData, match=r"m\.png' is 5 x 6 pixels, its image .*6 x 5"):
            read_mask(bad(tmp_path, mask), (5, 6))
