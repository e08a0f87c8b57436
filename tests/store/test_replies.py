"""Idempotency keys: the second request gets the reply of the first."""

import os
import threading

import pytest

from inctrl.errors import Conflict, UsageError
from inctrl.store import InFlight, KeyReused, Reply, Store, open_store

REPLY = Reply(201, {"location": "/v1/sets/bottle"}, b"\x00made")


def test_a_request_is_done_once_and_its_reply_kept(store: Store) -> None:
    assert store.replies.begin("key", "digest") is None
    store.replies.finish("key", REPLY)
    with open_store(store.folder) as again:
        assert again.replies.begin("key", "digest") == REPLY


def test_the_first_reply_stays(store: Store) -> None:
    store.replies.begin("key", "digest")
    store.replies.finish("key", REPLY)
    store.replies.finish("key", Reply(500, {}, b""))
    store.replies.abandon("key")
    assert store.replies.begin("key", "digest") == REPLY


def test_another_request_under_the_key_is_refused(store: Store) -> None:
    store.replies.begin("key", "digest")
    for _ in range(2):
        with pytest.raises(KeyReused) as refused:
            store.replies.begin("key", "other")
        assert isinstance(refused.value, UsageError)
        store.replies.finish("key", REPLY)


def test_a_request_still_at_work_is_in_flight_until_it_is_given_up(store: Store) -> None:
    store.replies.begin("key", "digest")
    with pytest.raises(InFlight) as refused:
        store.replies.begin("key", "digest")
    assert isinstance(refused.value, Conflict)
    store.replies.abandon("key")
    assert store.replies.begin("key", "digest") is None


def test_of_many_at_once_one_begins(store: Store) -> None:
    begun = []

    def begin() -> None:
        try:
            begun.append(store.replies.begin("key", "digest"))
        except InFlight:
            begun.append(InFlight)

    threads = [threading.Thread(target=begin) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert begun.count(None) == 1
    assert begun.count(InFlight) == 7


def test_a_start_clears_what_died_at_work_and_keeps_the_rest(store: Store) -> None:
    store.replies.begin("dead", "digest")
    store.replies.begin("done", "digest")
    store.replies.finish("done", REPLY)
    assert store.replies.clear_in_flight() == 1
    assert store.replies.begin("dead", "digest") is None
    assert store.replies.begin("done", "digest") == REPLY


def test_what_another_service_is_at_work_on_stays(store: Store) -> None:
    with open_store(store.folder) as other:
        assert other.replies.owner != store.replies.owner
        other.replies.begin("theirs", "digest")
        store.replies.begin("ours", "digest")
        assert store.replies.clear_in_flight({other.replies.owner}) == 1
        with pytest.raises(InFlight):
            store.replies.begin("theirs", "digest")
        assert store.replies.begin("ours", "digest") is None


def test_replies_are_forgotten_after_their_time(store: Store) -> None:
    store.replies.begin("key", "digest")
    store.replies.finish("key", REPLY)
    assert store.replies.prune(hours=24) == 0
    with store.database.transaction() as db:
        db.execute("UPDATE replies SET created = '2020-01-01T00:00:00.000+00:00'")
    assert store.replies.prune(hours=24) == 1
    assert store.replies.begin("key", "other") is None


def test_the_work_and_its_reply_are_one_transaction(store: Store) -> None:
    def work() -> None:
        with store.database.transaction():
            store.jobs.add("folder", {}, id="job")
            store.replies.finish("key", REPLY)
            raise ValueError("stop")

    store.replies.begin("key", "digest")
    with pytest.raises(ValueError, match="stop"):
        work()
    assert store.jobs.list() == ()
    with pytest.raises(InFlight):
        store.replies.begin("key", "digest")


def test_a_large_reply_is_kept(store: Store) -> None:
    body = os.urandom(2_000_000)
    store.replies.begin("key", "digest")
    store.replies.finish("key", Reply(200, {}, body))
    kept = store.replies.begin("key", "digest")
    assert kept is not None
    assert kept.body == body
