"""Who is let in: a bearer token, or the session of somebody who logged in with one."""

from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from inctrl.service.http.login import COOKIE, Sessions, answer_login, answer_logout, redirect
from inctrl.service.http.problems import send_problem
from inctrl.service.http.tokens import Check

OPEN = frozenset({"/livez", "/readyz"})
CHALLENGE = 'Bearer realm="inctrl"'


class Tokens:
    """ASGI middleware: 401 `token_needed` for all that is not open; a page is sent to /login.

    verify   whether a token is good, as `TokenFile.check`. None: everybody is let in
    """

    def __init__(
        self, app: ASGIApp, verify: Check | None, *, open_paths: Collection[str] = OPEN
    ) -> None:
        self.app = app
        self.verify = verify
        self.sessions = Sessions()
        self.open_paths = frozenset(open_paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        wanted = scope["type"] in ("http", "websocket")
        if self.verify is None or not wanted or scope["path"] in self.open_paths:
            await self.app(scope, receive, send)
        elif scope["type"] == "http" and scope["path"] == "/login":
            await answer_login(scope, receive, send, self.verify, self.sessions)
        elif scope["type"] == "http" and scope["path"] == "/logout":
            await answer_logout(scope, receive, send, self.sessions)
        elif self._is_let_in(scope, self.verify):
            await self.app(scope, receive, send)
        else:
            await _refuse(scope, receive, send)

    def _is_let_in(self, scope: Scope, verify: Check) -> bool:
        given = Headers(scope=scope).getlist("authorization")
        if given:
            scheme, _, token = given[0].partition(" ")
            return len(given) == 1 and scheme.lower() == "bearer" and verify(token.strip())
        return self.sessions.holds(HTTPConnection(scope).cookies.get(COOKIE, ""))


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    headers = Headers(scope=scope)
    wrong = "authorization" in headers
    is_page = (
        scope["type"] == "http"
        and scope["method"] in ("GET", "HEAD")
        and not scope["path"].startswith(("/v1/", "/gradio_api/", "/metrics"))
        and "text/html" in headers.get("accept", "")
    )
    if is_page and not wrong:
        await redirect("/login")(scope, receive, send)
        return
    challenge = CHALLENGE + (', error="invalid_token"' if wrong else "")
    detail = "this token is not known" if wrong else "send a token: Authorization: Bearer <token>"
    code = "wrong_token" if wrong else "token_needed"
    await send_problem(scope, send, 401, code, detail, {"www-authenticate": challenge})
