"""Decoders whose children misbehave when asked to, and what tests ask of decoders."""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TypeVar

import hostile
import numpy as np
import pytest

from inctrl.errors import UnreadableImage
from inctrl.service.sandbox.decoding import Decoders

T = TypeVar("T")
HONEST = hostile.honest(np.random.default_rng(0))
GOOD = HONEST["RGB.png"]
QUICK = 2.0
"""Seconds within which harm is refused."""

# A child that misbehaves when it is given certain names; only these tests know it.
HOOKS = """
import os, resource, signal, socket, sys, time
from inctrl.service.sandbox import decoder
real = decoder.decode
def attempt(act):
    try: act()
    except OSError as error: return type(error).__name__ + " " + str(error.errno)
    return "allowed"
def decode(data, name, **limits):
    if name.startswith("SIG"): os.kill(os.getpid(), getattr(signal, name))
    if name == "exit": os._exit(3)
    if name == "spin":
        while True: pass
    if name == "nap": time.sleep(0.4)
    if name == "print":
        print("hello"); sys.stdout.flush(); os.write(1, b"hello"); os.write(2, b"hello")
    if name == "greedy": bytearray(2**31)
    if name == "file": raise decoder.UnreadableImage(attempt(lambda: open("/etc/passwd")))
    if name == "socket": raise decoder.UnreadableImage(attempt(socket.socket))
    if name == "environment": raise decoder.UnreadableImage(" ".join(sorted(os.environ)))
    if name == "limits":
        kinds = ("AS", "CORE", "FSIZE", "NOFILE", "NPROC")
        limits = [resource.getrlimit(getattr(resource, "RLIMIT_" + kind)) for kind in kinds]
        raise decoder.UnreadableImage(str(limits))
    return real(data, name, **limits)
decoder.decode = decode
decoder.main()
"""


class Hooked(Decoders):
    """Decoders whose children know the names above."""

    def command(self) -> list[str]:
        return [sys.executable, "-P", "-c", HOOKS, *super().command()[4:]]


class Scripted(Decoders):
    """Decoders whose children say READY, and then `says` to each request."""

    says = b""

    def command(self) -> list[str]:
        script = (
            "import sys; from inctrl.service.sandbox.decoder import HEADER, READY, message\n"
            "out = sys.stdout.buffer; out.write(message(READY, {})); out.flush()\n"
            "while header := sys.stdin.buffer.read(HEADER.size):\n"
            "    sys.stdin.buffer.read(sum(HEADER.unpack(header)[2:]))\n"
            f"    out.write({self.says!r}); out.flush()\n"
        )
        return [sys.executable, "-P", "-c", script]


class Broken(Decoders):
    """Decoders whose children end before they are ready."""

    starts = 0

    def command(self) -> list[str]:
        self.starts += 1
        return [sys.executable, "-c", "raise SystemExit(7)"]


def using(decoders: Decoders, work: Callable[[Decoders], Awaitable[T]]) -> T:
    """What the work gives, with the decoders open."""

    async def run() -> T:
        async with decoders:
            return await work(decoders)

    return asyncio.run(run())


def refusals(files: Mapping[str, bytes], decoders: Decoders | None = None) -> list[str]:
    """Why files are refused: each in one line that names it, in time; then another is read."""
    decoders = decoders or Decoders()

    async def work(decoders: Decoders) -> list[str]:
        messages = []
        for name, data in files.items():
            started = time.perf_counter()
            with pytest.raises(UnreadableImage) as caught:
                await decoders.decode(data, name)
            assert time.perf_counter() - started < QUICK, name
            messages.append(str(caught.value))
            assert "\n" not in messages[-1]
            assert repr(name) in messages[-1]
        assert (await decoders.decode(GOOD, "good.png")).picture.name == "good.png"
        return messages

    return using(decoders, work)


def refusal(data: bytes, name: str = "harm.png", decoders: Decoders | None = None) -> str:
    """Why one file is refused."""
    return refusals({name: data}, decoders)[0]


def alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
