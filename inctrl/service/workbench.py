"""What the service can do. The REST routes and the page call it, and hold no logic of their own."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from inctrl.errors import UnreadableImage, UsageError
from inctrl.images import Image, Picture, develop
from inctrl.inspection.fitted import FittedInspector
from inctrl.service.admission import Admission, Ticket
from inctrl.service.effort import looks_at
from inctrl.service.engine import Engine
from inctrl.service.error_replies import TooLarge
from inctrl.service.housekeeping import Verifier
from inctrl.service.inspectors import Choice, Inspectors
from inctrl.service.sandbox.decoding import Decoded, Decoders
from inctrl.service.sandbox.importing import Importer
from inctrl.service.settings import Settings
from inctrl.service.uploads import Outcome, Upload, every_image, failures
from inctrl.store import KeptShots, SetVersion, Store, parse_reference
from inctrl.types import Failure, Result
from inctrl.views import AS_THEY_ARE, Views

T = TypeVar("T")
BATCHES = 2
"""Batches of decoded images in memory, over all requests: one is decoded during another."""
LARGE = 24_000_000
"""Stored values from which an image is held alone: with its map it takes some 200 MB."""
ASIDE = 2
"""Images for anything but an answer that are in memory at once, over all requests."""
SENT_ALONG = 2
"""Shots that come with a request may have so many times the pixels of the largest image."""


@dataclass(frozen=True)
class Asked:
    """What a request compares with what.

    reference   NAME or NAME@N of a set; None: the shots that came along
    views       how those shots are seen; None: it was not said, and a set has its own
    """

    reference: str | None
    shots: tuple[Upload, ...]
    item: str
    choice: Choice
    views: Views | None = None


@dataclass(frozen=True, eq=False)
class Prepared:
    """What queries are compared with: a version of a set, or shots that came along."""

    fitted: FittedInspector
    version: SetVersion | None
    refused: tuple[Failure, ...] = ()


class Workbench:
    """Sets and detection over one store and one engine; for feedback see `adjustments`."""

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
        self.inspectors = Inspectors(settings, store)
        self.verifier = Verifier(store)
        self.importer = Importer(store, settings.limits.pixels)
        self.admission = Admission(settings.limits.queue, lambda: engine.pace)
        self._places = asyncio.Semaphore(BATCHES * settings.batch)
        self._large = asyncio.Lock()
        self._most = settings.limits.images
        self._aside = asyncio.Semaphore(ASIDE)
        self._sent_along = asyncio.Semaphore(BATCHES)

    async def pictures(
        self, uploads: Sequence[Upload]
    ) -> tuple[tuple[Picture, ...], tuple[Failure, ...]]:
        """Decoded images in their order, and what cannot be read.

        All are in memory at once: TooLarge where they have too many pixels together.
        """
        most, pixels = SENT_ALONG * self.settings.limits.pixels, 0

        async def one(_: int, upload: Upload) -> tuple[Picture, int]:
            nonlocal pixels
            picture = (await self._decoded(upload)).picture
            height, width = picture.pixels.shape[:2]
            pixels += height * width
            if pixels > most:
                raise TooLarge(
                    f"the images have more than {most / 1e6:g} megapixels together; send fewer or "
                    "smaller ones, or make them a set first and name it"
                )
            return picture, picture.frames

        outcomes = await every_image(uploads, one, self._most)
        found = tuple(one.value for one in outcomes if isinstance(one.value, Picture))
        return found, failures(outcomes)

    async def normals(self, uploads: Sequence[Upload]) -> tuple[KeptShots, tuple[Failure, ...]]:
        """Images for a set, kept one by one; UsageError where none can be used."""

        async def one(_: int, upload: Upload) -> tuple[KeptShots, int]:
            async with self._aside, self.decoded(upload) as (picture, _seconds):
                kept = await asyncio.to_thread(self.store.sets.keep, [picture])
                return kept, picture.frames

        outcomes = await every_image(uploads, one, self._most)
        refused = failures(outcomes)
        kept = KeptShots.joined(one.value for one in outcomes if isinstance(one.value, KeptShots))
        if not kept.shots:
            raise _unusable(refused)
        return kept, refused

    async def create_set(
        self, name: str, uploads: Sequence[Upload], item: str, views: Views = AS_THEY_ARE
    ) -> SetVersion:
        """A new set of normal images; what cannot be read is left out."""
        kept, _ = await self.normals(uploads)
        return await asyncio.to_thread(self.store.sets.create, name, kept, item=item, views=views)

    async def change_set(self, name: str, views: Views) -> tuple[SetVersion, SetVersion]:
        """The version before and after a change of how a set is seen; the same without one."""
        before = await self.version(name)
        after = await asyncio.to_thread(
            self.store.sets.change, name, **vars(views), base=before.version
        )
        return before, after

    async def add_images(
        self, name: str, uploads: Sequence[Upload], note: str
    ) -> tuple[SetVersion, SetVersion, tuple[Failure, ...]]:
        """The version before and after further images, the same where all were known."""
        kept, refused = await self.normals(uploads)
        before = await self.version(name)
        after = await asyncio.to_thread(self.store.sets.add, name, kept, note=note)
        return before, after, refused

    async def remove_set(self, name: str) -> None:
        """Remove a set with all versions; scores of the history stay."""
        await asyncio.to_thread(self.store.sets.remove, name)

    async def prepare(self, asked: Asked, deadline: float = float("inf")) -> Prepared:
        """A registered set by reference, or shots that came with a request."""
        shots, choice = asked.shots, asked.choice
        if asked.reference is not None:
            if shots:
                raise UsageError("a set was named and shots were sent; give one of them")
            if asked.views:
                raise UsageError(
                    "orientation and tiles are for shots that come along; a set has its own"
                )
            version, found = await asyncio.to_thread(self._ready, asked.reference, choice)
            return Prepared(found or await self._made(version, choice, deadline), version)
        async with self._sent_along if shots else contextlib.nullcontext():
            pictures, refused = await self.pictures(shots)
            if shots and not pictures:
                raise _unusable(refused)
            fitted = await self.engine.call(
                lambda: self.inspectors.inline(
                    pictures, asked.item, choice, asked.views or AS_THEY_ARE, deadline
                ),
                deadline,
            )
        return Prepared(fitted, None, refused)

    async def fitted(self, version: SetVersion) -> FittedInspector:
        """A version as the service's own detector sees it; at once where it is in memory."""
        found = await asyncio.to_thread(self.inspectors.ready, version, Choice())
        return found or await self._made(version, Choice(), float("inf"))

    async def inspect(
        self,
        fitted: FittedInspector,
        queries: Sequence[Upload],
        ticket: Ticket,
        answer: Callable[[int, Result], T],
        *,
        quick: bool = False,
    ) -> list[Outcome[T]]:
        """What `answer` makes of each result, in order; images and maps are let go as it returns.

        `answer` runs on another thread than the event loop's, unless it is quick.
        """

        async def one(index: int, upload: Upload) -> tuple[T | Failure, int]:
            looks = 1
            try:
                async with self.decoded(upload) as (picture, seconds):
                    if (known := looks_at(fitted, picture)) > 1:
                        ticket.grow(ticket.images + known - 1)
                        looks = known
                    result = await self.engine.inspect(fitted, picture, ticket.deadline, looks)
                    if isinstance(result, Failure):
                        return result, picture.frames
                    result = replace(result, timing={"decode": seconds, **result.timing})
                    self._answered(result.verdict, result.timing)
                    if quick:
                        return answer(index, result), picture.frames
                    return await asyncio.to_thread(answer, index, result), picture.frames
            finally:
                ticket.done(looks)

        return await every_image(
            queries, one, self._most, lambda more: ticket.grow(ticket.images + more)
        )

    async def version(self, reference: str) -> SetVersion:
        """A version by NAME or NAME@N; NotStored where there is none."""
        return await asyncio.to_thread(self.store.sets.get, *parse_reference(reference))

    async def shot(self, name: str, version: int, sha256: str, draw: Callable[[Image], T]) -> T:
        """What `draw` makes of a shot; one of more than 8 bits is in the window of its version."""

        def drawn() -> T:
            found = self.store.sets.get(name, version)
            picture = self.store.sets.picture(found, sha256)
            window = self.store.sets.window(found) if picture.deep else None
            return draw(develop(picture, window))

        async with self._aside:
            return await asyncio.to_thread(drawn)

    @contextlib.asynccontextmanager
    async def decoded(self, upload: Upload) -> AsyncIterator[tuple[Picture, float]]:
        """An image for as long as it is needed, and the seconds until it was there.

        Of large ones there is one at a time.
        """
        async with self._places:
            started = time.perf_counter()
            picture = (await self._decoded(upload)).picture
            seconds = time.perf_counter() - started
            alone = self._large if picture.pixels.size > LARGE else contextlib.nullcontext()
            async with alone:
                yield picture, seconds

    async def _decoded(self, upload: Upload) -> Decoded:
        """One image of a file; UnreadableImage where it holds several and none was named."""
        number = None if upload.frame == "first" else upload.frame
        found = await self.decoders.decode(
            upload.data, upload.name, 1 if number == "all" else number
        )
        if number == "all" and found.picture.frames > 1:
            raise UnreadableImage(
                f"{upload.name!r} holds {found.picture.frames} images; say which with frame"
            )
        return found

    def _ready(self, reference: str, choice: Choice) -> tuple[SetVersion, FittedInspector | None]:
        """A version, and what is in memory of it: one look at the store, on one thread."""
        with self.store.database.read():
            version = self.store.sets.get(*parse_reference(reference))
            return version, self.inspectors.ready(version, choice)

    async def _made(self, version: SetVersion, choice: Choice, deadline: float) -> FittedInspector:
        return await self.engine.call(lambda: self.inspectors.registered(version, choice), deadline)


def _unusable(refused: Sequence[Failure]) -> UsageError:
    reason = refused[0].error if refused else "no file came"
    return UsageError(f"no normal image can be used ({reason})")
