"""Who is let in: only requests that can be answered before their deadline.

A request that would wait too long is refused before its body is read, which costs a fraction of
a millisecond; the client is told when to come again.
"""

import asyncio
import time
from collections.abc import Callable, Collection

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from inctrl.errors import Busy, InctrlError
from inctrl.service.error_replies import refusal

MARGIN = 0.7
"""Share of a deadline that the estimated wait may take: estimates err, and replies take time."""
UPLOAD = 1.0
"""Seconds for which a place is held while the body comes in; slower ones ask again at its end."""


class Ticket:
    """An admitted request; a context manager that gives its place back.

    images     how many it is counted as; one that is seen in tiles counts as so many
    deadline   by time.monotonic
    """

    def __init__(self, admission: "Admission", images: int, seconds: float) -> None:
        self.images = images
        self.seconds = seconds
        self.deadline = time.monotonic() + seconds
        self.held = True
        self._admission = admission

    def give_back(self) -> None:
        """Make room for others while the body is still on its way."""
        self.done(self.images)
        self._admission.requests -= self.held
        self.held = False

    def grow(self, images: int) -> None:
        """Count as so many images, once they are known; Busy where there is no time for them."""
        if not self.held:
            self._admission.refuse_crowd()
            self._admission.requests += 1
            self.held = True
        self._admission.check(images - self.images, self.seconds, held=self.images)
        self._admission.images += images - self.images
        self.images = images

    def done(self, images: int = 1) -> None:
        """So many of its images are answered."""
        images = min(images, self.images)
        self.images -= images
        self._admission.images -= images

    def __enter__(self) -> "Ticket":
        return self

    def __exit__(self, *_: object) -> None:
        self.give_back()


class Admission:
    """Counts what is under way; all of it on the event loop's thread.

    most   requests under way at the most
    pace   seconds that an image takes, or a tile of one, as measured
    """

    def __init__(self, most: int, pace: Callable[[], float]) -> None:
        self.most = most
        self.requests = 0
        self.images = 0
        self._pace = pace

    def admit(self, seconds: float, images: int = 1) -> Ticket:
        """A place in the queue; Busy where the deadline, in seconds from now, cannot be met."""
        self.refuse_crowd()
        self.check(images, seconds)
        ticket = Ticket(self, images, seconds)
        self.requests += 1
        self.images += images
        return ticket

    def refuse_crowd(self) -> None:
        """Busy where every place is taken."""
        if self.requests >= self.most:
            raise Busy(f"{self.requests} requests are under way; try again", self._wait())

    def check(self, images: int, seconds: float, held: int = 0) -> None:
        """Busy where so many further images would not be answered in time.

        An idle service takes everything: else one slow query could close it for ever.
        """
        others = self.images - held
        wait = (self.images + images) * self._pace()
        if others > 0 and wait > MARGIN * seconds:
            raise Busy(
                f"{others} images wait, about {wait:.1f} s; the deadline is {seconds:g} s",
                wait - MARGIN * seconds,
            )

    def _wait(self) -> float:
        return self.images * self._pace() / 2


class Gate:
    """ASGI middleware: what the model answers gets a ticket, or 503, before its body is read.

    paths      below which POST requests need the model, or the decoders before it
    deadline   a request's headers -> seconds (UsageError where they ask for nonsense)
    refused    told the reason of each refusal
    """

    def __init__(
        self,
        app: ASGIApp,
        admission: Admission,
        paths: Collection[str],
        deadline: Callable[[Headers], float],
        refused: Callable[[str], object] = lambda _: None,
    ) -> None:
        self.app = app
        self.admission = admission
        self.paths = tuple(paths)
        self.deadline = deadline
        self.refused = refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._needs_ticket(scope):
            await self.app(scope, receive, send)
            return
        try:
            ticket = self.admission.admit(self.deadline(Headers(scope=scope)))
        except InctrlError as error:
            self.refused("busy" if isinstance(error, Busy) else "deadline_header")
            await refusal(error)(scope, receive, send)
            return
        # A slow upload does not keep others out: forty of them would stop all detection.
        slow = asyncio.get_running_loop().call_later(UPLOAD, ticket.give_back)

        async def receive_noting() -> Message:
            message = await receive()
            if not message.get("more_body"):
                slow.cancel()
            return message

        with ticket:
            scope.setdefault("state", {})["ticket"] = ticket
            try:
                await self.app(scope, receive_noting, send)
            finally:
                slow.cancel()

    def _needs_ticket(self, scope: Scope) -> bool:
        if scope["type"] != "http" or scope["method"] != "POST":
            return False
        return any(scope["path"] == p or scope["path"].startswith(f"{p}/") for p in self.paths)
