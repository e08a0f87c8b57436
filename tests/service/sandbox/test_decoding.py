"""Strangers' images through child processes: read as here; what ends a child ends no more."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import hostile
import numpy as np
import PIL.Image
import pytest
from misbehaving import (
    GOOD,
    HONEST,
    QUICK,
    Broken,
    Hooked,
    alive,
    refusal,
    using,
)

from inctrl.decoding import decode
from inctrl.errors import UnreadableImage
from inctrl.service.sandbox.decoding import Decoded, Decoders, NoDecoder

# What is read


@pytest.fixture(scope="module")
def decoded() -> dict[str, Decoded]:
    """Every honest image, through one child."""

    async def work(decoders: Decoders) -> dict[str, Decoded]:
        return {name: await decoders.decode(data, name) for name, data in HONEST.items()}

    return using(Decoders(), work)


@pytest.mark.parametrize("name", HONEST)
def test_exif_and_colour_modes_are_read_as_in_process(
    decoded: dict[str, Decoded], name: str
) -> None:
    expected, picture = decode(HONEST[name], name), decoded[name].picture
    assert picture.pixels.dtype == expected.pixels.dtype
    np.testing.assert_array_equal(picture.pixels, expected.pixels)
    assert (picture.name, picture.notes) == (expected.name, expected.notes)
    assert not picture.pixels.flags.writeable
    assert 0 < decoded[name].seconds < QUICK


def test_all_kinds_of_values_and_notes_were_among_them(decoded: dict[str, Decoded]) -> None:
    pictures = [one.picture for one in decoded.values()]
    assert {str(p.pixels.dtype) for p in pictures} == {"uint8", "uint16", "int32", "float32"}
    notes = {note for picture in pictures for note in picture.notes}
    assert "turned upright by its EXIF orientation" in notes
    assert "frame 1 of 3 used" in notes


def test_a_large_image_comes_over_whole() -> None:
    values = np.random.default_rng(1).integers(0, 256, (1500, 2000, 3), dtype=np.uint8)
    data = hostile.encoded(PIL.Image.fromarray(values), "PPM")
    picture = using(Decoders(), lambda d: d.decode(data, "large.ppm")).picture
    np.testing.assert_array_equal(picture.pixels, values)


def test_what_lies_behind_an_image_is_not_read() -> None:
    """A polyglot is read as the image that it is: of the rest nothing is kept or served."""
    data = GOOD + b"PK\x03\x04<script>alert(1)</script>"
    picture = using(Decoders(), lambda d: d.decode(data, "x.png")).picture
    np.testing.assert_array_equal(picture.pixels, decode(GOOD).pixels)
    assert picture.notes == ()


@pytest.mark.parametrize("name", ["../../etc/passwd", "a\nb\x1b[31m\udc80'\"", "x" * 5_000])
def test_any_name_is_kept_and_quoted_in_one_printable_line(name: str) -> None:
    async def work(decoders: Decoders) -> str:
        assert (await decoders.decode(GOOD, name)).picture.name == name
        with pytest.raises(UnreadableImage) as caught:
            await decoders.decode(b"no image", name)
        return str(caught.value)

    message = using(Decoders(), work)
    assert message.isprintable()
    assert repr(name[:100])[:-1] in message
    assert len(message) < 1_200


# What ends a child


def test_time_limit() -> None:
    """The time goes in C code, which no signal handler of Python interrupts."""
    decoders = Decoders(seconds=0.3)
    assert "took longer than 0.3 s" in refusal(hostile.slow_jpeg(4_000, 1_000), decoders=decoders)
    assert decoders.replaced == {"time": 1}


def test_time_limit_of_a_child_on_its_own() -> None:
    """Should the parent's clock stand still, the processor time ends it."""
    decoders = Hooked(seconds=0.1)

    async def work(decoders: Decoders) -> str:
        decoders.seconds = 30.0  # the child has been told 0.1, and ends after the second begun
        with pytest.raises(UnreadableImage) as caught:
            await decoders.decode(GOOD, "spin")
        return str(caught.value)

    assert "SIGXCPU" in using(decoders, work)


def test_memory_limit() -> None:
    decoders = Decoders(memory=250_000_000)
    message = refusal(hostile.png_of_zeros(6_300, 6_300), decoders=decoders)
    assert "takes more than 250 MB" in message
    assert decoders.replaced == {"memory": 1}


@pytest.mark.parametrize("how", ["SIGSEGV", "SIGKILL", "SIGABRT", "exit"])
def test_crash_of_the_child(how: str) -> None:
    decoders = Hooked()
    said = "exit status 3" if how == "exit" else how
    assert f"ended its decoder ({said})" in refusal(GOOD, how, decoders)
    assert decoders.replaced == {"death": 1}


def test_others_are_not_affected_by_deaths() -> None:
    async def work(decoders: Decoders) -> list[object]:
        names = ["SIGSEGV", "a", "spin", "b", "greedy", "c", "exit", "d", "SIGKILL", "e"]
        work = (decoders.decode(GOOD, name) for name in names)
        return await asyncio.gather(*work, return_exceptions=True)

    decoders = Hooked(2, seconds=0.5)
    outcomes = using(decoders, work)
    assert [type(outcome) for outcome in outcomes] == [UnreadableImage, Decoded] * 5
    assert [one.picture.name for one in outcomes if isinstance(one, Decoded)] == list("abcde")
    assert decoders.replaced == {"death": 3, "time": 1, "memory": 1}


