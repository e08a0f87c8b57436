"""Request bodies: how large, how slow, and what becomes of one that nobody reads."""

import asyncio
import contextlib
import time
from collections.abc import Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from inctrl.service.http.limits import Limits
from inctrl.service.http.problems import send_problem

DISCONNECT: Message = {"type": "http.disconnect"}


class Bodies:
    """ASGI middleware: 413 `too_large` and 408 `slow_body`, whatever the route does.

    Stands outside of every layer that may reply early: what the client is still sending is read
    and thrown away before such a reply starts, else the client meets a reset, not the reply.

    larger   bytes allowed below a path, where they differ: {"/v1/imports": 2_000_000_000}
    """

    def __init__(
        self, app: ASGIApp, limits: Limits, larger: Mapping[str, int] | None = None
    ) -> None:
        self.app = app
        self.limits = limits
        self.larger = dict(larger or {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope) if scope["type"] == "http" else Headers()
        length = headers.get("content-length")
        if "transfer-encoding" not in headers and length in (None, "0"):
            await self.app(scope, receive, send)  # no body can follow
            return
        body = Body(scope, receive, send, self.limits, self._allowed(scope["path"]))
        if length is not None and not (length.isascii() and length.isdigit()):
            await body.refuse(400, "bad_length", "Content-Length is not a number")
        elif length is not None and int(length) > body.allowed:
            await body.refuse_size()
        else:
            await body.run(self.app)

    def _allowed(self, path: str) -> int:
        for prefix, allowed in self.larger.items():
            if path == prefix or path.startswith(prefix + "/"):
                return allowed
        return self.limits.request_bytes


class Body:
    """One request's body: `receive` and `send` as the app sees them."""

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, limits: Limits, allowed: int
    ) -> None:
        self.scope, self.limits, self.allowed = scope, limits, allowed
        self._receive, self._send = receive, send
        # An app may watch for a disconnect while another of its tasks replies.
        self._lock = asyncio.Lock()
        self.size = 0
        self.waited = 0.0
        self.step_size = 0  # bytes and seconds since the body last got on by a whole step
        self.step_waited = 0.0
        self.complete = False
        self.gone = False
        self.replying = False
        self.refused = False
        # A client that waits for `100 Continue` has sent nothing that could be thrown away.
        self.unasked = Headers(scope=scope).get("expect", "").lower() == "100-continue"

    async def run(self, app: ASGIApp) -> None:
        try:
            await app(self.scope, self.receive, self.send)
        except ClientDisconnect:
            if not self.gone and not self.refused:
                raise
        except Exception:
            # The client has its answer; what the app makes of the lost body is a consequence.
            if not self.refused:
                raise

    async def receive(self) -> Message:
        """The next piece; `http.disconnect` once the client is gone, refused or answered."""
        while True:
            async with self._lock:
                if self.gone or self.refused:
                    return DISCONNECT
                if self.complete:
                    break
                if self.replying:
                    await self._read()  # too late to be of use; watched for the disconnect
                elif (message := await self._next()) is not None:
                    return message
        return await self._receive()

    async def send(self, message: Message) -> None:
        if self.refused:
            return
        if message["type"] == "http.response.start" and not self.replying:
            self.replying = True
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.limits.discard_seconds), self._lock:
                    await self._discard()
            message = self._closing(message)
        await self._send(message)

    async def refuse_size(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.limits.discard_seconds):
                await self._discard()
        detail = f"the body is larger than the {self.allowed} bytes that are taken; send less"
        await self.refuse(413, "too_large", detail)

    async def refuse(self, status: int, code: str, detail: str) -> None:
        """Answers in place of the app, whose own reply is then dropped."""
        if self.replying:
            return
        self.refused = self.replying = True

        async def send(message: Message) -> None:
            await self._send(self._closing(message))

        await send_problem(self.scope, send, status, code, detail)

    async def _next(self) -> Message | None:
        """The next piece within the limits; None if the request had to be refused."""
        limits = self.limits
        patience = min(
            limits.body_seconds - self.step_waited, limits.body_total_seconds - self.waited
        )
        started = time.monotonic()
        try:
            async with asyncio.timeout(patience):
                message = await self._read()
        except TimeoutError:
            detail = (
                f"{self.size} bytes of the body have come and the rest is too slow; send at least "
                f"{limits.body_step} bytes every {limits.body_seconds:g} s"
            )
            await self.refuse(408, "slow_body", detail)
            return None
        finally:
            # Only waiting counts, never the app's own work; also when the app gives up waiting.
            self.waited += time.monotonic() - started
            self.step_waited += time.monotonic() - started
        if self.step_size >= limits.body_step:
            self.step_size, self.step_waited = 0, 0.0
        if self.size > self.allowed:
            await self.refuse_size()
            return None
        return message

    async def _read(self) -> Message:
        self.unasked = False
        message = await self._receive()
        if message["type"] != "http.request":
            self.gone = True
            return message
        size = len(message.get("body", b""))
        self.size += size
        self.step_size += size
        self.complete = not message.get("more_body", False)
        return message

    async def _discard(self) -> None:
        end = self.size + self.limits.discard_bytes
        while not (self.complete or self.gone or self.unasked) and self.size < end:
            await self._read()

    def _closing(self, message: Message) -> Message:
        """Says that the connection ends, where the rest of a body would stand in it."""
        if message["type"] == "http.response.start" and not self.complete:
            message = {**message, "headers": list(message.get("headers", []))}
            MutableHeaders(scope=message)["connection"] = "close"
        return message
