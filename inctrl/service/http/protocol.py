"""Connections: how many, how slow, and how they end. What ASGI never gets to see.

uvicorn waits without end for a request's head, and for a client to take its reply.
"""

import asyncio
import contextlib
import sys
import uuid
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from inctrl.service.http.headers import FIXED, STRICT
from inctrl.service.http.limits import Limits
from inctrl.service.http.problems import problem

CROWD = 64
"""Connections over the limit that still hear why they are turned away."""
DRAINING = "the service is being stopped; try again when it is back"
RETRY_AFTER = 5
"""Seconds until a service that is being stopped may be back."""


def protocol(limits: Limits) -> type[H11Protocol]:
    """The class for `uvicorn.Config(http=...)`."""
    return type("LimitedProtocol", (GuardedProtocol,), {"limits": limits})


class GuardedProtocol(H11Protocol):
    """HTTP/1.1 that ends connections which do not get on.

    A head must be whole within `head_seconds`, counted from the connection or, on one kept alive,
    from the head's first byte. A client must take its reply. A reply that ends the connection
    while the client is still sending is not lost: see `Lingering`.
    """

    limits: ClassVar[Limits] = Limits()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.conn = h11.Connection(h11.SERVER, self.limits.head_bytes)
        self.timeout_keep_alive = self.limits.keep_alive_seconds
        self._turned_away = False
        self._head: asyncio.TimerHandle | None = None
        self._write: asyncio.TimerHandle | None = None

    @property
    def expecting(self) -> bool:
        """Whether a request may be on its way: a new connection, or a head that has begun."""
        return self._head is not None and not self.transport.is_closing()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        # Only with no slack in the buffer does `pause_writing` tell of every reply that waits.
        transport.set_write_buffer_limits(high=0)
        lingering = Lingering(transport, self.loop, self.limits.discard_seconds, self._is_sending)
        super().connection_made(cast(asyncio.Transport, lingering))
        excess = len(self.connections) - self.limits.connections
        if excess > CROWD:
            transport.abort()
        elif excess > 0:
            self._turned_away = True
            self._answer(503, "too_many_connections", "too many connections; try again soon")
        else:
            self._head = self.loop.call_later(self.limits.head_seconds, self._head_is_late)

    def connection_lost(self, exc: Exception | None) -> None:
        self._unset_head()
        self._unset_write()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if not self.transport.is_closing():
            super().data_received(data)

    def handle_events(self) -> None:
        super().handle_events()
        if self.transport.is_closing() or self.conn.their_state is not h11.IDLE:
            self._unset_head()
        elif self._head is None and self.conn.trailing_data[0]:
            self._head = self.loop.call_later(self.limits.head_seconds, self._head_is_late)

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        self._unset_head()
        super().handle_websocket_upgrade(event)

    def on_response_complete(self) -> None:
        if self.conn.their_state is h11.SEND_BODY:
            # Nobody reads this body any more, and each byte of it would put off the idle timer.
            self.transport.close()
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        # Called where h11 refused; its hint tells a long head (431) from a broken one (400).
        status = getattr(sys.exception(), "error_status_hint", 400)
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            if self.cycle.response_started:
                self.transport.close()
                return
        code = "head_too_large" if status == 431 else "bad_request"
        self._answer(status, code, msg)

    def shutdown(self) -> None:
        if self.transport.is_closing():
            return  # by itself, and soon
        if self.expecting:
            # A slow client reads this where it would find the connection closed without a word.
            self._answer(503, "draining", DRAINING, {"retry-after": str(RETRY_AFTER)})
            return
        with contextlib.suppress(h11.LocalProtocolError):
            super().shutdown()
            return
        self.transport.close()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_write()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._unset_write()

    def _is_sending(self) -> bool:
        state = self.conn.their_state
        in_head = state is h11.IDLE and bool(self.conn.trailing_data[0])
        return self._turned_away or in_head or state in (h11.SEND_BODY, h11.ERROR)

    def _head_is_late(self) -> None:
        self._head = None
        if self.conn.trailing_data[0]:
            detail = f"the head was not whole within {self.limits.head_seconds:g} s"
            self._answer(408, "slow_head", detail)
        else:
            self.transport.close()  # nothing was asked

    def _answer(
        self, status: int, code: str, detail: str, headers: Mapping[str, str] | None = None
    ) -> None:
        """Writes a problem and ends the connection; past h11, which may be in any state."""
        own = {"content-security-policy": STRICT, "x-request-id": uuid.uuid4().hex}
        reply = problem(status, code, detail, headers={**FIXED, **own, **(headers or {})})
        title = str(reply.members["title"])
        lines = [f"HTTP/1.1 {status} {title}".encode(), b"connection: close"]
        lines += [name + b": " + value for name, value in reply.raw_headers]
        self.transport.write(b"\r\n".join([*lines, b"", bytes(reply.body)]))
        self.transport.close()

    def _watch_write(self) -> None:
        waiting = self.transport.get_write_buffer_size()
        self._write = self.loop.call_later(self.limits.write_seconds, self._check_write, waiting)

    def _check_write(self, before: int) -> None:
        if self.transport.get_write_buffer_size() > max(0, before - self.limits.body_step):
            self.transport.abort()
        else:
            self._watch_write()

    def _unset_head(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None

    def _unset_write(self) -> None:
        if self._write is not None:
            self._write.cancel()
            self._write = None


class Lingering:
    """A transport whose `close` lets the client read the reply first.

    Closing a socket with unread bytes resets the connection, and the reset overtakes the reply.
    So where the client is still sending: the end is announced, what comes is thrown away (by the
    protocol, while `is_closing`), and the socket closes with the client or after `seconds`.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        loop: asyncio.AbstractEventLoop,
        seconds: float,
        is_sending: Callable[[], bool],
    ) -> None:
        self._transport = transport
        self._loop = loop
        self._seconds = seconds
        self._is_sending = is_sending
        self._closing = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def is_closing(self) -> bool:
        return self._closing or self._transport.is_closing()

    def close(self) -> None:
        if self._closing:
            return
        if not self._is_sending() or not self._transport.can_write_eof():
            self._transport.close()
            return
        self._closing = True
        self._transport.write_eof()
        if not self._transport.is_reading():
            self._transport.resume_reading()
        self._loop.call_later(self._seconds, self._transport.close)
