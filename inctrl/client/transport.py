"""Requests to a service: sent again where that is safe, and refused with typed errors."""

import math
import random
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx2
from pydantic import BaseModel, ValidationError

from inctrl.client.calls import Call
from inctrl.client.replies import raised
from inctrl.errors import Busy, InctrlError, OutputError, ServiceFailed, Unreachable, UsageError
from inctrl.files.whole import whole_file

M = TypeVar("M", bound=BaseModel)
PAGE = 200
LONGEST_WAIT = 60.0
"""Seconds; a service that asks to wait longer is not waited for."""
FIRST_WAIT = 0.2
LATE = 504
BELOW = ("v1", "gradio_api")
"""Where paths of the service begin; what stands before is the path of a proxy."""
LOGIN = ["login"]
KEPT_SECONDS = 2.0
"""An idle connection is used again for so long: less than the service keeps it."""


class Transport:
    """A connection pool to one service; no proxy, no redirect, no .netrc."""

    def __init__(self, url: str, token: str | None, timeout: float, retries: int) -> None:
        if timeout <= 0 or retries < 0:
            raise UsageError("timeout is a number of seconds over 0, and retries is 0 or more")
        self.url = _checked(url)
        self.retries = retries
        self.timeout = timeout
        self._http = httpx2.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {_checked_token(token)}"} if token else {},
            timeout=timeout,
            follow_redirects=False,
            trust_env=False,
            limits=httpx2.Limits(keepalive_expiry=KEPT_SECONDS),
        )

    def close(self) -> None:
        self._http.close()

    def read(self, call: Call, kind: type[M]) -> M:
        """The reply of a call, as the value it stands for."""
        reply = self.send(call)
        try:
            return kind.model_validate_json(reply.content)
        except ValidationError as error:
            where = ".".join(str(part) for part in error.errors()[0]["loc"]) or "reply"
            raise ServiceFailed(
                f"{self.url} gave a reply that is not understood ({where}); "
                "use the same version of inctrl on both sides"
            ) from None

    def get(
        self, path: str, kind: type[M], query: Mapping[str, str | int | None] | None = None
    ) -> M:
        """`read` of a GET."""
        return self.read(Call("GET", path, query=query or {}), kind)

    def pages(
        self, path: str, kind: type[BaseModel], query: Mapping[str, str | int | None]
    ) -> Iterator[Any]:
        """The items of a list, page after page as they are asked for."""
        after: str | None = None
        while True:
            page: Any = self.get(path, kind, {**query, "limit": PAGE, "after": after})
            yield from page.items
            after = page.next_cursor
            if after is None:
                return

    def status(self, path: str) -> int:
        """The status of a GET, whatever it is; asked once."""
        try:
            return self._http.get(path).status_code
        except httpx2.TransportError as error:
            raise self._lost(error) from error

    def send(self, call: Call) -> httpx2.Response:
        """The reply of a call that succeeded, read whole."""
        with self.streamed(call) as reply:
            return reply

    @contextmanager
    def streamed(self, call: Call, *, whole: bool = True) -> Iterator[httpx2.Response]:
        """The reply of a call that succeeded; `whole` where it is read at once."""
        reply = self._insistent(call, stream=not whole)
        try:
            yield reply
        except httpx2.TransportError as error:
            raise self._lost(error) from error
        finally:
            reply.close()

    def save(self, call: Call, path: Path, *, overwrite: bool) -> Path:
        """`path`, now with the reply, written whole; OutputError where it is there already."""
        if path.exists() and not (overwrite and path.is_file()):
            raise OutputError(f"{str(path)!r} is there already; choose another, or overwrite=True")
        with self.streamed(call, whole=False) as reply, whole_file(path, durable=True) as file:
            for data in reply.iter_bytes():
                file.write(data)
        return path

    def _insistent(self, call: Call, stream: bool) -> httpx2.Response:
        until = math.inf if call.deadline is None else time.monotonic() + call.deadline
        deadline = call.deadline
        for left in range(self.retries, -1, -1):
            try:
                return self._once(call, stream, deadline)
            except _Late as late:
                raise late.error from None
            except _Lost as lost:
                if not left or lost.late or not (call.repeatable or lost.unsent):
                    raise lost.error from lost.cause
                # Spread, so that clients that were turned away together do not return together.
                wait = _spread(FIRST_WAIT * 2 ** (self.retries - left))
                if time.monotonic() + wait >= until:
                    raise lost.error from lost.cause
            except Busy as busy:
                # It was turned away as a whole: nothing of it was done.
                wait = _spread(busy.retry_after)
                in_vain = time.monotonic() + wait >= until
                if not left or in_vain or busy.retry_after > LONGEST_WAIT:
                    raise
            time.sleep(wait)
            if call.deadline is not None:
                deadline = max(0.001, until - time.monotonic())
        raise AssertionError  # pragma: no cover

    def _once(self, call: Call, stream: bool, deadline: float | None) -> httpx2.Response:
        request = self._request(call, deadline)
        try:
            reply = self._http.send(request, stream=True)
            if stream and reply.is_success:
                return reply
            try:
                reply.read()
            finally:
                reply.close()
        except (httpx2.TransportError, httpx2.DecodingError) as error:
            raise _Lost(self._lost(error), error) from error
        if reply.status_code == LATE:
            raise _Late(raised(reply))
        if not reply.is_success:
            raise raised(reply)
        return reply

    def _request(self, call: Call, deadline: float | None) -> httpx2.Request:
        headers = {name: value for name, value in call.headers.items() if value is not None}
        if deadline is not None:
            headers["Inctrl-Deadline"] = f"{deadline:.6g}"
        return self._http.build_request(
            call.method,
            call.path,
            params={name: value for name, value in call.query.items() if value is not None},
            data={name: str(value) for name, value in call.form.items() if value is not None},
            files=list(call.files) or None,
            json=call.json,
            headers=headers,
            timeout=max(call.timeout, self.timeout),
        )

    def _lost(self, error: Exception) -> InctrlError:
        if self.url.startswith("https:") and "SSL" in str(error):
            reason = " ".join(str(error).split())
            return Unreachable(
                f"no TLS at {self.url} ({reason}); what `inctrl serve` starts is at http://"
            )
        if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout):
            return Unreachable(f"nothing answers at {self.url}; start it with `inctrl serve`")
        if isinstance(error, httpx2.TimeoutException):
            return Unreachable(f"{self.url} did not answer in time; give a longer timeout")
        reason = " ".join(str(error).split()) or type(error).__name__
        return Unreachable(f"the connection to {self.url} was lost ({reason}); try again")


