"""The table of sources: what every layout has in common."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from trees import TREES

from inctrl.data.categories import Category
from inctrl.data.sources import SOURCES, describe, find_layout, read_data
from inctrl.errors import MissingData, UsageError

NAMES = [*TREES, "cifar10-multi", "mnist-multi"]


def tree(name: str, root: Path) -> Path:
    return TREES[name.removesuffix("-multi")](root)


def contents(found: list[Category]) -> list[Any]:
    """All that a reader says, with images by their short names."""
    return [
        (
            category.name,
            category.words,
            [(category.short(image), image.group) for image in category.train],
            [(category.short(s.image), s.anomalous, s.kind, s.image.group) for s in category.test],
            [s.mask and category.short(s.mask.image) for s in category.test],
        )
        for category in found
    ]


def test_every_layout_has_a_tree_here() -> None:
    assert set(NAMES) == set(SOURCES)


@pytest.mark.parametrize("name", TREES)
def test_a_tree_is_recognised_as_its_own_layout_and_no_other(name: str, tmp_path: Path) -> None:
    path = tree(name, tmp_path / "data")
    assert [other for other, source in SOURCES.items() if source.recognise(path)] == [name]
    assert find_layout(path) == (name, path)


@pytest.mark.parametrize("name", NAMES)
def test_a_named_layout_is_read_and_its_images_open(name: str, tmp_path: Path) -> None:
    found = read_data(f"{name}:{tree(name, tmp_path)}")
    assert [c.name for c in found] == sorted(c.name for c in found)
    for category in found:
        images = [*category.train, *(sample.image for sample in category.test)]
        names = [category.short(image) for image in images]
        assert len(set(names)) == len(names)
        assert not any(str(tmp_path) in image for image in names)
        assert all(image.open().rgb.ndim == 3 for image in images)
        assert {sample.anomalous for sample in category.test} >= {True}
        assert "_" not in category.words


@pytest.mark.parametrize("name", NAMES)
def test_order_and_split_depend_on_the_files_alone(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tree(name, tmp_path / "first")
    first = contents(read_data(f"{name}:{path}"))
    moved = tmp_path / "moved"
    shutil.copytree(tmp_path / "first", moved)
    for method in ("glob", "rglob", "iterdir"):
        backwards(monkeypatch, method)
    where = moved / path.relative_to(tmp_path / "first")
    assert contents(read_data(f"{name}:{where}")) == first


def backwards(monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    """Let a file system list its entries the other way round."""
    usual = getattr(Path, method)

    def listing(self: Path, *arguments: Any) -> Iterator[Path]:
        return iter([*usual(self, *arguments)][::-1])

    monkeypatch.setattr(Path, method, listing)


@pytest.mark.parametrize("name", SOURCES)
def test_what_lacks_is_told_with_tree_licence_and_steps(name: str, tmp_path: Path) -> None:
    source = SOURCES[name]
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(MissingData, match=f"inctrl data {name}") as caught:
            read_data(f"{name}:{path}")
        assert repr(str(path)) in str(caught.value)
        assert "\n" not in str(caught.value)
        assert source.tree.strip() in caught.value.detail
        assert f"licence: {source.licence}" in caught.value.detail
        assert "to get it: " in caught.value.detail
        assert caught.value.exit_code == 5


def test_tree_and_steps_fit_into_a_terminal() -> None:
    for name in SOURCES:
        assert max(len(line) for line in describe(name).splitlines()) < 100


def test_an_unknown_layout_gets_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean 'visa'"):
        read_data(f"vissa:{tmp_path}")


def test_a_folder_in_no_layout_gets_the_list_of_layouts(tmp_path: Path) -> None:
    with pytest.raises(MissingData, match="in no layout known here .*mvtec, visa"):
        read_data(tmp_path)
    with pytest.raises(MissingData, match="no data at .*check it"):
        read_data(tmp_path / "absent")


def test_a_misspelt_folder_is_told_with_the_one_beside_it(tmp_path: Path) -> None:
    (tmp_path / "magnetic_tile").mkdir()
    with pytest.raises(MissingData, match="did you mean 'magnetic_tile'"):
        read_data(tmp_path / "magnetic_tle")


def test_a_category_without_test_images_is_told(tmp_path: Path) -> None:
    shutil.rmtree(tree("mvtec", tmp_path) / "metal_nut/test")
    with pytest.raises(MissingData, match="'metal_nut' has no test image"):
        read_data(tmp_path)


def test_a_category_without_normal_images_is_told(tmp_path: Path) -> None:
    for file in (tree("mvtec", tmp_path) / "metal_nut/train/good").iterdir():
        file.unlink()
    with pytest.raises(MissingData, match="'metal_nut' has no normal training image"):
        read_data(tmp_path)
