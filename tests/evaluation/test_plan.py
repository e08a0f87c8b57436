"""What an evaluation does, and what it refuses before anything is computed."""

from pathlib import Path

import pytest
from fakes import FakeBackbone
from labelled import entrant, plan_of, write_set

from inctrl.data.sources import read_data
from inctrl.detectors.zeroshot import ZeroShot
from inctrl.errors import UsageError
from inctrl.evaluation.plan import Plan, chosen, shots_of


def test_more_shots_than_normals_is_one_error_that_names_every_category(tmp_path: Path) -> None:
    write_set(tmp_path, "a", train=3)
    write_set(tmp_path, "b", train=8)
    write_set(tmp_path, "c", train=2)
    with pytest.raises(UsageError, match=r"k=4 .*2 categories \(.*/a has 3, .*/c has 2\)"):
        plan_of(tmp_path, [entrant()], shots=(2, 4))
    assert plan_of(tmp_path, [entrant()], shots=(1, 2)).shots == (1, 2)


def test_drawn_are_the_shots_of_every_seed_and_no_others(tmp_path: Path) -> None:
    write_set(tmp_path, train=40)
    plan = plan_of(tmp_path, [entrant()], shots=(1, 3), seeds=2)
    [category] = plan.categories
    assert set(plan.drawn(category)) == {*category.draw(3, 0), *category.draw(3, 1)}


def test_a_category_may_not_be_given_twice(tmp_path: Path) -> None:
    write_set(tmp_path)
    twice = (*read_data(tmp_path), *read_data(tmp_path))
    with pytest.raises(UsageError, match="field is given twice"):
        Plan((entrant(),), twice, (2,), (0,), 0.05)


def test_no_shots_only_for_detectors_that_need_none(tmp_path: Path) -> None:
    write_set(tmp_path)
    alone = entrant("zeroshot", backbone=FakeBackbone(has_text=True), detector=ZeroShot())
    assert plan_of(tmp_path, [alone], shots=(0, 2)).shots == (0, 2)
    with pytest.raises(UsageError, match="'incontext' needs shots"):
        plan_of(tmp_path, [alone, entrant()], shots=(0, 2))


def test_categories_are_chosen_by_name_or_with_their_data_set(tmp_path: Path) -> None:
    for data, name in (("one", "a"), ("one", "b"), ("two", "a")):
        write_set(tmp_path / data, name)
    found = [*read_data(tmp_path / "one"), *read_data(tmp_path / "two")]

    def names(only: list[str], exclude: list[str]) -> list[str]:
        return [f"{c.dataset}/{c.name}" for c in chosen(found, only, exclude)]

    assert names([], []) == ["one/a", "one/b", "two/a"]
    assert names(["a"], []) == ["one/a", "two/a"]
    assert names(["a"], ["two/a"]) == ["one/a"]
    with pytest.raises(UsageError, match="unknown category 'c'"):
        names([], ["c"])
    with pytest.raises(UsageError, match="no category is left"):
        names(["b"], ["b"])


def test_a_protocol_has_shots_of_its_own() -> None:
    assert shots_of("inctrl", None) == (2, 4, 8)
    assert shots_of("inctrl", [8, 2, 4]) == (2, 4, 8)
    assert shots_of("", None) == (1, 2, 4, 8)
    assert shots_of("", [4, 1, 4]) == (1, 4)
    with pytest.raises(UsageError, match="protocol inctrl is for k = 2 4 8, not 1"):
        shots_of("inctrl", [1])
