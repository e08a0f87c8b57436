"""Feedback: what somebody found out about an image that was judged."""

import asyncio
from typing import Annotated, Literal

from fastapi import APIRouter, Form, Query, Request, UploadFile
from starlette.responses import Response

from inctrl.service import adjustments
from inctrl.service.adjustments import Adjusted
from inctrl.service.fields import PageSize, RowId, SetName
from inctrl.service.http.forms import FormRoute
from inctrl.service.requests import (
    Bench,
    IdempotencyKey,
    Note,
    Which,
    contents,
    json_response,
    once_awaited,
    uploads,
    while_connected,
)
from inctrl.service.schemas import FeedbackPage, FeedbackReply
from inctrl.service.workbench import Workbench

router = APIRouter(prefix="/v1/feedback", tags=["feedback"], route_class=FormRoute)
Kind = Literal["false_alarm", "defect"]


@router.post("", status_code=201, response_model=FeedbackReply)
async def give_feedback(
    request: Request,
    bench: Bench,
    kind: Annotated[Kind, Form()],
    name: Annotated[SetName, Form(alias="set")],
    image: UploadFile,
    note: Note = "",
    frame: Which = "all",
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """A false alarm becomes a normal of a new version; a confirmed defect may lower the limit.

    Told again, nothing more becomes of it, and the reply has the id of the first time.
    """
    sent = await uploads([image], bench.settings.limits, frame)

    async def act() -> Response:
        if kind == "false_alarm":
            work = adjustments.false_alarm(bench, name, sent[0], note)
        else:
            work = adjustments.confirm_defect(bench, name, sent[0])
        adjusted = await while_connected(request, work)
        reply = await _reply(bench, adjusted)
        return json_response(reply, 201, Location=f"/v1/feedback/{reply.id}")

    parts = ("feedback", kind, name, note, contents(sent))
    return await once_awaited(bench, idempotency_key, parts, act)


@router.get("")
def list_feedback(
    bench: Bench,
    name: Annotated[SetName, Query(alias="set")],
    after: RowId | None = None,
    limit: PageSize = 50,
) -> FeedbackPage:
    """The feedback on a set, the newest first."""
    return FeedbackPage.of(bench.store.feedback.newest(name, after, limit + 1), limit)


@router.get("/{id}")
def show_feedback(bench: Bench, id: RowId) -> FeedbackReply:
    """One remark."""
    return FeedbackReply.model_validate(bench.store.feedback.get(id))


@router.post("/{id}/undo")
async def undo_feedback(bench: Bench, id: RowId) -> FeedbackReply:
    """Take it back: a version without the image, or a limit without the defect."""
    return await _reply(bench, await adjustments.undo(bench, id))


async def _reply(bench: Workbench, adjusted: Adjusted) -> FeedbackReply:
    row = await asyncio.to_thread(bench.store.feedback.get, adjusted.id)
    return FeedbackReply.made_of(
        row,
        version_before=adjusted.before.version,
        version_after=adjusted.after.version,
        threshold_before=adjusted.threshold_before,
        threshold_after=adjusted.threshold_after,
        words=adjusted.words,
    )
