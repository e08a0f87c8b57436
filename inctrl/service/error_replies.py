"""What each expected error is called in a reply: status and code."""

import logging
import math
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match

from inctrl import errors
from inctrl.service.engine import Expired
from inctrl.service.http.problems import problem
from inctrl.store import InFlight, KeyReused


class TooLarge(errors.UsageError):
    """A file or a list is longer than the service takes (413)."""


class Outdated(errors.Conflict):
    """What `If-Match` names is not the latest any more (412)."""


class ClientGone(Exception):
    """Nobody waits for the reply any more."""


logger = logging.getLogger("inctrl")

STATUSES: tuple[tuple[type[errors.InctrlError], int, str], ...] = (
    (errors.NotStored, 404, "not_found"),
    (errors.UnreadableImage, 422, "unreadable_image"),
    (TooLarge, 413, "too_large"),
    (KeyReused, 422, "key_reused"),
    (errors.UsageError, 422, "unusable_request"),
    (errors.MissingModel, 422, "missing_model"),
    (errors.MissingData, 422, "missing_data"),
    (errors.ContextMismatch, 409, "context_mismatch"),
    (Outdated, 412, "outdated"),
    (InFlight, 409, "in_flight"),
    (errors.Conflict, 409, "conflict"),
    (Expired, 504, "deadline"),
    (errors.Busy, 503, "busy"),
    (errors.NoSpace, 507, "no_space"),
    (errors.OutputError, 507, "not_writable"),
    (errors.InvalidFile, 503, "damaged"),
)
"""The first that fits counts."""
FIXES: Mapping[errors.Fix, str] = {
    "name an adapter": "name one as 'adapter' (GET /v1/models lists them)",
    "leave the adapter out": "leave 'adapter' out",
    "give normals": "name a set or send shots (detectors 'zeroshot' and 'winclip' need none)",
    "allow the network": "or have the service started with the network allowed",
    "use another cache": "have the service started with another cache",
    "read subfolders": "set 'recursive' to read subfolders",
    "use another store": "have the service started with another store",
    "name a store": "have the service started with a store",
    "name a folder": "have the service started with INCTRL_ADAPTERS set",
    "overwrite": "choose another file",
}
"""What somebody who sends requests can do about an error."""
METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")
CODES = {
    400: "bad_request",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    415: "unsupported_media_type",
}


def refusal(error: errors.InctrlError) -> Response:
    """The reply that tells of an expected error."""
    detail = f"{error}; {FIXES[error.fix]}" if error.fix else str(error)
    for kind, status, code in STATUSES:
        if isinstance(error, kind):
            headers = {}
            if isinstance(error, errors.Busy):
                headers["Retry-After"] = str(max(1, math.ceil(error.retry_after)))
            if isinstance(error, InFlight):
                headers["Retry-After"] = "1"
            return problem(status, code, detail, headers=headers)
    return problem(503, "unavailable", detail)


def add_handlers(app: FastAPI) -> None:
    """Every error of the routes becomes a problem."""

    @app.exception_handler(errors.InctrlError)
    async def expected(_: Request, error: errors.InctrlError) -> Response:
        return refusal(error)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        found = [
            {"field": ".".join(str(part) for part in one["loc"]), "message": _message(one)}
            for one in error.errors()
        ]
        detail = "; ".join(f"{one['field']}: {one['message']}" for one in found[:3])
        # Where a whole object is at fault, each value of it fits, but not with the others.
        at_odds = all(
            one["type"] == "value_error" and isinstance(one["input"], dict)
            for one in error.errors()
        )
        code = "unusable_request" if at_odds else "invalid_request"
        return problem(422, code, detail or "not valid", errors=found)

    @app.exception_handler(ClientGone)
    async def gone(_: Request, __: ClientGone) -> Response:
        return Response(status_code=499)  # for the log and the counters; nobody reads it

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        if isinstance(error.__cause__, errors.InctrlError):
            return refusal(error.__cause__)
        code = CODES.get(error.status_code, "refused")
        headers = dict(error.headers or {})
        if error.status_code == 405:
            headers["Allow"] = ", ".join(_methods(request))
        return problem(error.status_code, code, str(error.detail), headers=headers)

    @app.exception_handler(Exception)
    async def bug(_: Request, error: Exception) -> Response:
        logger.error("bug: %s: %s", type(error).__name__, error, exc_info=error)
        return problem(500, "bug", "the service failed; its log says why")


def _message(found: Mapping[str, Any]) -> str:
    """What is wrong with a field, in pydantic's words where there are none better."""
    given = found.get("input")
    unfit = found["type"] == "string_pattern_mismatch" and found["loc"][-1] in ("set", "name")
    if unfit and isinstance(given, str) and "@" in given:
        return "name the set as NAME, without @VERSION"
    return str(found["msg"])


def _methods(request: Request) -> list[str]:
    """What may be done with a path; the route that refused knows of its own methods only."""

    def takes(method: str) -> bool:
        asked = {**request.scope, "method": method}
        return any(route.matches(asked)[0] is Match.FULL for route in request.app.router.routes)

    return [method for method in METHODS if takes(method)]
