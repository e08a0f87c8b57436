from pathlib import Path

import numpy as np
import pytest
from trees import CLASSES, cifar10, colours

from inctrl.data.sources import read_data
from inctrl.errors import MissingData


def test_one_class_is_normal_and_all_others_are_anomalous(tmp_path: Path) -> None:
    found = read_data(cifar10(tmp_path))
    assert [category.name for category in found] == CLASSES
    bird = found[2]
    assert (bird.dataset, bird.words) == ("cifar10", "bird")
    names = [bird.short(image) for image in bird.train]
    assert names == [f"data_batch_{i + 1}.bin[{(2 - i) % 10}]" for i in range(5)]
    classes = [CLASSES[(i + 5) % 10] for i in range(10)]
    assert [sample.anomalous for sample in bird.test] == [name != "bird" for name in classes]
    assert [sample.kind or "bird" for sample in bird.test] == classes


def test_multi_animals_are_normal_and_vehicles_anomalous(tmp_path: Path) -> None:
    [animal] = read_data(f"cifar10-multi:{cifar10(tmp_path)}")
    assert (animal.dataset, animal.words) == ("cifar10-multi", "animal")
    assert len(animal.train) == 5 * 6
    vehicles = {sample.kind for sample in animal.test if sample.anomalous}
    assert vehicles == {"airplane", "automobile", "ship", "truck"}
    assert [CLASSES[(i + 5) % 10] in vehicles for i in range(10)] == [
        sample.anomalous for sample in animal.test
    ]


def test_an_image_has_the_colours_of_its_record(tmp_path: Path) -> None:
    ship = read_data(cifar10(tmp_path / "cifar-10-batches-bin").parent)[8]
    for seed, image in enumerate(ship.train):
        np.testing.assert_array_equal(image.open().rgb, colours(seed)[(8 - seed) % 10])
    np.testing.assert_array_equal(ship.test[4].image.open().rgb, colours(5)[4])


def test_pickles_are_refused_and_the_binary_version_is_named(tmp_path: Path) -> None:
    (tmp_path / "cifar-10-batches-py").mkdir()
    for name in ("batches.meta", "data_batch_1"):
        (tmp_path / "cifar-10-batches-py" / name).write_bytes(b"\x80\x02.")
    with pytest.raises(MissingData, match="pickled batches.*take the binary version") as caught:
        read_data(tmp_path)
    assert "cifar-10-binary.tar.gz" in caught.value.detail


def test_a_batch_that_lacks_is_named(tmp_path: Path) -> None:
    (cifar10(tmp_path) / "data_batch_4.bin").unlink()
    with pytest.raises(MissingData, match=r"data_batch_4\.bin"):
        read_data(tmp_path)


def test_a_batch_that_ends_too_early_is_named(tmp_path: Path) -> None:
    batch = cifar10(tmp_path) / "data_batch_4.bin"
    batch.write_bytes(batch.read_bytes()[:-1])
    with pytest.raises(MissingData, match=r"data_batch_4\.bin has 30729 bytes, no multiple"):
        read_data(tmp_path)
