"""Values that were made last, by key, within bounds of number and weight."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

V = TypeVar("V")


class Recent(Generic[V]):
    """The ones unused for longest go first; the newest stays, however heavy.

    most     values at the most
    weigh    what a value counts, and `heaviest` all of them together
    `get` makes one value at a time, on the thread that asks; `peek` never waits for that.
    """

    def __init__(
        self,
        most: int,
        weigh: Callable[[V], int] = lambda _: 0,
        heaviest: int = 0,
    ) -> None:
        self._most = most
        self._weigh = weigh
        self._heaviest = heaviest
        self._values: OrderedDict[Hashable, tuple[V, int]] = OrderedDict()
        self._lock = threading.Lock()
        self._making = threading.RLock()

    def get(self, key: Hashable, make: Callable[[], V]) -> V:
        """The value of a key, made where it is not there."""
        with self._making:
            with self._lock:
                if key in self._values:
                    self._values.move_to_end(key)
                    return self._values[key][0]
            value = make()
            with self._lock:
                self._values[key] = value, self._weigh(value)
                while len(self._values) > 1 and self._full():
                    self._values.popitem(last=False)
            return value

    def peek(self, key: Hashable) -> V | None:
        """A value that is there."""
        with self._lock:
            if key not in self._values:
                return None
            self._values.move_to_end(key)
            return self._values[key][0]

    def _full(self) -> bool:
        weight = sum(weight for _, weight in self._values.values())
        return len(self._values) > self._most or weight > self._heaviest
