"""What the service can do. The REST routes and the page call it, and hold no logic of their own."""

import asyncio
import contextlib
import math
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from inctrl.errors import Conflict, UnreadableImage, UsageError
from inctrl.fitted import FittedInspector
from inctrl.images import Picture, stored_digest
from inctrl.service.admission import Admission, Ticket
from inctrl.service.decoding import Decoders
from inctrl.service.engine import Engine, keep_freed_memory
from inctrl.service.models import Choice, Models
from inctrl.service.settings import Settings
from inctrl.store import SetVersion, Store, parse_reference
from inctrl.types import Failure, Result

T = TypeVar("T")
BATCHES = 2
"""Batches of decoded images in memory, over all requests: one is decoded during another."""
LARGE = 24_000_000
"""Stored values from which an image is held alone: with its map it takes some 200 MB."""


@dataclass(frozen=True)
class Upload:
    """A file as it came."""

    name: str
    data: bytes


@dataclass(frozen=True)
class Refusal:
    """A file that was left out, and why."""

    name: str
    error: str


@dataclass(frozen=True, eq=False)
class Prepared:
    """What queries are compared with: a version of a set, or shots that came along."""

    fitted: FittedInspector
    version: SetVersion | None
    refused: tuple[Refusal, ...] = ()


@dataclass(frozen=True)
class Adjusted:
    """What feedback, or its undoing, did to a set.

    score   of the image before, by which it was judged; NaN for an undoing
    """

    id: str
    before: SetVersion
    after: SetVersion
    threshold_before: float
    threshold_after: float
    score: float

    @property
    def words(self) -> str:
        """It in a sentence."""
        old, new = f"{self.threshold_before:.4f}", f"{self.threshold_after:.4f}"
        limit = (
            f"the limit stays at {old}" if old == new else f"the limit moves from {old} to {new}"
        )
        if self.before.version != self.after.version:
            name = f"{self.after.name}@{self.after.version}"
            return f"{name} has {len(self.after.shots)} shots; {limit}"
        if old == new and not math.isnan(self.score) and self.score <= self.threshold_after:
            return f"{limit}: the image scores like a normal one ({self.score:.4f})"
        return limit


