"""False alarms and confirmed defects."""

import numpy as np
import pytest
from store_samples import picture, pictures

from inctrl.errors import Conflict, NotStored
from inctrl.images import stored_digest
from inctrl.store import SetVersion, Store


@pytest.fixture
def bottle(store: Store) -> Store:
    store.sets.create("bottle", pictures(1))
    return store


def test_a_confirmed_defect_is_kept_with_its_image_and_makes_no_version(bottle: Store) -> None:
    id = bottle.feedback.confirm("bottle", picture(9, "/line/bad.png"))
    (shot,) = bottle.feedback.defects("bottle")
    assert (shot.name, shot.sha256) == ("bad.png", stored_digest(picture(9)))
    row = bottle.feedback.get(id)
    assert (row.set, row.kind, row.undone, row.shot) == ("bottle", "defect", None, shot)
    assert np.array_equal(bottle.feedback.picture(row).pixels, picture(9).pixels)
    assert bottle.sets.get("bottle").version == 1


def test_a_defect_confirmed_twice_is_one(bottle: Store) -> None:
    first = bottle.feedback.confirm("bottle", picture(9))
    assert bottle.feedback.confirm("bottle", picture(9, "again.png")) == first
    assert len(bottle.feedback.list("bottle")) == 1
    bottle.feedback.undo(first)
    assert bottle.feedback.confirm("bottle", picture(9)) != first


def test_a_false_alarm_has_the_versions_around_it(bottle: Store) -> None:
    added = bottle.sets.add("bottle", pictures(5), origin="false_alarm")
    id = bottle.feedback.record("bottle", added.shots[-1].sha256, 1, added.version)
    row = bottle.feedback.get(id)
    assert (row.kind, row.version_before, row.version_after) == ("false_alarm", 1, 2)
    assert (row.sha256, row.shot) == (added.shots[-1].sha256, None)
    assert bottle.feedback.defects("bottle") == ()
    with pytest.raises(NotStored, match="no image of its own"):
        bottle.feedback.picture(row)


def test_a_false_alarm_that_changed_nothing_is_the_one_of_before(bottle: Store) -> None:
    first = bottle.feedback.record("bottle", "0" * 64, 1, 2)
    assert bottle.feedback.record("bottle", "0" * 64, 2, 2) == first
    assert bottle.feedback.get(first).version_after == 2
    other = bottle.feedback.record("bottle", "1" * 64, 2, 2)
    bottle.feedback.undo(first)
    assert len({first, other, bottle.feedback.record("bottle", "0" * 64, 2, 2)}) == 3


def test_the_newest_feedback_comes_in_pages(bottle: Store) -> None:
    ids = [bottle.feedback.record("bottle", f"{n:064x}", n, n + 1) for n in range(1, 5)]
    newest = bottle.feedback.newest
    assert [row.id for row in newest("bottle")] == ids[::-1]
    assert [row.id for row in newest("bottle", limit=2)] == [ids[3], ids[2]]
    assert [row.id for row in newest("bottle", after=ids[2], limit=9)] == [ids[1], ids[0]]
    for name, after in (("bottle", "x"), ("nut", None)):
        with pytest.raises(NotStored):
            newest(name, after)


def test_an_image_kept_before_is_confirmed_in_a_transaction(bottle: Store) -> None:
    kept = bottle.sets.keep([picture(9)])
    with bottle.database.transaction():
        bottle.feedback.confirm("bottle", kept)
    assert bottle.feedback.defects("bottle") == kept.shots


def test_feedback_is_listed_in_its_order_by_set(bottle: Store) -> None:
    bottle.sets.create("nut", pictures(1))
    first = bottle.feedback.record("bottle", "0" * 64, 1, 2)
    second = bottle.feedback.confirm("bottle", picture(9))
    other = bottle.feedback.confirm("nut", picture(9))
    assert [row.id for row in bottle.feedback.list("bottle")] == [first, second]
    assert [row.id for row in bottle.feedback.list("nut")] == [other]


def test_undone_once_it_counts_no_more(bottle: Store) -> None:
    id = bottle.feedback.confirm("bottle", picture(9))
    assert bottle.feedback.undo(id).undone is not None
    assert bottle.feedback.defects("bottle") == ()
    assert len(bottle.feedback.list("bottle")) == 1
    with pytest.raises(Conflict, match="undone already"):
        bottle.feedback.undo(id)


def test_an_undo_and_its_version_are_kept_together_or_not_at_all(bottle: Store) -> None:
    added = bottle.sets.add("bottle", pictures(5), origin="false_alarm")
    shot = added.shots[-1]
    id = bottle.feedback.record("bottle", shot.sha256, 1, 2)

    def undo(stop: bool) -> SetVersion:
        with bottle.database.transaction():
            bottle.feedback.undo(id)
            undone = bottle.sets.drop("bottle", [shot.sha256], origin="undo")
            if stop:
                raise ValueError("stop")
            return undone

    with pytest.raises(ValueError, match="stop"):
        undo(stop=True)
    assert bottle.feedback.get(id).undone is None
    assert bottle.sets.get("bottle") == added
    undone = undo(stop=False)
    assert (undone.version, undone.origin) == (3, "undo")
    assert undone.digest == bottle.sets.get("bottle", 1).digest


def test_feedback_needs_a_set(store: Store) -> None:
    with pytest.raises(NotStored, match="no set 'bottle'"):
        store.feedback.confirm("bottle", picture(1))
    with pytest.raises(NotStored, match="no set 'bottle'"):
        store.feedback.record("bottle", "0" * 64, 1, 2)
    with pytest.raises(NotStored, match="no feedback 'x'"):
        store.feedback.undo("x")
