"""Who may talk to the service: allow-lists of hosts and origins.

The host list stops DNS rebinding, the origin list stops foreign pages that post to a service
on the user's machine. Both hold for the routes of Gradio, which has neither. Of the API a foreign
page may not even read: it would learn nothing, but could keep the service at work.
"""

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from inctrl.errors import UsageError
from inctrl.service.http.problems import send_problem

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
API = "/v1/"
AUTHORITY = re.compile(
    r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::([0-9]{1,5}))?", re.ASCII | re.IGNORECASE
)
DEFAULT_PORT = {"http": 80, "https": 443}
# A proxy's word on which host was meant would go past the list; Gradio builds links from it.
UNTRUSTED = (b"forwarded", b"x-gradio-server")
UNTRUSTED_PREFIX = b"x-forwarded-"


@dataclass(frozen=True)
class Authority:
    """`host[:port]` of a Host header or an origin; `port` is None where it is not written."""

    host: str
    port: int | None

    @classmethod
    def parse(cls, text: str) -> "Authority | None":
        match = AUTHORITY.fullmatch(text)
        if match is None:
            return None
        host, port = match[1].lower(), match[2]
        if host.startswith("["):
            try:
                host = f"[{ipaddress.IPv6Address(host[1:-1])}]"
            except ValueError:
                return None
        if port is not None and not 1 <= int(port) <= 65535:
            return None
        return cls(host, None if port is None else int(port))


@dataclass(frozen=True)
class Origin:
    """`scheme://host[:port]` as browsers send it; the port is always filled in."""

    scheme: str
    authority: Authority

    @classmethod
    def parse(cls, text: str) -> "Origin | None":
        scheme, separator, rest = text.partition("://")
        authority = Authority.parse(rest)
        if not separator or scheme.lower() not in DEFAULT_PORT or authority is None:
            return None
        port = authority.port or DEFAULT_PORT[scheme.lower()]
        return cls(scheme.lower(), Authority(authority.host, port))


class Guard:
    """ASGI middleware: 400 `bad_host` and 403 `foreign_origin`, before anything else is done.

    hosts    names that a request may be addressed to: `localhost`, `[::1]`, or with the one port
             that is meant: `example.org:8000`
    origins  origins of other pages that may call the API: `https://lab.example.org`
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str], origins: Iterable[str] = ()) -> None:
        self.app = app
        self.hosts = frozenset(_parsed_host(host) for host in hosts)
        self.origins = frozenset(_parsed_origin(origin) for origin in origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        host = self._host(headers)
        if host is None:
            detail = (
                "this service is not known under the name in the Host header; "
                "whoever runs it can add the name with --allow-host NAME"
            )
            await send_problem(scope, send, 400, "bad_host", detail)
        elif _is_unsafe(scope) and not self._from_home(headers, host):
            detail = "pages of other origins may not use this service; --allow-origin adds one"
            await send_problem(scope, send, 403, "foreign_origin", detail)
        else:
            trusted = [pair for pair in scope["headers"] if not _is_untrusted(pair[0])]
            await self.app({**scope, "headers": trusted}, receive, send)

    def _host(self, headers: Headers) -> Authority | None:
        """The request's own host, if there is exactly one and it is on the list."""
        given = headers.getlist("host")
        host = Authority.parse(given[0]) if len(given) == 1 else None
        if host is None or not {host, Authority(host.host, None)} & self.hosts:
            return None
        return host

    def _from_home(self, headers: Headers, host: Authority) -> bool:
        given = headers.getlist("origin")
        if not given:
            # Programs send neither header. A browser that hides the origin still tells the site.
            return headers.get("sec-fetch-site", "none") in ("none", "same-origin")
        origin = Origin.parse(given[0]) if len(given) == 1 else None
        if origin is None:
            return False
        own = Authority(host.host, host.port or DEFAULT_PORT[origin.scheme])
        return origin.authority == own or origin in self.origins


def _is_unsafe(scope: Scope) -> bool:
    """Whether it changes something or costs something: all but looking at the page."""
    of_api = scope["path"].startswith(API)
    return scope["type"] == "websocket" or scope["method"] not in SAFE or of_api


def _is_untrusted(name: bytes) -> bool:
    return name in UNTRUSTED or name.startswith(UNTRUSTED_PREFIX)


def _parsed_host(text: str) -> Authority:
    bare = f"[{text}]" if text.count(":") > 1 and not text.startswith("[") else text
    host = Authority.parse(bare)
    if host is None:
        raise UsageError(f"{text!r} is not a host; write a name or address, with or without :port")
    return host


def _parsed_origin(text: str) -> Origin:
    origin = Origin.parse(text)
    if origin is None:
        raise UsageError(f"{text!r} is not an origin; write it like 'https://lab.example.org'")
    return origin