class _Late(Exception):
    """The deadline has passed: whoever set it waits no longer."""

    def __init__(self, error: InctrlError) -> None:
        super().__init__(str(error))
        self.error = error


class _Lost(Exception):
    """No reply came; `unsent`: nor did the request arrive; `late`: the whole time has passed."""

    def __init__(self, error: InctrlError, cause: Exception) -> None:
        super().__init__(str(error))
        self.error = error
        self.cause = cause
        self.unsent = isinstance(cause, httpx2.ConnectError | httpx2.ConnectTimeout)
        self.late = isinstance(cause, httpx2.TimeoutException)


def _spread(seconds: float) -> float:
    return seconds * (1 + random.random() / 4)  # noqa: S311


def _checked(url: str) -> str:
    """The place below which `/v1` lies, of whatever address of the service was copied."""
    try:
        given = url.strip()
        bare = "://" not in given and not given.lower().startswith(("http:/", "https:/"))
        parsed = httpx2.URL(f"http://{given}" if bare else given)
    except (httpx2.InvalidURL, TypeError, AttributeError):
        parsed = httpx2.URL()
    host = re.fullmatch(r"[\w.:-]+", parsed.host)
    if parsed.scheme not in ("http", "https") or not host or parsed.userinfo:
        raise UsageError("url is not an address like 'http://127.0.0.1:8000' (a token goes apart)")
    parts = [part for part in parsed.path.split("/") if part]
    ends = [place for place, part in enumerate(parts) if part in BELOW or parts[place:] == LOGIN]
    path = "".join(f"/{part}" for part in parts[: ends[0] if ends else None])
    return str(parsed.copy_with(path=path or "/", query=None, fragment=None)).rstrip("/")


def _checked_token(token: str) -> str:
    if not (token.isascii() and token.isprintable() and token.strip() == token):
        raise UsageError("the token holds letters that no token has; copy it again")
    return token
