"""What every reply carries: headers that bind the browser, and the request's id.

The outermost layer: it also answers for a crash in any layer below.
"""

import logging
import re
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from inctrl.service.http.problems import send_problem

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

# `no-referrer` would make browsers send `Origin: null` with the form of /login.
FIXED = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": ", ".join(
        f"{feature}=()"
        for feature in ("camera", "display-capture", "geolocation", "microphone", "payment", "usb")
    ),
}
STRICT = "default-src 'none'; frame-ancestors 'none'"
# What Gradio's page was seen to need (Chromium): its configuration is in inline scripts, handlers
# and plots are built from text, elements are styled in place, previews are blobs. All is from here.
PAGE = (
    "default-src 'none'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self'; "
    "connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'self'; "
    "frame-ancestors 'none'"
)


class ReplyHeaders:
    """ASGI middleware: security headers and `X-Request-Id` on every reply, no CORS, no crash.

    The id is at `scope["state"]["request_id"]`. A content security policy or cache rule that
    the app set itself is kept, all others are overwritten.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        request_id = _request_id(Headers(scope=scope))
        scope.setdefault("state", {})["request_id"] = request_id
        started = ended = False

        async def send_marked(message: Message) -> None:
            nonlocal started, ended
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                message = dict(message)
                _mark(message, scope["path"], request_id)
            started = True
            ended = message["type"] == "http.response.body" and not message.get("more_body")
            await send(message)

        try:
            await self.app(scope, receive, send_marked)
        except Exception:
            if ended:
                return  # it was told as a problem and logged; the connection may live on
            if started:
                raise
            logging.getLogger(__name__).exception("request %s failed", request_id)
            detail = "the service failed on this request; its log has the reason under request_id"
            await send_problem(scope, send_marked, 500, "bug", detail)


def _request_id(headers: Headers) -> str:
    given = headers.getlist("x-request-id")
    if len(given) == 1 and REQUEST_ID.fullmatch(given[0]):
        return given[0]
    return uuid.uuid4().hex


def _mark(message: Message, path: str, request_id: str) -> None:
    message["headers"] = [
        (name, value)
        for name, value in message.get("headers", [])
        if not name.lower().startswith(b"access-control-") and name.lower() != b"server"
    ]
    headers = MutableHeaders(scope=message)
    headers.update(FIXED)
    headers["x-request-id"] = request_id
    headers.setdefault("content-security-policy", _policy(path, headers.get("content-type", "")))
    if path == "/v1" or path.startswith("/v1/"):
        headers.setdefault("cache-control", "no-store")


def _policy(path: str, content_type: str) -> str:
    """The page's policy for pages, else the strict one.

    What users uploaded comes from below `/gradio_api` or `/v1`: never with rights of a page.
    """
    if path.startswith("/v1/") or "/gradio_api/" in path:
        return STRICT
    kind = content_type.split(";")[0].strip().lower()
    return PAGE if kind == "text/html" else STRICT
