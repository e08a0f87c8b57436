"""Scores are kept with all that explains them, and go when they are older than wanted."""

import math
from datetime import UTC, datetime, timedelta

import pytest
from store_samples import score

from inctrl.errors import Conflict, NotStored, UsageError
from inctrl.store import Store
from inctrl.store.database import now


def documents(store: Store) -> int:
    with store.database.read() as db:
        return int(db.execute("SELECT count(*) FROM documents").fetchone()[0])


def test_a_score_comes_back_as_it_was_given(store: Store) -> None:
    given = score("1", now(), identity={"b": 1, "a": {"deep": [1.5]}}, calibration={"n": None})
    store.history.add([given])
    assert store.history.get("1") == given
    with pytest.raises(NotStored, match="no score '2'"):
        store.history.get("2")


def test_figures_that_are_not_finite_come_back(store: Store) -> None:
    store.history.add([score("1", threshold=math.inf, p_value=math.nan, set=None, version=None)])
    kept = store.history.get("1")
    assert kept.threshold == math.inf
    assert math.isnan(kept.p_value)
    assert (kept.set, kept.version) == (None, None)


def test_what_many_scores_share_is_kept_once(store: Store) -> None:
    store.history.add(score(str(i), calibration={"scores": [i % 2]}) for i in range(10))
    assert len(store.history.list().records) == 10
    assert documents(store) == 3
    assert store.history.get("3").calibration == {"scores": [1]}


def test_an_id_that_is_taken_keeps_none_of_them(store: Store) -> None:
    store.history.add([score("1")])
    with pytest.raises(Conflict, match="score '1' already"):
        store.history.add([score("2"), score("1")])
    assert len(store.history.list().records) == 1


def test_pages_come_newest_first_and_end(store: Store) -> None:
    store.history.add(score(str(i), set="nut" if i % 2 else "cap") for i in range(7))
    seen, after, pages = [], None, 0
    while True:
        page = store.history.list(after=after, limit=3)
        seen += [record.id for record in page.records]
        pages += 1
        if page.next is None:
            break
        after = page.next
        store.history.add([score(f"new {pages}")])  # does not shift the pages
    assert seen == ["6", "5", "4", "3", "2", "1", "0"]
    assert pages == 3
    nuts = store.history.list(set="nut", limit=3)
    assert [record.id for record in nuts.records] == ["5", "3", "1"]
    assert nuts.next is None
    assert len(store.history.list("nut").records) == 3
    assert store.history.list(set="bolt").records == ()


@pytest.mark.parametrize("cursor", ["", "x", "1", "bjE=;", "bi0x" * 20, "é", "!!!!"])
def test_a_cursor_of_ones_own_making_is_refused(store: Store, cursor: str) -> None:
    with pytest.raises(UsageError, match="no cursor"):
        store.history.list(after=cursor)


def test_scores_older_than_wanted_go_with_what_only_they_needed(store: Store) -> None:
    def ago(days: float) -> str:
        zone = datetime.now(UTC).astimezone().tzinfo
        return (datetime.now(zone) - timedelta(days=days)).isoformat()

    store.history.add(
        [
            score("old", ago(31), identity={"old": 1}),
            score("young", ago(29)),
            score("now", ago(0)),
        ]
    )
    before = documents(store)
    assert store.history.prune(days=30) == 1
    assert [record.id for record in store.history.list().records] == ["now", "young"]
    assert documents(store) == before - 1
    assert store.history.get("young").identity == {"backbone": "tiny"}
    assert store.history.prune(days=30) == 0


def test_times_of_any_zone_are_kept_in_utc(store: Store) -> None:
    store.history.add([score("1", "2026-06-01T02:30:00+02:00")])
    assert store.history.get("1").created == "2026-06-01T00:30:00.000+00:00"


def test_no_folders_of_queries_are_kept(store: Store) -> None:
    store.history.add([score("1", query_name="/home/patient/x.png\n")])
    assert store.history.get("1").query_name == "x.png"
