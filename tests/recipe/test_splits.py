"""What is held out: never trained on, and the same in every run."""

from random import Random

import pytest

from inctrl.data.defects import KINDS
from tiny import splits
from tiny.shards import Captioned
from tiny.splits import (
    HELD_OUT_KINDS,
    HELD_OUT_MATERIALS,
    HELD_OUT_OBJECTS,
    MATERIALS,
    OBJECTS,
    SEEN_KINDS,
    Split,
)


def record(source: str, label: str | None, number: int = 0, *, free: bool = True) -> Captioned:
    return Captioned(f"{source}-00.zip", f"{label}-{number}.jpg", source, (), label, free)


@pytest.fixture(scope="module")
def records() -> list[Captioned]:
    """100 objects and 40 materials; a label that is both; captioned and research-only images."""
    made = [record(OBJECTS, f"object {i}", n) for i in range(100) for n in range(2)]
    made += [record(MATERIALS, f"material {i}", n) for i in range(40) for n in range(5)]
    made += [record("cocomini", None, n) for n in range(5)]
    made += [record("dtd", f"texture {i}", free=False) for i in range(5)]
    return made


def test_nothing_held_out_is_trained_on(records: list[Captioned]) -> None:
    split = Split.of(records)
    assert len(split.objects) == HELD_OUT_OBJECTS
    assert len(split.materials) == HELD_OUT_MATERIALS
    for one in records:
        if one.free:
            assert split.trains_state(one) != split.tests_state(one)
        assert not (split.trains_content(one) and splits.tests_material(one))
        assert not (split.trains_content(one) and split.tests_object(one))
    tested = [one for one in records if split.tests_state(one)]
    assert {one.source for one in tested} == {OBJECTS, MATERIALS}
    assert len(tested) == 2 * HELD_OUT_OBJECTS + 5 * HELD_OUT_MATERIALS
    assert {o.label for o in records if split.tests_object(o)} == split.objects


def test_most_of_a_material_is_paired_with_its_name_whether_its_state_is_held_out_or_not(
    records: list[Captioned],
) -> None:
    split = Split.of(records)
    materials = [one for one in records if one.source == MATERIALS]
    paired = [one for one in materials if split.trains_content(one)]
    assert len(paired) / len(materials) == pytest.approx(0.75, abs=0.07)
    assert split.materials & {one.label for one in paired}


def test_a_label_is_held_out_for_its_own_source_alone(records: list[Captioned]) -> None:
    held = min(Split.of(records).objects)
    both = [*records, record(MATERIALS, held)]
    split = Split.of(both)
    assert held in split.objects
    assert held not in split.materials
    assert split.trains_state(both[-1])
    assert not split.tests_object(both[-1])


def test_images_without_a_label_are_trained_on(records: list[Captioned]) -> None:
    split = Split.of(records)
    plain = [one for one in records if one.source == "cocomini"]
    assert all(split.trains_state(one) and split.trains_content(one) for one in plain)


def test_what_is_not_free_takes_no_part(records: list[Captioned]) -> None:
    split = Split.of(records)
    others = [one for one in records if not one.free]
    others += [record(OBJECTS, label, free=False) for label in ("object 1", min(split.objects))]
    for one in others:
        assert not split.trains_state(one)
        assert not split.trains_content(one)
        assert not split.tests_state(one)


def test_the_split_does_not_depend_on_order_or_number_of_images(records: list[Captioned]) -> None:
    split = Split.of(records)
    shuffled = records * 2
    Random(0).shuffle(shuffled)  # noqa: S311  nothing secret
    assert Split.of(shuffled) == split
    assert Split.of(records[::-1]) == split
    assert Split.of([one for one in records if one.free]) == split


def test_the_split_is_the_same_in_every_release() -> None:
    """Figures of two trainings are of the same test images."""
    split = Split.of([record(OBJECTS, f"{i}") for i in range(8)])
    assert split.objects == {"1", "6"}
    images = [record(MATERIALS, "bark", n) for n in range(12)]
    assert [n for n, one in enumerate(images) if splits.tests_material(one)] == [3, 4, 6, 8]


@pytest.mark.parametrize(("labels", "held"), [(0, 0), (1, 0), (3, 0), (4, 1), (11, 2), (400, 20)])
def test_a_small_set_is_not_used_up(labels: int, held: int) -> None:
    few = [record(OBJECTS, f"object {i}") for i in range(labels)]
    split = Split.of(few)
    assert len(split.objects) == held
    assert sum(map(split.trains_state, few)) == labels - held


def test_kinds_of_damage_are_either_seen_or_held_out() -> None:
    assert sorted((*SEEN_KINDS, *HELD_OUT_KINDS)) == sorted(KINDS)
    assert not set(SEEN_KINDS) & set(HELD_OUT_KINDS)
    assert len(HELD_OUT_KINDS) == 4
