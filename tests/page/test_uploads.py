"""Files that were added on the page."""

from pathlib import Path

import pytest
from paged import at_work

from inctrl.errors import UsageError
from inctrl.page.uploads import Added, added, joined, read
from inctrl.service.settings import Settings


def test_they_keep_their_order_and_say_what_is_unreadable(
    settings: Settings, shots: list[Path], tmp_path: Path
) -> None:
    text = tmp_path / "notes.png"
    text.write_text("no image")

    async def work(bench):
        return await added(bench, [shots[2], text, shots[0]])

    found = at_work(settings, work)
    assert [one.name for one in found] == ["good-2.png", "notes.png", "good-0.png"]
    assert [bool(one.picture) for one in found] == [True, False, True]
    assert "not an image of a known format" in found[1].error
    assert str(tmp_path) not in found[1].error


def test_a_file_counts_once_and_there_is_a_limit(settings: Settings, shots: list[Path]) -> None:
    class Bench:
        pass

    Bench.settings = settings
    there = (Added(shots[0], "data:", ""),)
    assert joined(Bench, there, [str(shots[0]), str(shots[1]), str(shots[1])]) == [shots[1]]
    assert joined(Bench, there, None) == []
    many = [f"/{i}.png" for i in range(settings.limits.images)]
    with pytest.raises(UsageError, match="at most 64 images"):
        joined(Bench, there, many)


def test_a_file_that_was_cleared_away_says_so(settings: Settings, tmp_path: Path) -> None:
    async def work(_bench):
        with pytest.raises(UsageError, match=r"'gone.png' is not kept any more; add it again"):
            await read([tmp_path / "gone.png"])

    at_work(settings, work)
