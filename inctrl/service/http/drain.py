"""The end of the service: what was taken on is finished, what comes is told, nothing is lost."""

import asyncio
import contextlib
import ctypes
import math
import signal
import socket
import struct
import sys
import time
from collections.abc import Collection
from types import FrameType
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn import Config, Server

from inctrl.service.http.limits import Limits
from inctrl.service.http.problems import send_problem
from inctrl.service.http.protocol import DRAINING, RETRY_AFTER

HEALTH = frozenset({"/livez", "/readyz", "/metrics"})
# The results of work that was taken on before are fetched by a new request.
LATE = "/gradio_api/queue/data"
# A stream that lasts as long as a page is open.
ENDLESS = "/gradio_api/heartbeat/"

LEAST = 0.3
"""Seconds of answering after the signal: what is in the sockets' buffers is read meanwhile."""
HANDSHAKE = 0.2
"""Seconds for handshakes that had begun before the door was shut."""
PATIENCE = 0.5
"""Seconds for the request on a connection that was taken last."""
SO_ATTACH_FILTER = 26
NO_SYN = ((0x30, 0, 0, 13), (0x45, 0, 1, 2), (0x06, 0, 0, 0), (0x06, 0, 0, 0xFFFF_FFFF))
"""A filter of packets (code, jump if true, jump if false, value), from the TCP header on: load the
byte of the flags; where it has SYN, keep nothing of the packet; else keep all."""


class Drain:
    """Whether the service is ending, and how many requests are in flight."""

    def __init__(self) -> None:
        self.draining = False
        self.in_flight = 0

    def enter(self) -> None:
        self.in_flight += 1

    def leave(self) -> None:
        self.in_flight -= 1


class InFlight:
    """ASGI middleware: counts requests; while draining, new ones get 503 `draining`.

    Health and metrics go on being answered and are not counted.
    """

    def __init__(
        self,
        app: ASGIApp,
        drain: Drain,
        *,
        health: Collection[str] = HEALTH,
        retry_after: int = RETRY_AFTER,
    ) -> None:
        self.app = app
        self.drain = drain
        self.health = frozenset(health)
        self.retry_after = retry_after

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if scope["type"] == "lifespan" or path in self.health:
            await self.app(scope, receive, send)
            return
        if self.drain.draining and path != LATE:
            headers = {"retry-after": str(self.retry_after), "connection": "close"}
            await send_problem(scope, send, 503, "draining", DRAINING, headers)
            return
        if scope["type"] == "websocket" or path.startswith(ENDLESS):
            await self.app(scope, receive, send)
            return

        started = False

        async def send_last(message: Message) -> None:
            nonlocal started
            started = True
            if message["type"] == "http.response.start" and self.drain.draining:
                message = {**message, "headers": list(message.get("headers", []))}
                MutableHeaders(scope=message)["connection"] = "close"
            await send(message)

        self.drain.enter()
        try:
            await self.app(scope, receive, send_last)
        except asyncio.CancelledError:
            # It took longer than the end of the service may: the client is told, not cut off.
            if self.drain.draining and not started:
                detail = "the service was stopped before this was done; try again when it is back"
                await send_problem(scope, send_last, 503, "draining", detail)
            raise
        finally:
            self.drain.leave()


class DrainingServer(Server):
    """uvicorn that answers all it has accepted before it ends.

    SIGTERM or SIGINT: `drain.draining` is set and work in flight gets `limits.drain_seconds`.
    A second signal ends the process at once. `clean` says whether all work was finished;
    the process is not ended by the signal, so that its exit code is the caller's.
    """

    def __init__(self, config: Config, drain: Drain, limits: Limits) -> None:
        super().__init__(config)
        self.drain = drain
        self.limits = limits
        self.clean = True
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)

    def handle_exit(self, sig: int, _frame: FrameType | None) -> None:
        if self.should_exit:
            signal.signal(sig, signal.SIG_DFL)
            signal.raise_signal(sig)
        self.should_exit = True
        if self._loop is not None:
            # In the loop's turn: requests that were read before the signal have begun by then.
            self._loop.call_soon_threadsafe(self._begin)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        started = time.monotonic()
        end = started + self.limits.drain_seconds
        self._begin()
        await self._wait_for_work(end)
        await asyncio.sleep(max(0.0, started + LEAST - time.monotonic()))
        await self._stop_listening()
        await self._wait_for_last(min(end, time.monotonic() + PATIENCE))
        await self._wait_for_work(end)
        self.clean = self.drain.in_flight == 0
        await self._end_streams()
        left = max(1, math.ceil(end - time.monotonic())) if self.clean else 1
        self.config.timeout_graceful_shutdown = left
        await super().shutdown(sockets)

    def _begin(self) -> None:
        self.drain.draining = True

    async def _wait_for_work(self, end: float) -> None:
        while self.drain.in_flight and time.monotonic() < end:
            await asyncio.sleep(0.02)

    async def _stop_listening(self) -> None:
        """Closes the listeners when nothing waits in their backlog, which a close would reset."""
        for server in self.servers:
            for listener in server.sockets:
                _refuse_handshakes(listener)
        await asyncio.sleep(HANDSHAKE)
        for server in self.servers:
            server.close()

    async def _wait_for_last(self, end: float) -> None:
        """New connections, and heads that have begun, are still answered."""
        await asyncio.sleep(0.02)  # what was accepted last becomes a connection
        while time.monotonic() < end and any(
            getattr(connection, "expecting", False) for connection in self._connections()
        ):
            await asyncio.sleep(0.02)
        await asyncio.sleep(0)  # a head that was read in this turn is in flight in the next one

    async def _end_streams(self) -> None:
        """What is left are pages that listen, which are hung up on, and those who asked nothing."""
        for connection in self._connections():
            connection.shutdown()
        await asyncio.sleep(0.1)
        if self.clean:
            for connection in self._connections():
                connection.transport.close()

    def _connections(self) -> list[Any]:
        return list(self.server_state.connections)


def _refuse_handshakes(listener: socket.socket) -> None:
    """Makes the kernel drop new handshakes, but keep the connections that it has made.

    Between the last accept and the close a connection could still be made, and would be reset.
    The filter passes on to the connections of handshakes that end later, where it drops nothing:
    only the first packet of a handshake has SYN alone. A minimum of hops (IP_MINTTL) passes on
    too, and made the service deaf to what came on these. Where the system cannot do it, the gap
    stays.
    """
    if sys.platform == "linux":
        code = b"".join(struct.pack("HBBI", *step) for step in NO_SYN)
        held = ctypes.create_string_buffer(code)
        program = struct.pack("HP", len(NO_SYN), ctypes.addressof(held))
        with contextlib.suppress(OSError):
            listener.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)