class Workbench:
    """Sets, detection and feedback over one store and one engine."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        engine: Engine,
        decoders: Decoders,
        answered: Callable[[str, Mapping[str, float]], object] = lambda *_: None,
    ) -> None:
        """`answered` is told the verdict and the seconds of each query."""
        self.settings = settings
        self.store = store
        self.engine = engine
        self.decoders = decoders
        self._answered = answered
        self.models = Models(settings, store)
        self.admission = Admission(settings.limits.queue, lambda: engine.pace)
        self._places = asyncio.Semaphore(BATCHES * settings.batch)
        self._large = asyncio.Lock()

    async def warm_up(self) -> None:
        """Load the service's own detector, so that the first query finds it ready."""
        await self.engine.call(lambda: self.models.inspector(Choice()))
        keep_freed_memory()

    async def pictures(
        self, uploads: Iterable[Upload]
    ) -> tuple[tuple[Picture, ...], tuple[Refusal, ...]]:
        """Decoded images in their order, and what cannot be read."""
        outcomes = await asyncio.gather(*(self._picture(upload) for upload in uploads))
        return (
            tuple(outcome for outcome in outcomes if isinstance(outcome, Picture)),
            tuple(outcome for outcome in outcomes if isinstance(outcome, Refusal)),
        )

    async def normals(
        self, uploads: Sequence[Upload]
    ) -> tuple[tuple[Picture, ...], tuple[Refusal, ...]]:
        """Images for a set: the same, but UsageError where none can be used."""
        pictures, refused = await self.pictures(uploads)
        if not pictures:
            reason = refused[0].error if refused else "no file came"
            raise UsageError(f"no normal image can be used ({reason})")
        return pictures, refused

    async def prepare(
        self,
        reference: str | None,
        shots: Sequence[Upload],
        item: str,
        choice: Choice,
        deadline: float = float("inf"),
    ) -> Prepared:
        """A registered set by reference, or shots that came with a request."""
        if reference is not None:
            if shots:
                raise UsageError("a set was named and shots were sent; give one of them")
            version, found = await asyncio.to_thread(self._ready, reference, choice)
            return Prepared(found or await self._made(version, choice, deadline), version)
        pictures, refused = await self.normals(shots) if shots else ((), ())
        fitted = await self.engine.call(
            lambda: self.models.inline(pictures, item, choice), deadline
        )
        return Prepared(fitted, None, refused)

    async def fitted(
        self, version: SetVersion, choice: Choice, deadline: float = float("inf")
    ) -> FittedInspector:
        """A version as it is prepared; at once where it is in memory."""
        found = await asyncio.to_thread(self.models.ready, version, choice)
        return found or await self._made(version, choice, deadline)

    async def inspect(
        self,
        fitted: FittedInspector,
        queries: Sequence[Upload],
        ticket: Ticket,
        deal: Callable[[int, Result], T],
        *,
        quick: bool = False,
    ) -> list[T | Failure]:
        """What `deal` makes of each result, in order; images and maps are let go as it returns.

        `deal` runs on another thread than the event loop's, unless it is quick.
        """

        async def one(index: int, upload: Upload) -> T | Failure:
            try:
                return await self._one(fitted, upload, ticket, lambda r: deal(index, r), quick)
            finally:
                ticket.done()

        return await gathered(one(index, upload) for index, upload in enumerate(queries))

    async def version(self, reference: str) -> SetVersion:
        """A version by NAME or NAME@N; NotStored where there is none."""
        return await asyncio.to_thread(self.store.sets.get, *parse_reference(reference))

    async def false_alarm(self, name: str, upload: Upload, note: str = "") -> Adjusted:
        """Take a query among the normals of a set, as a new version."""
        before, picture, score, threshold = await self._judged(name, upload)

        def commit() -> tuple[str, SetVersion]:
            with self.store.database.transaction():
                after = self.store.sets.add(
                    name, [picture], note=note, origin="false_alarm", base=before.version
                )
                sha256 = stored_digest(picture)
                id = self.store.feedback.record(name, sha256, before.version, after.version)
                return id, after

        id, after = await asyncio.to_thread(commit)
        return Adjusted(id, before, after, threshold, await self._threshold(after), score)

    async def confirm_defect(self, name: str, upload: Upload) -> Adjusted:
        """Let a defect count for the limit of a set, and for nothing else."""
        before, picture, score, threshold = await self._judged(name, upload)
        id = await asyncio.to_thread(self.store.feedback.confirm, name, picture)
        return Adjusted(id, before, before, threshold, await self._threshold(before), score)

    async def undo(self, id: str) -> Adjusted:
        """Take feedback back: a version without the image, or a limit without the defect."""
        remark = await asyncio.to_thread(self.store.feedback.get, id)
        if remark.undone:
            raise Conflict(f"feedback {id!r} has been undone already")
        before = await self.version(remark.set)
        threshold = await self._threshold(before)

        def commit() -> SetVersion:
            with self.store.database.transaction():
                self.store.feedback.undo(id)
                known = {shot.sha256 for shot in before.shots}
                made = remark.version_before != remark.version_after
                if remark.kind == "defect" or not made or remark.sha256 not in known:
                    return before
                return self.store.sets.drop(remark.set, [remark.sha256], origin="undo")

        after = await asyncio.to_thread(commit)
        return Adjusted(id, before, after, threshold, await self._threshold(after), float("nan"))

    async def _picture(self, upload: Upload) -> Picture | Refusal:
        try:
            return (await self.decoders.decode(upload.data, upload.name)).picture
        except UnreadableImage as error:
            return Refusal(upload.name, str(error))

    async def _judged(self, name: str, upload: Upload) -> tuple[SetVersion, Picture, float, float]:
        """The latest version, the image, its score, and the limit as it is."""
        version = await self.version(name)
        picture = (await self.decoders.decode(upload.data, upload.name)).picture
        fitted = await self.fitted(version, Choice())
        result = await self.engine.inspect(fitted, picture, float("inf"))
        if isinstance(result, Failure):
            raise UnreadableImage(result.error)
        return version, picture, result.score, fitted.calibration.threshold

    def _ready(self, reference: str, choice: Choice) -> tuple[SetVersion, FittedInspector | None]:
        """A version, and what is in memory of it: one look at the store, on one thread."""
        with self.store.database.read():
            version = self.store.sets.get(*parse_reference(reference))
            return version, self.models.ready(version, choice)

    async def _made(self, version: SetVersion, choice: Choice, deadline: float) -> FittedInspector:
        return await self.engine.call(lambda: self.models.registered(version, choice), deadline)

    async def _threshold(self, version: SetVersion) -> float:
        return (await self.fitted(version, Choice())).calibration.threshold

    async def _one(
        self,
        fitted: FittedInspector,
        upload: Upload,
        ticket: Ticket,
        deal: Callable[[Result], T],
        quick: bool,
    ) -> T | Failure:
        async with self._places:
            started = time.perf_counter()
            try:
                picture = (await self.decoders.decode(upload.data, upload.name)).picture
            except UnreadableImage as error:
                return Failure(upload.name, str(error))
            seconds = time.perf_counter() - started
            alone = self._large if picture.pixels.size > LARGE else contextlib.nullcontext()
            async with alone:
                result = await self.engine.inspect(fitted, picture, ticket.deadline)
                if isinstance(result, Failure):
                    return result
                timing = {"decode": seconds, **result.timing}
                self._answered(result.verdict, timing)
                result = replace(result, timing=timing)
                return deal(result) if quick else await asyncio.to_thread(deal, result)


async def gathered(work: Iterable[Awaitable[T]]) -> list[T]:
    """All results in order; where one fails, or the caller goes away, the others are dropped."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        return list(await asyncio.gather(*tasks))
    except BaseException:
        for task in tasks:
            task.cancel()
        raise
