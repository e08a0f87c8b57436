"""One decoding child as its parent sees it: a process, a line to it, replies that are checked.

Whoever broke into the child speaks through it, so a reply is a stranger's word too: a size, type
or text that `inctrl.decoding.decode` could not have given counts as the child's death.
"""

import asyncio
import json
import math
import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inctrl.decoding import MIN_SIDE
from inctrl.service.sandbox.decoder import HEADER, MAGIC, READY, message

MAX_HEAD = 65_536
MAX_NOTES = 16
MAX_FRAMES = 2**32
CHANNELS = {"uint8": (3,), "uint16": (), "int32": (), "float32": ()}
"""Types that a decoded image may have -> the shape of one pixel."""
PATIENCE = 1.0
"""Seconds for a child that closed its line to say how it ended."""
LINE_BYTES = 1_000_000
"""On their way at most: fewer turns between the two processes for a large picture."""
NONSENSE = "it gave an impossible answer"


class Death(Exception):
    """A child has ended or talks nonsense; says how."""


@dataclass(frozen=True, eq=False)
class Reply:
    """Pixels and notes, or why there are none; images in the file; seconds spent in the child."""

    pixels: NDArray[np.generic] | None
    notes: tuple[str, ...]
    refused: str
    memory: bool
    frames: int
    seconds: float


@dataclass(frozen=True)
class _Head:
    """What a head announces, checked."""

    dtype: str
    shape: tuple[int, ...]
    notes: tuple[str, ...]
    refused: str
    memory: bool
    frames: int
    seconds: float


class DecoderProcess:
    """A process started with `command`; asked one thing at a time."""

    def __init__(self, command: list[str]) -> None:
        self._line, theirs = socket.socketpair()
        self._asked = READY
        for end in (self._line, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, LINE_BYTES)
        try:
            with theirs:
                self._process = subprocess.Popen(  # noqa: S603  our own interpreter
                    command,
                    stdin=theirs.fileno(),
                    stdout=theirs.fileno(),
                    env=environment(),
                    cwd="/",
                    start_new_session=True,
                )
        except BaseException:
            self._line.close()
            raise
        self._line.setblocking(False)

    @property
    def pid(self) -> int:
        return self._process.pid

    async def ready(self) -> None:
        """Wait until it can decode."""
        await self._head(READY)

    async def ask(self, data: bytes, name: str, frame: int | None, pixels: int) -> Reply:
        """Its reply to one image of a file; if this is cut short, it is of no further use."""
        loop = asyncio.get_running_loop()
        self._asked = self._asked % 0xFFFF_FFFF + 1
        try:
            request = message(self._asked, {"name": name, "frame": frame}, len(data))
            await loop.sock_sendall(self._line, request)
            await loop.sock_sendall(self._line, data)
        except OSError:
            raise Death(await self._epitaph()) from None
        text, body = await self._head(self._asked)
        head = _checked(text, body, pixels)
        values = await self._take(body)
        decoded = values.view(head.dtype).reshape(head.shape) if body else None
        return Reply(decoded, head.notes, head.refused, head.memory, head.frames, head.seconds)

    def usable(self) -> bool:
        """Whether it lives and has nothing left to say, which would be taken for the next reply."""
        try:
            self._line.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def kill(self) -> None:
        self._process.kill()

    async def end(self) -> None:
        """Kill it if it still lives, and take its exit status: no zombie stays."""
        self.kill()
        self._line.close()
        while self._process.poll() is None:
            await asyncio.sleep(0.002)

    async def _head(self, number: int) -> tuple[bytes, int]:
        """The head of the reply to this request, and the bytes of the body behind it."""
        magic, answered, size, body = HEADER.unpack((await self._take(HEADER.size)).data)
        if magic != MAGIC or answered != number or size > MAX_HEAD:
            raise Death(NONSENSE)
        return (await self._take(size)).tobytes(), body

    async def _take(self, size: int) -> NDArray[np.uint8]:
        """So many bytes off the line, into the memory in which they stay."""
        values = np.empty(size, np.uint8)
        view, taken = values.data, 0
        loop = asyncio.get_running_loop()
        while taken < size:
            try:
                got = await loop.sock_recv_into(self._line, view[taken : taken + LINE_BYTES])
            except OSError:
                got = 0
            if not got:
                raise Death(await self._epitaph())
            taken += got
            await asyncio.sleep(0)  # a line that is always full must not hold up the loop
        return values

    async def _epitaph(self) -> str:
        """How it ended."""
        end = asyncio.get_running_loop().time() + PATIENCE
        while self._process.poll() is None and asyncio.get_running_loop().time() < end:
            await asyncio.sleep(0.002)
        status = self._process.returncode
        if status is None:
            return "it hung up"
        if status >= 0:
            return f"exit status {status}"
        known = {int(one): one.name for one in signal.Signals}
        return known.get(-status, f"signal {-status}")


def environment() -> dict[str, str]:
    """Nothing of ours (tokens, proxies) but where our packages are; one thread."""
    root = str(Path(__file__).resolve().parents[3])
    packages = [str(Path(entry or os.curdir).absolute()) for entry in sys.path]
    kept = {key: os.environ[key] for key in ("LD_LIBRARY_PATH",) if key in os.environ}
    return {
        **kept,
        "PYTHONPATH": os.pathsep.join([*packages, root]),
        "PYTHONNOUSERSITE": "1",  # where it counts, it is among the packages
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }


def _checked(text: bytes, body: int, limit: int) -> _Head:
    """The head of a reply, if `decode` could have given it for an image of up to `limit` pixels."""
    try:
        head = json.loads(text)
        seconds, frames = head.get("seconds", 0.0), head.get("frames", 1)
        if type(frames) is not int or not 0 < frames <= MAX_FRAMES:
            raise Death(NONSENSE)
        if not (isinstance(seconds, float) and 0 <= seconds < math.inf):
            raise Death(NONSENSE)
        if "dtype" not in head:
            refused, memory = _printable(head.get("refused", "")), head.get("memory") is True
            if body or bool(refused) == memory:
                raise Death(NONSENSE)
            return _Head("", (), (), refused, memory, frames, seconds)
        dtype, shape, notes = head["dtype"], tuple(head["shape"]), tuple(head["notes"])
        height, width, *channels = shape
        possible = (
            all(type(side) is int for side in shape)
            and min(height, width) >= MIN_SIDE
            and height * width <= limit
            and tuple(channels) == CHANNELS[dtype]
            and body == math.prod(shape) * np.dtype(dtype).itemsize
            and len(notes) <= MAX_NOTES
        )
        if not possible:
            raise Death(NONSENSE)
        return _Head(dtype, shape, tuple(map(_printable, notes)), "", False, frames, seconds)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise Death(NONSENSE) from None


def _printable(text: Any) -> str:
    """One line that no terminal and no log takes for more."""
    if not isinstance(text, str):
        raise Death(NONSENSE)
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
