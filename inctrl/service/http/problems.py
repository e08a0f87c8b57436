"""Errors as `application/problem+json` (RFC 9457), wherever in the service they arise."""

import json
import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

MEDIA_TYPE = "application/problem+json"
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
# 'a folder/with spaces/file', then a path that stands free. A path of the service itself is a
# fact that the client knows; it begins with a version.
QUOTED_PATH = re.compile(r"""(["'])(?:[A-Za-z]:)?[/\\](?!v\d+[/\\])(?:[^"']*[/\\])?([^"'/\\]*)\1""")
FREE_PATH = re.compile(
    r"(?<![\w.:/])(?:/(?!v\d+/)|[A-Za-z]:\\)(?:[^\s/\\\"']+[/\\])+([^\s/\\\"']*)"
)


class Problem(Response):
    """A reply of RFC 9457; the request's path and id are filled in when it is sent."""

    media_type = MEDIA_TYPE

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        headers: Mapping[str, str] | None = None,
        errors: Sequence[Mapping[str, object]] = (),
    ) -> None:
        self.members: dict[str, object] = {
            "type": "about:blank",
            "title": _title(status),
            "status": status,
            "detail": spoken(detail),
            "code": code,
        }
        if errors:
            self.members["errors"] = [_spoken_all(error) for error in errors]
        super().__init__(_encoded(self.members), status, headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        where: dict[str, object] = {"instance": CONTROL.sub(" ", scope.get("path", ""))}
        if request_id := scope.get("state", {}).get("request_id"):
            where["request_id"] = request_id
        self.body = _encoded(self.members | where)
        self.headers["content-length"] = str(len(self.body))
        await super().__call__(scope, receive, send)


def problem(
    status: int,
    code: str,
    detail: str,
    *,
    headers: Mapping[str, str] | None = None,
    errors: Sequence[Mapping[str, object]] = (),
) -> Problem:
    """An error reply.

    code    what a program acts on, in lower_case; it never changes
    detail  one line for a person; paths of the machine and control characters are taken out
    errors  what is wrong with each field
    """
    return Problem(status, code, detail, headers, errors)


async def send_problem(
    scope: Scope,
    send: Send,
    status: int,
    code: str,
    detail: str,
    headers: Mapping[str, str] | None = None,
) -> None:
    """Answers a request, or refuses a websocket, from a middleware."""
    if scope["type"] == "websocket" and not _can_deny(scope):
        await send({"type": "websocket.close", "code": 1008, "reason": code})
        return
    await Problem(status, code, detail, headers)(scope, _never, send)


def spoken(text: str) -> str:
    """The text on one line, without paths of this machine and without a traceback."""
    text = text.split("Traceback (most recent call last)", 1)[0]
    text = CONTROL.sub(" ", text).strip() or "no details"
    return FREE_PATH.sub(r"\1", QUOTED_PATH.sub(r"\1\2\1", text))


def _spoken_all(value: object) -> object:
    if isinstance(value, str):
        return spoken(value)
    if isinstance(value, Mapping):
        return {str(name): _spoken_all(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_spoken_all(part) for part in value]
    return value


def _title(status: int) -> str:
    if status == 413:  # renamed by RFC 9110; Python has the new phrase from 3.13 on
        return "Content Too Large"
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"


def _encoded(members: Mapping[str, object]) -> bytes:
    # `default`: an odd value inside `errors` must not turn a refusal into a crash.
    text = json.dumps(members, ensure_ascii=False, default=lambda value: spoken(repr(value)))
    return text.encode("utf-8", "replace")


def _can_deny(scope: Scope) -> bool:
    return "websocket.http.response" in scope.get("extensions", {})


async def _never() -> dict[str, object]:
    raise RuntimeError("a problem reads nothing")
