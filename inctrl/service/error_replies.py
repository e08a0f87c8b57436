"""What each expected error is called in a reply: status and code."""

import logging
import math
from collections.abc import Mapping

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from inctrl import errors
from inctrl.service import places
from inctrl.service.engine import Expired
from inctrl.service.faults import message
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
        return _invalid(error)

    @app.exception_handler(ClientGone)
    async def gone(_: Request, __: ClientGone) -> Response:
        return Response(status_code=499)  # for the log and the counters; nobody reads it

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        if isinstance(error.__cause__, errors.InctrlError):
            return refusal(error.__cause__)
        if isinstance(error.__cause__, RequestValidationError):
            return _invalid(error.__cause__)
        code = CODES.get(error.status_code, "refused")
        headers, detail = dict(error.headers or {}), str(error.detail)
        if error.status_code == 405:
            allowed = ", ".join(places.methods(request.app.state.routes, request.url.path))
            headers["Allow"], detail = allowed, f"this address takes {allowed}"
        if error.status_code == 404:
            near = places.meant(request.app.state.routes, request.url.path)
            hint = f"did you mean {near}?" if near else "GET /v1/openapi.json lists all there is"
            detail = f"there is nothing at this address; {hint}"
        return problem(error.status_code, code, detail, headers=headers)

    @app.exception_handler(Exception)
    async def bug(_: Request, error: Exception) -> Response:
        logger.error("bug: %s: %s", type(error).__name__, error, exc_info=error)
        return problem(500, "bug", "the service failed; its log says why")


def _invalid(error: RequestValidationError) -> Response:
    """The reply that tells of every field that does not fit."""
    errors = error.errors()
    # A field that two parts of a route read is at fault once.
    faults = list(dict.fromkeys((tuple(map(str, one["loc"])), message(one)) for one in errors))
    found = [{"field": ".".join(where), "message": words} for where, words in faults]
    told = [(where[1:] or where, words) for where, words in faults[:3]]
    detail = "; ".join(f"{'.'.join(where)}: {words}" for where, words in told)
    # Where a whole object is at fault, each value of it fits, but not with the others.
    at_odds = all(one["type"] == "value_error" and isinstance(one["input"], dict) for one in errors)
    code = "unusable_request" if at_odds else "invalid_request"
    return problem(422, code, detail or "not valid", errors=found)
