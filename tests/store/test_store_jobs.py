"""Jobs as rows: each is claimed once, ends once, and is never lost."""

import os
import threading

import pytest

from inctrl.errors import Busy, Conflict, NotStored, UsageError
from inctrl.store import Store, open_store
from inctrl.store.jobs import ENDED, JobState


def test_a_job_is_queued_claimed_and_ended(store: Store) -> None:
    queued = store.jobs.add("folder", {"path": "x", "n": [1, None]})
    assert (queued.state, queued.attempts, queued.started, queued.pid) == ("queued", 0, None, None)
    assert queued.spec == {"path": "x", "n": [1, None]}
    running = store.jobs.claim()
    assert running is not None
    assert (running.id, running.state, running.attempts) == (queued.id, "running", 1)
    assert running.started is not None
    assert running.pid == os.getpid()
    assert store.jobs.running() == (running,)
    assert store.jobs.assign(queued.id, 4711).pid == 4711
    ended = store.jobs.finish(queued.id, "failed", "no room")
    assert (ended.state, ended.error, ended.pid) == ("failed", "no room", None)
    assert ended.finished is not None
    with open_store(store.folder) as again:
        assert again.jobs.get(queued.id) == ended


def test_the_oldest_is_claimed_first_and_each_once(store: Store) -> None:
    ids = [store.jobs.add("folder", {"i": i}).id for i in range(3)]
    claimed = [store.jobs.claim(pid=1) for _ in range(4)]
    assert [row and row.id for row in claimed] == [*ids, None]


def test_of_many_threads_each_claims_another(store: Store) -> None:
    for i in range(8):
        store.jobs.add("folder", {"i": i})
    claimed = []
    threads = [
        threading.Thread(target=lambda: claimed.append(store.jobs.claim())) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(row.spec["i"] for row in claimed if row) == list(range(8))


def test_no_more_than_so_many_wait_even_where_they_come_at_once(store: Store) -> None:
    added: list[object] = []

    def add() -> None:
        try:
            added.append(store.jobs.add("folder", {}, most=3).state)
        except Busy as error:
            added.append(error.retry_after)

    threads = [threading.Thread(target=add) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(str, added)) == [*["30.0"] * 5, *["queued"] * 3]
    store.jobs.claim()
    assert store.jobs.add("folder", {}, most=3).state == "queued"  # what runs does not wait


@pytest.mark.parametrize("state", ENDED)
def test_what_has_ended_does_not_end_again(store: Store, state: JobState) -> None:
    job = store.jobs.add("folder", {})
    store.jobs.claim()
    store.jobs.finish(job.id, state)
    with pytest.raises(Conflict, match=f"ended already \\({state}\\)"):
        store.jobs.finish(job.id, "cancelled")
    with pytest.raises(Conflict, match="not running"):
        store.jobs.assign(job.id, 1)
    assert store.jobs.get(job.id).state == state


def test_a_queued_job_may_be_cancelled(store: Store) -> None:
    job = store.jobs.add("folder", {})
    store.jobs.finish(job.id, "cancelled")
    assert store.jobs.claim() is None


def test_a_job_does_not_end_as_running(store: Store) -> None:
    job = store.jobs.add("folder", {})
    with pytest.raises(UsageError, match="succeeded, failed, cancelled, interrupted"):
        store.jobs.finish(job.id, "running")


def test_an_interrupted_job_goes_on_before_younger_ones(store: Store) -> None:
    old = store.jobs.add("train", {})
    store.jobs.claim()
    store.jobs.finish(old.id, "interrupted", "killed")
    store.jobs.add("train", {})
    again = store.jobs.requeue(old.id)
    assert (again.state, again.error, again.finished) == ("queued", "", None)
    claimed = store.jobs.claim()
    assert claimed is not None
    assert (claimed.id, claimed.attempts) == (old.id, 2)
    store.jobs.finish(old.id, "succeeded")
    with pytest.raises(Conflict, match="has succeeded"):
        store.jobs.requeue(old.id)


def test_jobs_are_counted_and_listed_newest_first(store: Store) -> None:
    ids = [store.jobs.add("folder", {}).id for _ in range(5)]
    store.jobs.claim()
    assert store.jobs.counts() == {
        "queued": 4,
        "running": 1,
        **dict.fromkeys(("succeeded", "failed", "cancelled", "interrupted"), 0),
    }
    assert [row.id for row in store.jobs.list(limit=2)] == [ids[4], ids[3]]
    assert [row.id for row in store.jobs.list(after=ids[3], limit=2)] == [ids[2], ids[1]]
    assert [row.id for row in store.jobs.list(state="running")] == [ids[0]]
    assert [row.id for row in store.jobs.list("queued", after=ids[2])] == [ids[1]]


def test_an_unknown_or_taken_id_is_told(store: Store) -> None:
    store.jobs.add("folder", {}, id="mine")
    with pytest.raises(Conflict, match="job 'mine' already"):
        store.jobs.add("folder", {}, id="mine")
    for call in (
        lambda: store.jobs.get("x"),
        lambda: store.jobs.finish("x", "failed"),
        lambda: store.jobs.requeue("x"),
        lambda: store.jobs.list(after="x"),
    ):
        with pytest.raises(NotStored, match="no job 'x'"):
            call()


def test_an_id_that_is_not_unicode_is_refused_in_a_line(store: Store) -> None:
    with pytest.raises(UsageError, match="not valid Unicode"):
        store.jobs.get("\udcff")
