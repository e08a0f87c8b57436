"""Contexts are kept once for a key, and made again where they are damaged."""

import logging
import threading

import pytest
from store_samples import pictures

from inctrl.store import Store
from inctrl.store.verify import orphans


@pytest.fixture
def bottle(store: Store) -> Store:
    store.sets.create("bottle", pictures(1))
    return store


def test_a_context_comes_back_as_it_was_put(bottle: Store) -> None:
    index = {"version": 1, "card": {"layers": ["a", "b"]}, "limit": 0.1, "none": None}
    assert bottle.contexts.get("key") is None
    bottle.contexts.put("key", "bottle", 1, index, b"\x00tensors")
    assert bottle.contexts.get("key") == (index, b"\x00tensors")
    assert bottle.contexts.get("other") is None
    assert bottle.contexts.count("bottle") == 1


def test_the_first_of_a_key_stays(bottle: Store) -> None:
    bottle.contexts.put("key", "bottle", 1, {"first": True}, b"first")
    bottle.contexts.put("key", "bottle", 1, {"first": False}, b"second")
    assert bottle.contexts.get("key") == ({"first": True}, b"first")


def test_threads_that_put_the_same_key_keep_one(bottle: Store) -> None:
    def put(i: int) -> None:
        bottle.contexts.put("key", "bottle", 1, {"i": i}, b"tensors %d" % i)

    threads = [threading.Thread(target=put, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert bottle.contexts.count("bottle") == 1
    kept = bottle.contexts.get("key")
    assert kept is not None
    assert kept[1] == b"tensors %d" % kept[0]["i"]


def test_nothing_is_kept_for_a_version_that_is_gone(bottle: Store) -> None:
    bottle.contexts.put("key", "bottle", 2, {}, b"tensors")
    bottle.contexts.put("other", "nut", 1, {}, b"tensors")
    assert bottle.contexts.get("key") is None
    assert bottle.contexts.get("other") is None
    assert len(orphans(bottle)) == 1


def test_a_damaged_context_counts_as_none_and_may_be_put_again(
    bottle: Store, caplog: pytest.LogCaptureFixture
) -> None:
    bottle.contexts.put("key", "bottle", 1, {"made": 1}, b"tensors")
    (blob,) = bottle.referenced() - {bottle.sets.get("bottle").shots[0].blob}
    bottle.blobs.path(blob).write_bytes(b"tensorz")
    with caplog.at_level(logging.WARNING, "inctrl"):
        assert bottle.contexts.get("key") is None
    assert "made again" in caplog.text
    bottle.contexts.put("key", "bottle", 1, {"made": 2}, b"tensors, again")
    assert bottle.contexts.get("key") == ({"made": 2}, b"tensors, again")


def test_scores_of_defects_are_remembered_by_context_and_image(bottle: Store) -> None:
    scores = bottle.defect_scores
    bottle.contexts.put("key", "bottle", 1, {}, b"tensors")
    scores.remember("key", "a" * 64, 0.25)
    scores.remember("key", "b" * 64, 0.5)
    scores.remember("key", "a" * 64, 0.75)
    scores.remember("other", "a" * 64, 1.0)
    assert scores.known("key") == {"a" * 64: 0.75, "b" * 64: 0.5}
    bottle.sets.remove("bottle")
    assert scores.known("key") == {}
    assert scores.known("other") == {"a" * 64: 1.0}