def test_a_child_that_was_killed_while_idle_costs_no_request() -> None:
    async def work(decoders: Decoders) -> None:
        (before,) = decoders.pids
        os.kill(before, signal.SIGKILL)
        await asyncio.sleep(0.1)
        await decoders.decode(GOOD, "x.png")
        assert decoders.pids != (before,)

    using(Decoders(), work)


def test_what_libraries_print_is_no_reply() -> None:
    decoders = Hooked()
    assert using(decoders, lambda d: d.decode(GOOD, "print")).picture.name == "print"
    assert not decoders.replaced


# Turns, cancellation, beginning and end


def test_who_asks_first_is_served_first() -> None:
    async def work(decoders: Decoders) -> list[int]:
        done: list[int] = []

        async def ask(index: int) -> None:
            await decoders.decode(GOOD, "x.png")
            done.append(index)
            if index < 3:  # asks again, behind all who wait
                await decoders.decode(GOOD, "x.png")
                done.append(index + 10)

        await asyncio.gather(*(ask(index) for index in range(6)))
        return done

    assert using(Decoders(), work) == [0, 1, 2, 3, 4, 5, 10, 11, 12]


def test_cancellation_leaves_the_line_in_order() -> None:
    other = HONEST["L.png"]

    async def work(decoders: Decoders) -> None:
        for delay in (0.0, 0.001, 0.1):
            asked = [asyncio.create_task(decoders.decode(GOOD, "nap")) for _ in range(2)]
            await asyncio.sleep(delay)
            for task in asked:  # one is with the child, one waits for its turn
                task.cancel()
            picture = (await decoders.decode(other, "other.png")).picture
            np.testing.assert_array_equal(picture.pixels, decode(other).pixels)
            assert picture.name == "other.png"
            assert all(task.cancelled() for task in asked)
        assert not decoders.replaced

    using(Hooked(), work)


def test_a_cancelled_decode_that_is_refused_later_disturbs_nobody() -> None:
    async def work(decoders: Decoders) -> None:
        complaints: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, said: complaints.append(said))
        task = asyncio.create_task(decoders.decode(b"no image", "nap"))
        await asyncio.sleep(0.1)
        task.cancel()
        await decoders.decode(GOOD, "x.png")
        assert complaints == []

    using(Hooked(), work)


def test_children_that_do_not_start_give_one_clear_error() -> None:
    decoders = Broken(2)
    with pytest.raises(NoDecoder, match="no image decoder starts \\(exit status 7\\)"):
        using(decoders, lambda d: d.decode(GOOD, "x.png"))
    assert decoders.starts == 2


def test_children_that_start_no_more_are_tried_once_for_each_request() -> None:
    class Failing(Hooked):
        starts = 0

        def command(self) -> list[str]:
            self.starts += 1
            good = super().command()
            return good if self.starts == 1 else [sys.executable, "-c", "raise SystemExit(7)"]

    async def work(decoders: Decoders) -> None:
        with pytest.raises(UnreadableImage, match="SIGSEGV"):
            await decoders.decode(GOOD, "SIGSEGV")
        for _ in range(3):
            with pytest.raises(NoDecoder, match="exit status 7"):
                await decoders.decode(GOOD, "x.png")

    decoders = Failing()
    using(decoders, work)
    assert decoders.starts == 1 + 1 + 3


def test_closing_leaves_no_process_and_no_descriptor() -> None:
    async def work(decoders: Decoders) -> list[int]:
        asked = asyncio.create_task(decoders.decode(GOOD, "spin"))
        waiting = asyncio.create_task(decoders.decode(GOOD, "x.png"))
        with pytest.raises(UnreadableImage):
            await decoders.decode(GOOD, "SIGSEGV")
        pids = decoders.pids
        await decoders.close()
        with pytest.raises(NoDecoder, match="closed"):
            await asked
        await asyncio.gather(waiting, return_exceptions=True)
        with pytest.raises(NoDecoder, match="closed"):
            await decoders.decode(GOOD, "x.png")
        assert len(pids) >= 2
        return [pid for pid in pids if Path(f"/proc/{pid}").exists()]

    before = len(list(Path("/proc/self/fd").iterdir()))
    assert using(Hooked(3), work) == []  # one is busy, one is being replaced, one is idle
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.skipif(sys.platform != "linux", reason="Linux kills a child with its parent")
@pytest.mark.parametrize("name", ["idle", "spin"])
def test_parent_killed_child_gone(name: str, tmp_path: Path) -> None:
    """Also while the child is busy and does not look at its line."""
    work = "asyncio.sleep(60)" if name == "idle" else "decoders.decode(GOOD, 'spin')"
    code = (
        "import asyncio, sys; sys.path[:0] = ['tests']\n"
        "from misbehaving import GOOD, Hooked\n"
        "async def run():\n"
        "    async with Hooked(seconds=60) as decoders:\n"
        "        print(*decoders.pids, flush=True)\n"
        f"        await {work}\n"
        "asyncio.run(run())\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        time.sleep(0.2)
        assert alive(child)
        parent.kill()
    end = time.monotonic() + 5
    while alive(child) and time.monotonic() < end:
        time.sleep(0.01)
    assert not alive(child)
