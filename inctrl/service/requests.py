"""What routes read of a request, and how they wait for work while the client is there."""

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Annotated, Any, TypeVar

from fastapi import Depends, File, Form, Header, Request, UploadFile
from pydantic import AfterValidator, BaseModel
from starlette.datastructures import Headers
from starlette.responses import Response

from inctrl.errors import UsageError
from inctrl.frames import Frame
from inctrl.service.admission import Ticket
from inctrl.service.error_replies import ClientGone, TooLarge
from inctrl.service.fields import Alpha, FrameField, OrientationField, TilesField
from inctrl.service.http.forms import one_line
from inctrl.service.http.limits import Limits
from inctrl.service.inspectors import Choice
from inctrl.service.uploads import Upload
from inctrl.service.workbench import Workbench
from inctrl.store import Reply

T = TypeVar("T")
KEY_LENGTH = 255


async def workbench_of(request: Request) -> Workbench:
    """The service's workbench. A coroutine, for which no thread is woken, like `chosen`."""
    bench: Workbench = request.app.state.workbench
    return bench


Bench = Annotated[Workbench, Depends(workbench_of)]


async def chosen(
    detector: Annotated[str | None, Form(max_length=64)] = None,
    adapter: Annotated[str | None, Form(max_length=64)] = None,
    alpha: Annotated[Alpha | None, Form()] = None,
) -> Choice:
    """The detector that a form asks for."""
    return Choice(detector or None, adapter or None, alpha)


Chosen = Annotated[Choice, Depends(chosen)]
Item = Annotated[
    str,
    Form(min_length=1, max_length=200, description="what is shown, in words"),
    AfterValidator(one_line),
]
Note = Annotated[
    str, Form(max_length=2000, description="kept with the version"), AfterValidator(one_line)
]
WayRound = Annotated[
    OrientationField | None,
    Form(description="fixed: the parts always lie the same way; any: they lie any way round"),
]
TileCount = Annotated[
    TilesField | None,
    Form(description="tiles along the longer side of an image, for small defects in large ones"),
]
Files = Annotated[list[UploadFile], File(min_length=1)]
IdempotencyKey = Annotated[str | None, Header(min_length=1, max_length=KEY_LENGTH)]


Which = Annotated[
    FrameField, Form(description="of files that hold several images: all, first, or which")
]


async def uploads(
    files: Sequence[UploadFile], limits: Limits, frame: Frame = "all"
) -> list[Upload]:
    """The files of a form; TooLarge where they are too many."""
    if len(files) > limits.images:
        raise TooLarge(f"{len(files)} images were sent; the most at once is {limits.images}")
    read = []
    for file in files:
        name = one_line(file.filename or "image")
        read.append(Upload(name, await file.read(), frame))
        await file.close()  # else every image is in memory twice until the reply
    return read


def ticket_of(request: Request) -> Ticket:
    """The place in the queue that the request was given before its body was read."""
    ticket: Ticket = request.state.ticket
    return ticket


async def while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """The result of some work, which is dropped when the client goes away (ClientGone)."""
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientGone
        return task.result()
    finally:
        for one in (task, gone):
            one.cancel()


async def once(
    bench: Workbench,
    key: str | None,
    parts: Sequence[object],
    commit: Callable[[], Response],
) -> Response:
    """Run a write on another thread; with an Idempotency-Key, once however often it is sent.

    parts    what makes the request: another one under the same key is refused
    commit   writes and makes the reply; both are kept or neither
    """
    if key is None:
        return await asyncio.to_thread(commit)
    replies, digest = bench.store.replies, _digest(parts)

    def first() -> Response:
        kept = replies.begin(key, digest)
        if kept is not None:
            return _replayed(kept)
        try:
            with bench.store.database.transaction():
                response = commit()
                replies.finish(key, _kept(response))
        except BaseException:
            replies.abandon(key)
            raise
        return response

    return await asyncio.to_thread(first)


async def once_awaited(
    bench: Workbench,
    key: str | None,
    parts: Sequence[object],
    act: Callable[[], Awaitable[Response]],
) -> Response:
    """The same for work that waits for the model, so that it cannot be one transaction.

    act   a process that ends between it and its reply leaves it done, and it is done again under
          the same key: it must then find what was done, and give the same reply
    """
    if key is None:
        return await act()
    replies = bench.store.replies
    kept = await asyncio.to_thread(replies.begin, key, _digest(parts))
    if kept is not None:
        return _replayed(kept)
    try:
        response = await act()
        await asyncio.to_thread(replies.finish, key, _kept(response))
    except BaseException:
        await asyncio.shield(asyncio.to_thread(replies.abandon, key))
        raise
    return response


def json_response(reply: BaseModel, status: int = 200, **headers: str) -> Response:
    """A schema as a response."""
    return Response(reply.model_dump_json(), status, headers, "application/json")


def contents(sent: Sequence[Upload]) -> list[str]:
    """What stands for files in `once`."""
    return [f"{one.name} {one.frame} {hashlib.sha256(one.data).hexdigest()}" for one in sent]


def deadline_of(headers: Headers, limits: Limits) -> float:
    """Seconds of the header `Inctrl-Deadline`; the usual ones where there is none."""
    value = headers.get("inctrl-deadline")
    if value is None:
        return limits.deadline
    try:
        seconds = float(value)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= limits.longest_deadline:
        raise UsageError(
            f"Inctrl-Deadline is not a number of seconds in (0, {limits.longest_deadline:g}]"
        )
    return seconds


def _digest(parts: Sequence[object]) -> str:
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()


def _kept(response: Response) -> Reply:
    headers = {
        name: value for name, value in response.headers.items() if name in ("location", "etag")
    }
    return Reply(response.status_code, headers, bytes(response.body))


def _replayed(reply: Reply) -> Response:
    headers = {**reply.headers, "Idempotent-Replayed": "true"}
    return Response(reply.body, reply.status, headers, "application/json")


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        continue
