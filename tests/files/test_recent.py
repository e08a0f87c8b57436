"""What is kept in memory: the values used last, within a number and a weight."""

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
