"""Logging in by a browser: a page with one field, and a session in a cookie."""

import hashlib
import secrets
import time
from collections import OrderedDict
from urllib.parse import parse_qs

from starlette.requests import HTTPConnection
from starlette.responses import HTMLResponse, Response
from starlette.types import Receive, Scope, Send

from inctrl.service.http.problems import send_problem
from inctrl.service.http.tokens import Check

COOKIE = "inctrl_session"
HOURS = 12
MOST = 1024
LARGEST_FORM = 4096

POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Log in - inctrl</title>
<style>
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 22rem; margin: 15vh auto; padding: 0 1rem; }
input, button { font: inherit; box-sizing: border-box; width: 100%; min-height: 44px; }
button { margin-top: 1rem; }
p[role=alert] { border-left: .3rem solid #c62828; padding-left: .6rem; }
</style>
<main>
<h1>inctrl</h1>
{alert}<form method="post" action="/login">
<label for="token">Access token</label>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus>
<button>Log in</button>
</form>
</main>
</html>
"""


class Sessions:
    """Who is logged in, in memory: a restart ends all sessions. Only hashes of ids are kept."""

    def __init__(self, seconds: float = HOURS * 3600) -> None:
        self.seconds = seconds
        self._ends: OrderedDict[bytes, float] = OrderedDict()

    def open(self) -> str:
        """A new id of 256 random bits."""
        identity = secrets.token_urlsafe(32)
        self._ends[_digest(identity)] = time.monotonic() + self.seconds
        while len(self._ends) > MOST:
            self._ends.popitem(last=False)
        return identity

    def holds(self, identity: str) -> bool:
        return self._ends.get(_digest(identity), 0.0) > time.monotonic()

    def close(self, identity: str) -> None:
        self._ends.pop(_digest(identity), None)


async def answer_login(
    scope: Scope, receive: Receive, send: Send, verify: Check, sessions: Sessions
) -> None:
    """The page, or the session for a right token. It leads to `/` and nowhere else."""
    if scope["method"] in ("GET", "HEAD"):
        await _page(200)(scope, receive, send)
        return
    if scope["method"] != "POST":
        headers = {"allow": "GET, HEAD, POST"}
        await send_problem(scope, send, 405, "method_not_allowed", "use GET or POST", headers)
        return
    token = await _token(receive)
    if token is None or not verify(token):
        await _page(401, "This token is not known.")(scope, receive, send)
        return
    reply = redirect("/")
    reply.set_cookie(
        COOKIE,
        sessions.open(),
        max_age=int(sessions.seconds),
        secure=scope["scheme"] == "https",
        httponly=True,
        samesite="strict",
    )
    await reply(scope, receive, send)


async def answer_logout(scope: Scope, receive: Receive, send: Send, sessions: Sessions) -> None:
    """Ends the session; only for POST, which no foreign page can send."""
    if scope["method"] != "POST":
        headers = {"allow": "POST"}
        await send_problem(scope, send, 405, "method_not_allowed", "use POST", headers)
        return
    sessions.close(HTTPConnection(scope).cookies.get(COOKIE, ""))
    reply = redirect("/login")
    reply.delete_cookie(COOKIE, httponly=True, samesite="strict")
    await reply(scope, receive, send)


async def _token(receive: Receive) -> str | None:
    """The field `token` of a form; None where the body is no such form."""
    body = b""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        if len(body) > LARGEST_FORM:
            return None
        if not message.get("more_body", False):
            break
    try:
        values = parse_qs(body.decode("latin-1"), max_num_fields=8).get("token", [])
    except ValueError:
        return None
    return values[0].strip() if len(values) == 1 else None


def _page(status: int, fault: str = "") -> Response:
    alert = f'<p role="alert">{fault}</p>\n' if fault else ""
    headers = {"content-security-policy": POLICY, "cache-control": "no-store"}
    return HTMLResponse(PAGE.replace("{alert}", alert), status, headers)


def redirect(path: str) -> Response:
    return Response(status_code=303, headers={"location": path, "cache-control": "no-store"})


def _digest(identity: str) -> bytes:
    return hashlib.sha256(identity.encode()).digest()
