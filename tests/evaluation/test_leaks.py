"""Shots and test images share neither content nor group, and all of them can be read."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from labelled import entrant, picture, plan_of, save, write_set

from inctrl.data.categories import Category
from inctrl.errors import MissingData, UsageError
from inctrl.evaluation.content import Content, Reader
from inctrl.evaluation.leaks import learned, refuse_leaks, repeated
from inctrl.evaluation.plan import Plan


def read(plan: Plan) -> list[Content]:
    reader = Reader()
    return [reader(category, plan.drawn(category)) for category in plan.categories]


def check(plan: Plan) -> None:
    refuse_leaks(plan, read(plan))


def drawn(plan: Plan) -> list[Path]:
    [category] = plan.categories
    return [category.train[i].file for i in plan.drawn(category)]


@pytest.mark.parametrize("deep", [False, True])
def test_a_shot_that_is_a_test_image_is_refused_with_the_pair(tmp_path: Path, deep: bool) -> None:
    write_set(tmp_path, deep=deep)
    plan = plan_of(tmp_path, [entrant()])
    check(plan)
    shot = drawn(plan)[0]
    with PIL.Image.open(shot) as image:  # the same pixels in other bytes
        image.save(tmp_path / "field/test/good/09.tif")
    with pytest.raises(UsageError, match=f"1 shot is .*good/{shot.name} = .*good/09.tif"):
        check(plan_of(tmp_path, [entrant()]))


def test_many_pairs_are_counted(tmp_path: Path) -> None:
    write_set(tmp_path, train=8)
    for i in range(8):
        save(tmp_path / f"field/test/good/1{i}.png", picture(i))
    with pytest.raises(UsageError, match=r"8 shots are .*, \.\.\.\)"):
        check(plan_of(tmp_path, [entrant()], shots=(8,)))


def test_a_training_image_that_no_seed_draws_is_no_leak(tmp_path: Path) -> None:
    write_set(tmp_path, train=20)
    plan = plan_of(tmp_path, [entrant()])
    idle = next(i for i in range(20) if i not in plan.drawn(plan.categories[0]))
    save(tmp_path / "field/test/good/09.png", picture(idle))
    check(plan_of(tmp_path, [entrant()]))


def test_shots_that_are_one_image_are_said(tmp_path: Path) -> None:
    write_set(tmp_path, train=3)
    save(tmp_path / "field/train/good/02.png", picture(0))
    plan = plan_of(tmp_path, [entrant()], shots=(3,))
    [note] = repeated(plan.categories[0], read(plan)[0])
    assert "good/00.png and train/good/02.png are one image" in note.replace("field/", "")


def test_test_images_that_an_adapter_was_trained_on_are_said(tmp_path: Path) -> None:
    write_set(tmp_path / "set", "a")
    write_set(tmp_path / "set", "b", first=100)
    plan = plan_of(tmp_path / "set", [entrant(), entrant("spade")])
    contents = read(plan)
    seen = frozenset(pixels[:16] for pixels in list(contents[0].test.values())[:3])
    mine = replace(plan.entrants[1], seen=seen)
    plan = replace(plan, entrants=(plan.entrants[0], mine))
    assert learned(plan, contents) == [
        "spade was trained on 3 of 8 test images of set/a: its figures there say nothing"
    ]


@pytest.mark.parametrize(("value", "what"), [(0, "no pixel"), (255, "every pixel")])
def test_a_mask_of_an_anomalous_image_that_marks_nothing_or_everything_is_refused(
    tmp_path: Path, value: int, what: str
) -> None:
    write_set(tmp_path)
    save(tmp_path / "field/ground_truth/hole/01_mask.png", np.full((24, 32), value, np.uint8))
    with pytest.raises(MissingData, match=rf"01_mask.png' marks {what} .*; mark the defect"):
        check(plan_of(tmp_path, [entrant()]))


def test_masks_that_mark_most_of_their_images_are_said_to_be_inverted_perhaps(
    tmp_path: Path,
) -> None:
    write_set(tmp_path)
    plan = plan_of(tmp_path, [entrant()])
    [usual] = read(plan)
    assert usual.notes == ()
    for i in range(4):
        file = tmp_path / f"field/ground_truth/hole/{i:02d}_mask.png"
        save(file, 255 - np.asarray(PIL.Image.open(file)))
    [content] = read(plan)
    [note] = content.notes
    assert note.startswith(f"4 of 4 masks of {tmp_path.name}/field mark most of their image (")
    assert "if the defect is what is dark in them, invert them" in note


def test_an_image_turned_by_its_exif_orientation_and_its_upright_mask_are_said(
    tmp_path: Path,
) -> None:
    write_set(tmp_path)
    exif = PIL.Image.Exif()
    exif[0x0112] = 3
    file = tmp_path / "field/test/hole/02.png"
    PIL.Image.open(file).save(file, exif=exif)
    [content] = read(plan_of(tmp_path, [entrant()]))
    [note] = content.notes
    assert note.startswith("1 of 4 masked images")
    assert "test/hole/02.png" in note


def patients(root: Path, train: str, test: str) -> Path:
    """Images whose names begin with a patient, given by its digit."""
    for side, digits in (("train/good", train), ("test/good", test), ("test/hole", test)):
        (root / "scan" / side).mkdir(parents=True)
        for digit in digits:
            name = f"p{digit}_slice.png"
            save(root / "scan" / side / name, picture(len(side) * 100 + int(digit)))
    return root


@pytest.mark.parametrize("rule", [r"p\d", r"p(\d+)_"])
def test_a_group_on_both_sides_is_refused_by_a_regular_expression(
    tmp_path: Path, rule: str
) -> None:
    apart = patients(tmp_path / "apart", "123", "45")
    check(plan_of(apart, [entrant()], group_by=rule))
    mixed = patients(tmp_path / "mixed", "123", "34")
    with pytest.raises(UsageError, match=r"1 shot is .*train/good/p3_slice.png and .*p3_slice"):
        check(plan_of(mixed, [entrant()], shots=(3,), group_by=rule))


def test_a_group_that_no_seed_draws_may_be_tested(tmp_path: Path) -> None:
    root = patients(tmp_path, "012345678", "9")
    plan = plan_of(root, [entrant()], shots=(1,), seeds=1, group_by=r"p\d")
    idle = next(i for i in range(9) if i not in plan.drawn(plan.categories[0]))
    save(root / f"scan/test/good/p{idle}_slice.png", picture(5))
    check(plan_of(root, [entrant()], shots=(1,), seeds=1, group_by=r"p\d"))


def test_every_image_needs_a_group(tmp_path: Path) -> None:
    patients(tmp_path, "123", "45")
    save(tmp_path / "scan/test/good/other.png", picture(5))
    for rule in (r"p\d", r"p(\d)|other"):
        with pytest.raises(UsageError, match="finds nothing in 'scan/test/good/other.png'"):
            check(plan_of(tmp_path, [entrant()], group_by=rule))


@pytest.mark.parametrize(("rule", "says"), [("(", "no regular expression"), ("(a)(b)", "2 groups")])
def test_a_rule_that_cannot_be_used_is_named(tmp_path: Path, rule: str, says: str) -> None:
    write_set(tmp_path)
    with pytest.raises(UsageError, match=says):
        check(plan_of(tmp_path, [entrant()], group_by=rule))


def grouped(category: Category, test: str | None) -> Category:
    """The shots are of patient a, the test images of `test`."""
    return replace(
        category,
        train=tuple(replace(stored, group="a") for stored in category.train),
        test=tuple(replace(s, image=replace(s.image, group=test)) for s in category.test),
    )


def test_the_group_that_the_layout_gives(tmp_path: Path) -> None:
    write_set(tmp_path)
    plan = plan_of(tmp_path, [entrant()], group_by="group")
    for test, says in (("b", None), ("a", "of a test image's group"), (None, "names no group")):
        other = replace(plan, categories=tuple(grouped(c, test) for c in plan.categories))
        if says is None:
            check(other)
        else:
            with pytest.raises(UsageError, match=says):
                check(other)


@pytest.mark.parametrize(
    "name", ["test/good/00.png", "test/hole/01.png", "ground_truth/hole/01_mask.png"]
)
def test_an_unreadable_file_of_a_set_is_named_before_anything_is_scored(
    tmp_path: Path, name: str
) -> None:
    write_set(tmp_path)
    (tmp_path / "field" / name).write_bytes(b"nothing")
    with pytest.raises(MissingData, match=name):
        check(plan_of(tmp_path, [entrant()]))


def test_an_unreadable_shot_is_named(tmp_path: Path) -> None:
    write_set(tmp_path)
    shot = drawn(plan_of(tmp_path, [entrant()]))[0]
    shot.write_bytes(b"nothing")
    with pytest.raises(MissingData, match=shot.name):
        check(plan_of(tmp_path, [entrant()]))


def test_the_digest_is_of_names_labels_masks_and_bytes_and_not_of_the_place(tmp_path: Path) -> None:
    write_set(tmp_path / "here/set")
    write_set(tmp_path / "there/set")
    here, there = (plan_of(tmp_path / at / "set", [entrant()]) for at in ("here", "there"))
    [first], [second] = read(here), read(there)
    assert first.digest == second.digest
    changes = [
        lambda f: save(f / "train/good/00.png", picture(77)),
        lambda f: save(f / "test/hole/00.png", picture(78)),
        lambda f: save(f / "ground_truth/hole/00_mask.png", picture(0, spot=True)),
        lambda f: (f / "test/good/00.png").rename(f / "test/good/99.png"),
        lambda f: (f / "test/hole/02.png").rename(f / "test/good/98.png"),
        lambda f: (f / "ground_truth/hole/01_mask.png").unlink(),
    ]
    seen = {first.digest}
    for change in changes:
        change(tmp_path / "there/set/field")
        [now] = read(plan_of(tmp_path / "there/set", [entrant()]))
        assert now.digest not in seen
        seen.add(now.digest)
