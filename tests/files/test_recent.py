"""What is kept in memory: the values used last, within a number and a weight."""

import threading

from inctrl.files.recent import Recent


def never() -> str:
    raise AssertionError("it is there")


def test_a_value_is_made_once() -> None:
    recent = Recent[str](2)
    assert recent.peek("a") is None
    assert recent.get("a", lambda: "A") == "A"
    assert recent.get("a", never) == "A"
    assert recent.peek("a") == "A"


def test_what_was_used_longest_ago_goes_first_and_a_look_is_a_use() -> None:
    recent = Recent[str](2)
    recent.get("a", lambda: "A")
    recent.get("b", lambda: "B")
    recent.peek("a")
    recent.get("c", lambda: "C")
    assert [recent.peek(key) for key in "abc"] == ["A", None, "C"]


def test_heavy_values_make_room_by_weight_and_the_newest_stays() -> None:
    recent = Recent[str](10, len, heaviest=5)
    for key in ("aa", "bb"):
        recent.get(key, lambda key=key: key)  # type: ignore[misc]
    recent.get("ccc", lambda: "ccc")
    assert [recent.peek(key) for key in ("aa", "bb", "ccc")] == [None, "bb", "ccc"]
    recent.get("d", lambda: "d" * 50)
    assert [recent.peek(key) for key in ("bb", "ccc", "d")] == [None, None, "d" * 50]


def test_nothing_is_a_value_too() -> None:
    recent, made = Recent[str | None](2), []
    for _ in range(2):
        assert recent.get("a", lambda: made.append("a")) is None  # type: ignore[func-returns-value]
    assert made == ["a"]


def test_threads_that_ask_at_once_make_one_value() -> None:
    recent, made = Recent[int](2), list[int]()
    begun, go_on = threading.Event(), threading.Event()

    def make() -> int:
        begun.set()
        assert go_on.wait(30)
        made.append(7)
        return 7

    threads = [threading.Thread(target=recent.get, args=("a", make)) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert begun.wait(30)
    assert recent.peek("a") is None  # without waiting
    go_on.set()
    for thread in threads:
        thread.join()
    assert made == [7]
