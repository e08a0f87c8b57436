"""From a reply that is no success to the error that a caller can act on."""

from collections.abc import Callable

import httpx2
from pydantic import ValidationError

from inctrl.errors import (
    Busy,
    Conflict,
    ContextMismatch,
    InctrlError,
    InvalidFile,
    MissingData,
    MissingModel,
    NoSpace,
    NotStored,
    OutputError,
    ServiceFailed,
    Unauthorised,
    UnreadableImage,
    UsageError,
)
from inctrl.service.schemas import Problem

PROBLEM = "application/problem+json"
BY_CODE: dict[str, type[InctrlError]] = {
    "unreadable_image": UnreadableImage,
    "missing_model": MissingModel,
    "missing_data": MissingData,
    "context_mismatch": ContextMismatch,
    "damaged": InvalidFile,
    "not_writable": OutputError,
    "unavailable": ServiceFailed,
}
"""Codes that say more than their status."""
BY_STATUS: dict[int, type[InctrlError]] = {
    401: Unauthorised,
    404: NotStored,
    409: Conflict,
    412: Conflict,
    503: Busy,
    504: Busy,
    507: NoSpace,
}
FALLBACK_SECONDS = 1.0
"""To wait where a busy service does not say how long."""


def raised(reply: httpx2.Response) -> InctrlError:
    """The error that a reply of 3xx, 4xx or 5xx stands for."""
    problem = problem_of(reply)
    if problem is None:
        return ServiceFailed(_foreign(reply))
    kind = BY_CODE.get(problem.code) or BY_STATUS.get(reply.status_code)
    if problem.code == "in_flight":
        kind = Busy
    if kind is None:
        kind = UsageError if reply.status_code < 500 else ServiceFailed
    if kind is Busy:
        return Busy(problem.detail, retry_after(reply))
    if kind is ServiceFailed:
        known = f" (request {problem.request_id})" if problem.request_id else ""
        return ServiceFailed(f"{problem.detail}{known}")
    make: Callable[[str], InctrlError] = kind
    return make(problem.detail)


def problem_of(reply: httpx2.Response) -> Problem | None:
    """What the service says is wrong; None where it was not the service that answered."""
    if reply.headers.get("content-type", "").split(";")[0].strip() != PROBLEM:
        return None
    try:
        return Problem.model_validate_json(reply.content)
    except ValidationError:
        return None


def retry_after(reply: httpx2.Response) -> float:
    """Seconds of the header Retry-After."""
    value = reply.headers.get("retry-after", "")
    return float(value) if value.isascii() and value.isdigit() else FALLBACK_SECONDS


def _foreign(reply: httpx2.Response) -> str:
    seen = f"{reply.url.copy_with(query=None, userinfo=b'')} answered {reply.status_code}"
    if reply.is_redirect:
        return f"{seen}, a redirect, which is not followed; give the address of the service itself"
    return f"{seen}, and not as inctrl does; check the address, and what stands in between"
