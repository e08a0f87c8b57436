"""A detection from the files to the reply, with what the history keeps of it."""

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar
from weakref import WeakKeyDictionary

from inctrl.errors import UnreadableImage, UsageError
from inctrl.files.plain import plain
from inctrl.inspection.fitted import FittedInspector
from inctrl.service.admission import Ticket
from inctrl.service.answers import limit_of, map_file, model_of, refusals, scored, unreadable
from inctrl.service.detection_schemas import (
    Detection,
    LimitReply,
    MapFormat,
    ModelReply,
    Scored,
)
from inctrl.service.engine import Expired
from inctrl.service.error_replies import TooLarge
from inctrl.service.uploads import Outcome, Upload
from inctrl.service.workbench import Asked, Prepared, Workbench
from inctrl.store import ScoreRecord
from inctrl.types import Failure, Result

T = TypeVar("T")
MANY_MAPS = "these maps are too large for one reply; send fewer queries, or ask /v1/maps for each"


@dataclass(frozen=True)
class About:
    """What all results of a context say alike; none of it is to be changed."""

    shots: list[str]
    limit: LimitReply
    model: ModelReply
    identity: dict[str, Any]
    calibration: dict[str, Any]


_about: WeakKeyDictionary[FittedInspector, About] = WeakKeyDictionary()


def about_context(fitted: FittedInspector) -> About:
    """Made once for a context: it takes longer than all else that a reply is made of."""
    found = _about.get(fitted)
    if found is None:
        card = fitted.card
        shots, model = list(card.shots), model_of(card)
        found = _about[fitted] = About(
            shots=shots,
            limit=limit_of(fitted),
            model=model,
            identity={**model.model_dump(), "shots": shots},
            calibration=plain(asdict(fitted.calibration)),
        )
    return found


@dataclass(frozen=True, eq=False)
class Answered(Generic[T]):
    """What queries were compared with, what was made of each, and how long both took."""

    prepared: Prepared
    outcomes: list[Outcome[T]]
    preparing: float
    inspecting: float


async def answer(
    bench: Workbench,
    asked: Asked,
    queries: Sequence[Upload],
    ticket: Ticket,
    make: Callable[[int, Result, Prepared, str | None], T],
    *,
    keep: bool = True,
    quick: bool = False,
) -> Answered[T]:
    """What `make` makes of each result and its id in the history; Expired at the deadline.

    The scores are in the history when this returns, where one is kept; else ids are None.
    `make` runs on another thread than the event loop's, unless it is quick.
    """
    ticket.grow(len(queries) + len(asked.shots))
    records, began = list[ScoreRecord](), time.perf_counter()
    async with in_time(ticket):
        prepared = await bench.prepare(asked, ticket.deadline)
        ready = time.perf_counter()

        def made(index: int, result: Result) -> T:
            id = uuid.uuid4().hex if keep and bench.settings.history else None
            if id:
                records.append(record(id, result, prepared))
            return make(index, result, prepared, id)

        outcomes = await bench.inspect(prepared.fitted, queries, ticket, made, quick=quick)
    if records:
        await asyncio.to_thread(bench.store.history.add, records)
    return Answered(prepared, outcomes, ready - began, time.perf_counter() - ready)


async def detect(
    bench: Workbench,
    asked: Asked,
    queries: Sequence[Upload],
    ticket: Ticket,
    maps: MapFormat | None = None,
) -> Detection:
    """Outcomes of all queries as a reply tells them."""
    mapped = 0

    def reply(index: int, result: Result, prepared: Prepared, id: str | None) -> Scored:
        nonlocal mapped
        mapped += result.anomaly_map.size if maps else 0
        if mapped > bench.settings.limits.pixels:
            raise TooLarge(MANY_MAPS)
        return scored(index, result, prepared.fitted, id, maps)

    # Without a map a result is some figures: copying them takes less than waking a thread.
    found = await answer(bench, asked, queries, ticket, reply, quick=maps is None)
    prepared = found.prepared
    version, about = prepared.version, about_context(prepared.fitted)
    return Detection(
        set=f"{version.name}@{version.version}" if version else None,
        item=prepared.fitted.item,
        shots=about.shots,
        refused_shots=refusals(prepared.refused),
        limit=about.limit,
        model=about.model,
        results=[
            unreadable(one.index, one.value) if isinstance(one.value, Failure) else one.value
            for one in found.outcomes
        ],
    )


async def draw(
    bench: Workbench, asked: Asked, query: Upload, ticket: Ticket, format: MapFormat
) -> tuple[Scored, bytes]:
    """The map of one query as a file; it leaves nothing in the history."""

    def drawn(
        index: int, result: Result, prepared: Prepared, _: str | None
    ) -> tuple[Scored, bytes]:
        fitted = prepared.fitted
        return scored(index, result, fitted, None, None), map_file(result, fitted, format)

    # Of all images of a file the first tells that there are more: those are not scored in vain.
    first = replace(query, frame=1) if query.frame == "all" else query
    [found] = (await answer(bench, asked, [first], ticket, drawn, keep=False)).outcomes
    if query.frame == "all" and found.frame is not None:
        raise UsageError(f"{query.name!r} holds several images; say which with frame")
    outcome = found.value
    if isinstance(outcome, Failure):
        raise UnreadableImage(outcome.error)
    return outcome


@contextlib.asynccontextmanager
async def in_time(ticket: Ticket) -> AsyncIterator[None]:
    """Expired at the deadline, also where the work has begun: nobody waits for it any longer."""
    try:
        async with asyncio.timeout_at(ticket.deadline):
            yield
    except TimeoutError:
        late = "its deadline passed before it was answered; try again, or send less at once"
        raise Expired(late) from None


def record(id: str, result: Result, prepared: Prepared) -> ScoreRecord:
    """What is needed to explain a score later; no image and no path."""
    version, about = prepared.version, about_context(prepared.fitted)
    return ScoreRecord(
        id=id,
        created=datetime.now(UTC).isoformat(timespec="milliseconds"),
        set=version.name if version else None,
        version=version.version if version else None,
        item=prepared.fitted.item,
        query_sha256=result.image.sha256,
        query_name=result.name,
        score=result.score,
        threshold=result.threshold,
        p_value=result.p_value,
        verdict=result.verdict,
        identity=about.identity,
        calibration=about.calibration,
    )
