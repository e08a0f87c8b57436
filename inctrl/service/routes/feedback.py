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
    contents,
    once_awaited,
    told,
    uploads,
    while_connected,
)
from inctrl.service.schemas import FeedbackPage, FeedbackReply, finite
from inctrl.store import FeedbackRow

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
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """A false alarm becomes a normal of a new version; a confirmed defect may lower the limit.

    Told again, nothing more becomes of it, and the reply has the id of the first time.
    """
    sent = await uploads([image], bench.settings.limits)

    async def act() -> Response:
        if kind == "false_alarm":
            work = adjustments.false_alarm(bench, name, sent[0], note)
        else:
            work = adjustments.confirm_defect(bench, name, sent[0])
        adjusted = await while_connected(request, work)
        row = await asyncio.to_thread(bench.store.feedback.get, adjusted.id)
        reply = adjusted_reply(row, adjusted)
        return told(reply, 201, Location=f"/v1/feedback/{reply.id}")

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
    found = bench.store.feedback.newest(name, after, limit + 1)
    items = [FeedbackReply.model_validate(row) for row in found[:limit]]
    return FeedbackPage(items=items, next_cursor=items[-1].id if len(found) > limit else None)


@router.get("/{id}")
def show_feedback(bench: Bench, id: RowId) -> FeedbackReply:
    """One remark."""
    return FeedbackReply.model_validate(bench.store.feedback.get(id))


@router.post("/{id}/undo")
async def undo_feedback(bench: Bench, id: RowId) -> FeedbackReply:
    """Take it back: a version without the image, or a limit without the defect."""
    adjusted = await adjustments.undo(bench, id)
    return adjusted_reply(await asyncio.to_thread(bench.store.feedback.get, id), adjusted)


def adjusted_reply(row: FeedbackRow, adjusted: Adjusted) -> FeedbackReply:
    return FeedbackReply.model_validate(row).model_copy(
        update={
            "version_before": adjusted.before.version,
            "version_after": adjusted.after.version,
            "threshold_before": finite(adjusted.threshold_before),
            "threshold_after": finite(adjusted.threshold_after),
            "words": adjusted.words,
        }
    )
