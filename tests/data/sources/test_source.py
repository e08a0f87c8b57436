from pathlib import Path

import pytest
from sklearn.model_selection import train_test_split

from inctrl.data.categories import Category, Sample
from inctrl.data.sources.source import with_test_quarter
from inctrl.data.stored import Stored
from inctrl.errors import MissingData

BAD = Sample(Stored(Path("bad.png")), anomalous=True)


def category(count: int) -> Category:
    normals = tuple(Stored(Path(f"{i:02d}.png")) for i in range(count))
    return Category("set", "set", normals, (BAD,), Path())


def test_the_split_is_that_of_the_conversion_scripts_of_inctrl() -> None:
    whole = category(20)
    train, test = train_test_split(list(whole.train), test_size=0.25, random_state=42)
    split = with_test_quarter(whole)
    assert set(split.train) == set(train)
    assert {sample.image for sample in split.test if not sample.anomalous} == set(test)
    assert [i.file.name for i in train_test_split(list(whole.train), random_state=42)[1]] == [
        "00.png",
        "17.png",
        "15.png",
        "01.png",
        "08.png",
    ]


def test_both_parts_keep_their_order_and_the_anomalous_images_come_last() -> None:
    split = with_test_quarter(category(20))
    assert [image.name for image in split.train] == sorted(image.name for image in split.train)
    held = [sample.image.name for sample in split.test[:-1]]
    assert held == ["00.png", "01.png", "08.png", "15.png", "17.png"]
    assert split.test[-1] is BAD


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_to_split_is_an_error(count: int) -> None:
    with pytest.raises(MissingData, match=f"set has {count} normal images"):
        with_test_quarter(category(count))
