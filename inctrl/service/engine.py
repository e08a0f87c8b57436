"""The one thread that runs models.

Queries that wait are encoded together, as many as there are at that moment: nothing is ever held
back to fill a batch, so an idle service answers at once and a busy one is efficient.
"""

import asyncio
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, TypeVar

from inctrl.errors import Busy
from inctrl.images import Picture
from inctrl.inspection.fitted import FittedInspector, inspect_together
from inctrl.types import Failure, Result

T = TypeVar("T")
SMOOTHING = 0.1
"""Weight of the newest batch in the running mean of seconds."""
FIRST_GUESS = 0.05
"""Seconds of a look assumed before one was timed."""
HAND_OVER = 0.0001
"""Seconds after which a thread that computes lets another one at the interpreter.

With Python's own 5 ms every operation of the model waits so long where HTTP is busy: under 10 times
the load that it can carry, a service answered a tenth less.
"""


class Expired(Busy):
    """A request's deadline passed before its turn came."""


@dataclass(frozen=True, eq=False)
class Query:
    """An image to be scored; `future` is given a Result or a Failure.

    looks   how often the model looks at it: once for each tile
    """

    fitted: FittedInspector
    picture: Picture
    deadline: float
    looks: int = 1
    future: "Future[Result | Failure]" = field(default_factory=Future)

    @property
    def shared(self) -> tuple[int, str]:
        """Queries that agree in this can go through the backbone together."""
        return id(self.fitted.inspector.backbone), self.fitted.inspector.fit_mode


@dataclass(frozen=True, eq=False)
class Call:
    """Any other work with models, such as preparing shots."""

    function: Callable[[], Any]
    deadline: float
    future: "Future[Any]" = field(default_factory=Future)


class Engine:
    """Runs queries and calls in the order in which they came.

    batch   most looks of queries that are encoded together; a single query may have more
    pace    seconds of the engine's time that a look takes, a running mean
    sizes   told the number of queries of each batch
    """

    def __init__(self, batch: int = 8, sizes: Callable[[int], object] = lambda _: None) -> None:
        self.batch = batch
        self.pace = FIRST_GUESS
        self._sizes = sizes
        self._waiting: deque[Query | Call] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="inctrl-engine", daemon=True)

    def start(self) -> None:
        sys.setswitchinterval(HAND_OVER)
        self._thread.start()

    def close(self, seconds: float = 20.0) -> None:
        """Finish what waits, then end the thread; what takes longer ends with the process."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(seconds)

    async def inspect(
        self, fitted: FittedInspector, picture: Picture, deadline: float, looks: int = 1
    ) -> Result | Failure:
        """Score an image; Expired past the deadline (time.monotonic), dropped where cancelled."""
        query = Query(fitted, picture, deadline, looks)
        self._put(query)
        return await asyncio.wrap_future(query.future)

    async def call(self, function: Callable[[], T], deadline: float = float("inf")) -> T:
        """Run a function on the engine's thread, on the same terms."""
        call = Call(function, deadline)
        self._put(call)
        result: T = await asyncio.wrap_future(call.future)
        return result

    def __len__(self) -> int:
        return len(self._waiting)

    def _put(self, item: Query | Call) -> None:
        with self._changed:
            if self._closing:
                raise Busy("the service is shutting down; try again", 5.0)
            self._waiting.append(item)
            self._changed.notify()

    def _work(self) -> None:
        while items := self._next():
            live = [item for item in items if _claimed(item)]
            queries = [item for item in live if isinstance(item, Query)]
            if queries:
                self._inspect(queries)
            for call in (item for item in live if isinstance(item, Call)):
                try:
                    call.future.set_result(call.function())
                except Exception as error:  # handed to whoever waits
                    call.future.set_exception(error)

    def _next(self) -> list[Query | Call]:
        """A call, or all queries at the head of the queue that can go together; [] at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing)
            if not self._waiting:
                return []
            items = [self._waiting.popleft()]
            if isinstance(items[0], Query):
                looks = items[0].looks
                while (following := self._following(items[0], self.batch - looks)) is not None:
                    items.append(self._waiting.popleft())
                    looks += following.looks
            return items

    def _following(self, first: Query, looks: int) -> Query | None:
        """The next query, where it can go with the first and has no more than so many looks."""
        following = self._waiting[0] if self._waiting else None
        if not isinstance(following, Query) or following.shared != first.shared:
            return None
        return following if following.looks <= looks else None

    def _inspect(self, queries: list[Query]) -> None:
        started = time.perf_counter()
        try:
            outcomes = inspect_together([(query.fitted, query.picture) for query in queries])
        except Exception as error:  # the one that is at fault must fail alone
            if len(queries) > 1:
                for query in queries:
                    self._inspect([query])
            else:
                queries[0].future.set_exception(error)
            return
        each = (time.perf_counter() - started) / sum(query.looks for query in queries)
        self.pace += SMOOTHING * (each - self.pace)
        self._sizes(len(queries))
        for query, outcome in zip(queries, outcomes, strict=True):
            query.future.set_result(outcome)


def until(deadline: float, items: Iterable[T]) -> Iterator[T]:
    """The items as long as there is time (time.monotonic) for one more, then Expired."""
    for item in items:
        if time.monotonic() > deadline:
            raise Expired("its deadline passed before all was done; try again, or send less")
        yield item


def _claimed(item: Query | Call) -> bool:
    """Whether somebody still waits for it, in time."""
    if not item.future.set_running_or_notify_cancel():
        return False
    if time.monotonic() > item.deadline:
        item.future.set_exception(Expired("its deadline passed before its turn came; try again"))
        return False
    return True
