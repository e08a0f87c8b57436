"""Decoding strangers' images in child processes, which may die in our stead.

async with Decoders(count=2) as decoders:
    decoded = await decoders.decode(data, "part-7.png")

An image that takes too long, takes too much memory or crashes its decoder is refused like any
other unreadable image; its decoder is replaced. Needs POSIX.
"""

import asyncio
import contextlib
import os
import sys
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from inctrl.errors import InctrlError, UnreadableImage
from inctrl.images import Picture
from inctrl.service.sandbox.decoder_process import Death, DecoderProcess, Reply

START_SECONDS = 30.0
"""For a child to say that it is ready; it needs 0.3 on an idle machine."""
MAX_NAME = 1_000
"""Characters of a name that a refusal quotes."""


class NoDecoder(InctrlError):
    """No child could be started: the fault is this machine's, not the image's."""


@dataclass(frozen=True, eq=False)
class Decoded:
    """A picture, and the seconds its decoding took in the child (transport not counted)."""

    picture: Picture
    seconds: float


class Decoders:
    """`count` children; who asks first is served first.

    seconds  for one image, from the moment a child has it
    memory   bytes of address space of a child (an empty one takes 0.12e9)
    pixels   the most that an image may have
    largest  bytes that a file may have
    """

    def __init__(
        self,
        count: int = 1,
        *,
        seconds: float = 5.0,
        memory: int = 1_500_000_000,
        pixels: int = 40_000_000,
        largest: int = 20_000_000,
    ) -> None:
        self.seconds, self.memory = float(seconds), int(memory)
        self.pixels, self.largest = int(pixels), int(largest)
        self.replaced: Counter[str] = Counter()
        """Children replaced so far, by cause: time, memory, death."""
        self._turn = asyncio.Semaphore(count)
        self._idle: list[DecoderProcess | None] = [None] * count
        self._children: set[DecoderProcess] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closed = False

    @property
    def pids(self) -> tuple[int, ...]:
        """The children that there are."""
        return tuple(child.pid for child in self._children)

    async def __aenter__(self) -> "Decoders":
        started = await asyncio.gather(*(self._start() for _ in self._idle), return_exceptions=True)
        for outcome in started:
            if isinstance(outcome, BaseException):
                await self.close()
                raise outcome
        self._idle = [child for child in started if isinstance(child, DecoderProcess)]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End every child; decodes under way are refused."""
        self._closed = True
        for child in self._children:
            child.kill()
        while self._tasks:
            await asyncio.wait(self._tasks)
        await asyncio.gather(*(self._end(child) for child in tuple(self._children)))

    async def decode(self, data: bytes, name: str, frame: int | None = None) -> Decoded:
        """What `inctrl.decoding.decode` makes of a file, or its refusal as UnreadableImage."""
        if len(data) > self.largest:
            raise UnreadableImage(
                f"{name[:MAX_NAME]!r} has {len(data) / 1e6:.1f} MB; "
                f"the limit is {self.largest / 1e6:g}: scale it down"
            )
        await self._turn.acquire()
        # The exchange goes on if the asker is cancelled: its reply has to be taken off the line,
        # and an image that is nearly decoded costs less than another child.
        served = self._spawn(self._serve(data, name, frame))
        outcome: Decoded | InctrlError = await asyncio.shield(served)
        if isinstance(outcome, InctrlError):
            raise outcome
        return outcome

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _serve(self, data: bytes, name: str, frame: int | None) -> Decoded | InctrlError:
        """One file by the child whose turn it is; the turn is handed on, whatever happens."""
        child = self._idle.pop()
        cause, shown = "death", name[:MAX_NAME]
        try:
            if child is not None and not child.usable():
                self.replaced["death"] += 1
                child = await self._renew(child)
            child = child or await self._start()
            async with asyncio.timeout(self.seconds):
                reply = await child.ask(data, shown, frame, self.pixels)
            cause = "memory" if reply.memory else ""
            return self._outcome(reply, name, frame)
        except TimeoutError:
            cause = "time"
            return UnreadableImage(
                f"{shown!r} took longer than {self.seconds:g} s to decode; "
                "scale it down or save it as PNG"
            )
        except NoDecoder as error:
            child, cause = None, ""
            return error
        except Death as death:
            if self._closed:
                cause = ""
                return self._none()
            return UnreadableImage(
                f"{shown!r} ended its decoder ({death}); export it again as PNG or JPEG"
            )
        finally:
            if cause and child is not None:
                child.kill()
                self.replaced[cause] += 1
                self._spawn(self._replace(child))
            else:
                self._hand_on(child)

    def _outcome(self, reply: Reply, name: str, frame: int | None) -> Decoded | InctrlError:
        if frame is not None and reply.frames > 1:
            name = f"{name}#{frame}"
        if reply.memory:
            return UnreadableImage(
                f"{name[:MAX_NAME]!r} takes more than {self.memory / 1e6:.0f} MB to decode; "
                "scale it down or cut it into parts"
            )
        if reply.pixels is None:
            refusal = UnreadableImage(reply.refused)
            refusal.name, refusal.frames = name, reply.frames
            return refusal
        reply.pixels.flags.writeable = False
        return Decoded(Picture(reply.pixels, name, reply.notes, reply.frames), reply.seconds)

    @staticmethod
    def _none() -> NoDecoder:
        return NoDecoder("the image decoders are closed; send it again when the service is back")

    def _hand_on(self, child: DecoderProcess | None) -> None:
        self._idle.append(child)
        self._turn.release()

    async def _replace(self, child: DecoderProcess) -> None:
        """Another child in its place; where none starts, the next asker tries, once."""
        successor = None
        try:
            with contextlib.suppress(NoDecoder):
                successor = await self._renew(child)
        finally:
            self._hand_on(successor)

    async def _renew(self, child: DecoderProcess) -> DecoderProcess:
        await self._end(child)
        return await self._start()

    async def _start(self) -> DecoderProcess:
        if self._closed:
            raise self._none()
        child = None
        try:
            child = DecoderProcess(self.command())
            self._children.add(child)
            async with asyncio.timeout(START_SECONDS):
                await child.ready()
        except (Death, TimeoutError, OSError) as error:
            if child is not None:
                await self._end(child)
            raise NoDecoder(
                f"no image decoder starts ({str(error) or f'{START_SECONDS:g} s'}); what it says "
                f"is on stderr; it may use {self.memory / 1e6:.0f} MB"
            ) from None
        return child

    async def _end(self, child: DecoderProcess) -> None:
        await child.end()
        self._children.discard(child)

    def command(self) -> list[str]:
        """What a child is started with."""
        limits = {
            "memory": self.memory,
            "pixels": self.pixels,
            "seconds": self.seconds,
            "parent": os.getpid(),
        }
        options = [text for key, value in limits.items() for text in (f"--{key}", str(value))]
        return [sys.executable, "-P", "-m", "inctrl.service.sandbox.decoder", *options]
