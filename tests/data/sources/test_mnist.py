from pathlib import Path

import numpy as np
import pytest
from trees import digits, idx, mnist

from inctrl.data.sources import read_data
from inctrl.errors import MissingData


@pytest.mark.parametrize(("below", "end"), [("", ".gz"), ("", ""), ("MNIST/raw", ""), ("raw", "")])
def test_one_digit_is_normal_and_all_others_are_anomalous(
    tmp_path: Path, below: str, end: str
) -> None:
    found = read_data(mnist(tmp_path, below, end))
    assert [category.name for category in found] == [str(digit) for digit in range(10)]
    three = found[3]
    assert (three.dataset, three.words) == ("mnist", "digit 3")
    file = tmp_path / below / f"train-images-idx3-ubyte{end}"
    assert [image.name for image in three.train] == [f"{file}[{i}]" for i in (3, 13, 23)]
    assert [sample.anomalous for sample in three.test] == [digit != 3 for digit in range(10)]
    assert [sample.kind for sample in three.test] == [*"012", "", *"456789"]


def test_multi_even_digits_are_normal_and_odd_ones_anomalous(tmp_path: Path) -> None:
    [even] = read_data(f"mnist-multi:{mnist(tmp_path)}")
    assert (even.dataset, even.name, len(even.train)) == ("mnist-multi", "even", 15)
    assert [sample.anomalous for sample in even.test] == [digit % 2 == 1 for digit in range(10)]
    assert {sample.kind for sample in even.test if sample.anomalous} == set("13579")


@pytest.mark.parametrize("end", ["", ".gz"])
def test_an_image_has_the_pixels_of_its_place(tmp_path: Path, end: str) -> None:
    five = read_data(mnist(tmp_path, end=end))[5]
    for image, i in zip(five.train, (5, 15, 25), strict=True):
        for channel in range(3):
            np.testing.assert_array_equal(image.open().rgb[:, :, channel], digits(30)[i])


def test_the_whole_set_is_listed(tmp_path: Path) -> None:
    for part, count in (("train", 60_000), ("t10k", 10_000)):
        idx(tmp_path / f"{part}-images-idx3-ubyte", np.zeros((count, 28, 28), np.uint8))
        idx(tmp_path / f"{part}-labels-idx1-ubyte", (np.arange(count) % 10).astype(np.uint8))
    found = read_data(tmp_path)
    assert [(len(c.train), len(c.test)) for c in found] == [(6_000, 10_000)] * 10


def test_a_file_that_ends_too_early_is_named(tmp_path: Path) -> None:
    file = mnist(tmp_path, end="") / "t10k-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(MissingData, match="t10k-images-idx3-ubyte is no idx file .*too early"):
        read_data(tmp_path)
    file.write_bytes(b"")
    with pytest.raises(MissingData, match="t10k-images-idx3-ubyte is no idx file"):
        read_data(tmp_path)


def test_a_packed_file_that_is_damaged_is_named(tmp_path: Path) -> None:
    file = mnist(tmp_path) / "train-labels-idx1-ubyte.gz"
    for data in (file.read_bytes()[:-9], b"no gzip", file.read_bytes()[:10] + b"\xff" * 30):
        file.write_bytes(data)
        with pytest.raises(MissingData, match=r"train-labels-idx1-ubyte\.gz' cannot be read"):
            read_data(tmp_path)


def test_labels_in_place_of_images_are_refused(tmp_path: Path) -> None:
    mnist(tmp_path, end="")
    (tmp_path / "train-labels-idx1-ubyte").rename(tmp_path / "train-images-idx3-ubyte")
    idx(tmp_path / "train-labels-idx1-ubyte", np.zeros(30, np.uint8))
    with pytest.raises(MissingData, match="train-images-idx3-ubyte is no idx file of this kind"):
        read_data(tmp_path)


def test_fewer_labels_than_images_are_refused(tmp_path: Path) -> None:
    idx(mnist(tmp_path, end="") / "train-labels-idx1-ubyte", np.zeros(29, np.uint8))
    with pytest.raises(MissingData, match="train-images-idx3-ubyte has 30 images, not 29"):
        read_data(tmp_path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    (mnist(tmp_path) / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(MissingData, match="no file t10k-labels-idx1-ubyte"):
        read_data(tmp_path)
