"""Feedback: what somebody found out about an image that was judged."""

from typing import Annotated, Literal

from fastapi import APIRouter, Form, Query, UploadFile
from fastapi import Path as PathParameter
from starlette.responses import Response

from inctrl.service.answers import finite
from inctrl.service.requests import (
    Bench,
    IdempotencyKey,
    Note,
    contents,
    once_awaited,
    told,
    uploads,
)
from inctrl.service.schemas import NAME, FeedbackPage, FeedbackReply
from inctrl.service.workbench import Adjusted
from inctrl.store import FeedbackRow

router = APIRouter(prefix="/v1/feedback", tags=["feedback"])
Kind = Literal["false_alarm", "defect"]
FeedbackId = Annotated[str, PathParameter(pattern=r"^[0-9a-f]{32}$")]


@router.post("", status_code=201, response_model=FeedbackReply)
async def give_feedback(
    bench: Bench,
    kind: Annotated[Kind, Form()],
    name: Annotated[str, Form(alias="set", pattern=NAME)],
    image: UploadFile,
    note: Note = "",
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """A false alarm becomes a normal of a new version; a confirmed defect may lower the limit."""
    sent = await uploads([image], bench.settings.limits)

    async def act() -> Response:
        if kind == "false_alarm":
            adjusted = await bench.false_alarm(name, sent[0], note)
        else:
            adjusted = await bench.confirm_defect(name, sent[0])
        reply = adjusted_reply(bench.store.feedback.get(adjusted.id), adjusted)
        return told(reply, 201, Location=f"/v1/feedback/{reply.id}")

    parts = ("feedback", kind, name, note, contents(sent))
    return await once_awaited(bench, idempotency_key, parts, act)


@router.get("")
def list_feedback(
    bench: Bench, name: Annotated[str, Query(alias="set", pattern=NAME)]
) -> FeedbackPage:
    """All feedback on a set, the oldest first."""
    return FeedbackPage(items=[feedback_reply(row) for row in bench.store.feedback.list(name)])


@router.get("/{id}")
def show_feedback(bench: Bench, id: FeedbackId) -> FeedbackReply:
    """One remark."""
    return feedback_reply(bench.store.feedback.get(id))


@router.post("/{id}/undo")
async def undo_feedback(bench: Bench, id: FeedbackId) -> FeedbackReply:
    """Take it back: a version without the image, or a limit without the defect."""
    adjusted = await bench.undo(id)
    return adjusted_reply(bench.store.feedback.get(id), adjusted)


def feedback_reply(row: FeedbackRow) -> FeedbackReply:
    return FeedbackReply(
        id=row.id,
        kind=row.kind,
        set=row.set,
        sha256=row.sha256,
        created=row.created,
        undone=row.undone is not None,
        version_before=row.version_before,
        version_after=row.version_after,
    )


def adjusted_reply(row: FeedbackRow, adjusted: Adjusted) -> FeedbackReply:
    return feedback_reply(row).model_copy(
        update={
            "version_before": adjusted.before.version,
            "version_after": adjusted.after.version,
            "threshold_before": finite(adjusted.threshold_before),
            "threshold_after": finite(adjusted.threshold_after),
            "words": adjusted.words,
        }
    )
