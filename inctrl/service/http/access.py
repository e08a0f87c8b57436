"""Who is let in: a bearer token, or the session of somebody who logged in with one."""

import hashlib
import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Collection
from functools import partial

import anyio
import anyio.to_thread
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from inctrl.errors import Busy
from inctrl.service.http.login import COOKIE, Sessions, answer_login, answer_logout
from inctrl.service.http.problems import send_problem
from inctrl.service.http.tokens import Check

OPEN = frozenset({"/livez", "/readyz"})
CHALLENGE = 'Bearer realm="inctrl"'
CLIENTS = 4096
WAITING = 16


class Tokens:
    """ASGI middleware: 401 `token_needed` for all that is not open; a page is sent to /login.

    verify   whether a token is good, as `TokenFile.check`; slow. None: everybody is let in
    """

    def __init__(
        self, app: ASGIApp, verify: Check | None, *, open_paths: Collection[str] = OPEN
    ) -> None:
        self.app = app
        self.attempts = None if verify is None else Attempts(verify)
        self.sessions = Sessions()
        self.open_paths = frozenset(open_paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        wanted = scope["type"] in ("http", "websocket")
        if self.attempts is None or not wanted or scope["path"] in self.open_paths:
            await self.app(scope, receive, send)
            return
        try:
            if scope["type"] == "http" and scope["path"] == "/login":
                verify = partial(self.attempts.verify, client=client(scope))
                await answer_login(scope, receive, send, verify, self.sessions)
            elif scope["type"] == "http" and scope["path"] == "/logout":
                await answer_logout(scope, receive, send, self.sessions)
            elif await self._is_let_in(scope, self.attempts):
                await self.app(scope, receive, send)
            else:
                await _refuse(scope, send)
        except TooManyAttempts as error:
            headers = {"retry-after": str(math.ceil(error.retry_after))}
            await send_problem(scope, send, 429, "too_many_attempts", str(error), headers)

    async def _is_let_in(self, scope: Scope, attempts: "Attempts") -> bool:
        given = Headers(scope=scope).getlist("authorization")
        if given:
            scheme, _, token = given[0].partition(" ")
            is_bearer = len(given) == 1 and scheme.lower() == "bearer"
            return is_bearer and await attempts.verify(token.strip(), client(scope))
        return self.sessions.holds(HTTPConnection(scope).cookies.get(COOKIE, ""))


class TooManyAttempts(Busy):
    """Wrong tokens came too often."""


class Attempts:
    """Checks tokens off the event loop, one at a time, and not for whoever keeps guessing.

    tries   wrong tokens that a client may send in `per` seconds; a client is an address, or the
            /64 network of an IPv6 address
    """

    def __init__(self, check: Check, *, tries: int = 5, per: float = 60.0) -> None:
        self._check = check
        self._tries = tries
        self._per = per
        self._known: set[bytes] = set()  # hashes of tokens that were right; as many as there are
        self._failed: OrderedDict[str, list[float]] = OrderedDict()
        self._one = anyio.CapacityLimiter(1)

    async def verify(self, token: str, client: str) -> bool:
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        if digest in self._known:
            return True
        now = time.monotonic()
        failed = [moment for moment in self._failed.get(client, ()) if moment > now - self._per]
        if len(failed) >= self._tries:
            wait = failed[0] + self._per - now
            raise TooManyAttempts(f"too many wrong tokens; wait {math.ceil(wait)} s", wait)
        if self._one.statistics().tasks_waiting >= WAITING:
            raise TooManyAttempts("too many tokens are being checked; try again soon")
        # Counted before the check: a thousand at once are not a thousand checks.
        self._failed[client] = [*failed, now]
        self._failed.move_to_end(client)
        while len(self._failed) > CLIENTS:
            self._failed.popitem(last=False)
        right = await anyio.to_thread.run_sync(self._check, token, limiter=self._one)
        if right:
            self._known.add(digest)
            self._failed.pop(client, None)
        return right


def client(scope: Scope) -> str:
    """The address whose attempts count together."""
    host = (scope.get("client") or ("",))[0]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return str(host)
    if address.version == 6:
        return str(ipaddress.ip_network((address.packed, 64), strict=False))
    return str(address)


async def _refuse(scope: Scope, send: Send) -> None:
    headers = Headers(scope=scope)
    is_page = (
        scope["type"] == "http"
        and scope["method"] in ("GET", "HEAD")
        and not scope["path"].startswith(("/v1/", "/gradio_api/", "/metrics"))
        and "text/html" in headers.get("accept", "")
        and "authorization" not in headers
    )
    if is_page:
        location = [(b"location", b"/login"), (b"content-length", b"0")]
        fresh = [(b"cache-control", b"no-store")]
        await send({"type": "http.response.start", "status": 303, "headers": location + fresh})
        await send({"type": "http.response.body", "body": b""})
        return
    wrong = "authorization" in headers
    challenge = CHALLENGE + (', error="invalid_token"' if wrong else "")
    detail = "this token is not known" if wrong else "send a token: Authorization: Bearer <token>"
    code = "wrong_token" if wrong else "token_needed"
    await send_problem(scope, send, 401, code, detail, {"www-authenticate": challenge})
