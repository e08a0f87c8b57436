"""A child's word is not trusted, and there is little that it may do."""

import asyncio
import os
import resource
import struct
import subprocess
import sys

import pytest
from misbehaving import (
    GOOD,
    Hooked,
    Scripted,
    using,
)

from inctrl.errors import UnreadableImage
from inctrl.service.sandbox.decoding import Decoders


def reply(head: bytes, body: int = 0, number: int = 1, magic: bytes = b"icd1") -> bytes:
    return struct.pack("<4sIIQ", magic, number, len(head), body) + head


SMALL = b'{"dtype": "uint8", "shape": [8, 8, 3], "notes": [], "seconds": 0.1}'


@pytest.mark.parametrize(
    "says",
    [
        reply(SMALL, 192, magic=b"evil"),
        reply(SMALL, 192, number=2),
        reply(SMALL, 191),
        reply(SMALL, 2**63),
        reply(SMALL.replace(b"uint8", b"object"), 192),
        reply(SMALL.replace(b"uint8", b"uint16"), 384),
        reply(SMALL.replace(b"8, 8, 3", b"-8, -8, 3"), 192),
        reply(SMALL.replace(b"8, 8, 3", b"2, 32, 3"), 192),
        reply(SMALL.replace(b"8, 8, 3", b"8, 24"), 192),
        reply(SMALL.replace(b"8, 8, 3", b"8.0, 8, 3"), 192),
        reply(SMALL.replace(b"8, 8, 3", b"8, 8, 3.0"), 192),
        reply(SMALL.replace(b"8, 8, 3", b"100000, 100000, 3"), 30_000_000_000),
        reply(SMALL.replace(b"[]", b"[1]"), 192),
        reply(SMALL.replace(b"[]", b"[" + b'"x",' * 20 + b'"x"]'), 192),
        reply(SMALL.replace(b"0.1", b"NaN"), 192),
        reply(SMALL.replace(b"0.1", b"-1.0"), 192),
        reply(b"[" * 60_000),
        reply(b"[]"),
        reply(b"{}"),
        reply(b'{"refused": 1}'),
        reply(b'{"refused": "no", "memory": true}'),
        reply(b'{"refused": "no"}', 8),
        struct.pack("<4sIIQ", b"icd1", 1, 2**32 - 1, 0),
    ],
    ids=lambda says: repr(says[20:70]),
)
def test_nonsense_from_a_child_is_its_death(says: bytes) -> None:
    async def work(decoders: Decoders) -> str:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with pytest.raises(UnreadableImage) as caught:
            await decoders.decode(GOOD, "x.png")
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < before + 100_000
        return str(caught.value)

    decoders = Scripted()
    decoders.says = says + bytes(192)
    assert "impossible answer" in using(decoders, work)
    assert decoders.replaced == {"death": 1}


def test_a_sound_reply_of_the_same_kind_is_taken() -> None:
    """Without this the cases above could be refused for any reason."""
    decoders = Scripted()
    decoders.says = reply(SMALL, 192) + bytes(range(192))
    picture = using(decoders, lambda d: d.decode(GOOD, "x.png")).picture
    assert picture.pixels.tobytes() == bytes(range(192))


def test_a_child_that_says_more_than_it_was_asked_is_not_asked_again() -> None:
    async def work(decoders: Decoders) -> None:
        await decoders.decode(GOOD, "x.png")
        await asyncio.sleep(0.05)
        await decoders.decode(GOOD, "x.png")  # number 1 again: a new child gave it

    decoders = Scripted()
    decoders.says = reply(SMALL, 192) + bytes(192) + b"!"
    using(decoders, work)
    assert decoders.replaced == {"death": 1}


def test_control_characters_in_a_refusal_are_spelt_out() -> None:
    decoders = Scripted()
    decoders.says = reply(b'{"refused": "a\\nb\\u001b[31m\\u2028"}')
    with pytest.raises(UnreadableImage, match=r"^a\\nb\\x1b\[31m\\u2028$"):
        using(decoders, lambda d: d.decode(GOOD, "x.png"))


# What a child may do


def test_a_child_can_open_no_file_and_no_socket_and_knows_no_secrets() -> None:
    async def work(decoders: Decoders) -> dict[str, str]:
        said = {}
        for name in ("file", "socket", "environment", "limits"):
            with pytest.raises(UnreadableImage) as caught:
                await decoders.decode(GOOD, name)
            said[name] = str(caught.value)
        return said

    os.environ["INCTRL_SECRET"] = "x"  # noqa: S105
    try:
        said = using(Hooked(memory=900_000_000), work)
    finally:
        del os.environ["INCTRL_SECRET"]
    assert said["file"] == said["socket"] == "OSError 24"  # too many open files: none is allowed
    assert set(said["environment"].split()) <= {
        *("PYTHONPATH", "PYTHONNOUSERSITE", "PYTHONDONTWRITEBYTECODE", "LC_CTYPE"),
        *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "LD_LIBRARY_PATH"),
    }
    assert said["limits"] == str([(900_000_000,) * 2, *[(0, 0)] * 4])


def test_a_child_loads_no_model_and_no_server() -> None:
    code = "import sys, inctrl.service.sandbox.decoder; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
    tops = {name.split(".")[0] for name in loaded.decode().split()}
    assert not tops & {"torch", "fastapi", "starlette", "gradio", "pydantic", "asyncio", "pickle5"}
    assert {"inctrl", "numpy", "PIL"} <= tops
