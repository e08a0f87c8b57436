"""The history: scores that were given, with all that explains them."""

from typing import Annotated

from fastapi import APIRouter, Query

from inctrl.service.detection_schemas import ScorePage, ScoreReply
from inctrl.service.fields import PageSize, RowId, SetName
from inctrl.service.http.strict import StrictRoute
from inctrl.service.requests import Bench

router = APIRouter(prefix="/v1/scores", tags=["scores"], route_class=StrictRoute)


@router.get("")
def list_scores(
    bench: Bench,
    name: Annotated[SetName | None, Query(alias="set")] = None,
    after: Annotated[str | None, Query(max_length=64)] = None,
    limit: PageSize = 50,
) -> ScorePage:
    """The newest first, of one set if asked."""
    found = bench.store.history.list(name, after, limit)
    return ScorePage.model_validate({"items": found.records, "next_cursor": found.next})


@router.get("/{id}")
def show_score(bench: Bench, id: RowId) -> ScoreReply:
    """One score, with its limit, its set version and the identity of the model."""
    return ScoreReply.model_validate(bench.store.history.get(id))
