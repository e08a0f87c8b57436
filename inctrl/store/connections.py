"""One SQLite connection for each thread, of which none lives through a fork.

SQLite knows the locks of a process by its own bookkeeping, which a forked child inherits without
the locks. A connection that is open at a fork would let the child write to a log that its parent
may delete. So the idle connections are closed before a fork, and opened again when needed.
"""

import contextlib
import os
import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterator


class Held:
    """The connection of one thread, and how many transactions or reads it is inside of."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.connection: sqlite3.Connection | None = None
        self.depth = 0
        self.writing = False
        self._pid = os.getpid()

    def close(self) -> None:
        connection, self.connection = self.connection, None
        if connection is None:
            return
        if self._pid == os.getpid():
            connection.close()
        else:
            _INHERITED.append(connection)

    def leave_to_parent(self) -> None:
        """In a forked child: never use or close what was open in the parent."""
        if self.connection is not None:
            _INHERITED.append(self.connection)
            self.connection = None
        self._pid = os.getpid()

    def __del__(self) -> None:  # the thread has ended
        self.close()


class Connections:
    """Opens a connection for each thread that asks, and closes it when the thread ends."""

    def __init__(self, open_one: Callable[[], sqlite3.Connection]) -> None:
        self._open_one = open_one
        self._lock = threading.RLock()
        self._every: weakref.WeakSet[Held] = weakref.WeakSet()
        self._local = threading.local()
        self._stopped: list[Held] = []
        _EVERY.add(self)

    @contextlib.contextmanager
    def lent(self) -> Iterator[tuple[Held, sqlite3.Connection]]:
        """This thread's connection, opened if need be."""
        held = self._of_this_thread()
        with held.lock:
            if held.connection is None:
                held.connection = self._open_one()
            yield held, held.connection

    def close(self) -> None:
        """Close all of them, once they are out of use; whoever asks again gets a new one."""
        for held in self._all():
            with held.lock:
                if not held.depth:
                    held.close()

    def _of_this_thread(self) -> Held:
        held: Held | None = getattr(self._local, "held", None)
        if held is None:
            held = self._local.held = Held()
            with self._lock:
                self._every.add(held)
        return held

    def _all(self) -> list[Held]:
        with self._lock:
            return list(self._every)

    def _stop(self) -> None:
        self._lock.acquire()
        self._stopped = self._all()
        for held in self._stopped:
            held.lock.acquire()
            if not held.depth:
                held.close()

    def _go_on(self, in_child: bool) -> None:
        for held in self._stopped:
            if in_child:
                held.leave_to_parent()
            held.lock.release()
        self._stopped = []
        self._lock.release()


_EVERY: "weakref.WeakSet[Connections]" = weakref.WeakSet()
_INHERITED: list[sqlite3.Connection] = []
"""Connections of a parent process: they are neither used nor closed here."""
_FORKING = threading.Lock()
_paused: list[Connections] = []


def _before_fork() -> None:
    _FORKING.acquire()
    _paused.extend(_EVERY)
    for connections in _paused:
        connections._stop()


def _after_fork(in_child: bool) -> None:
    for connections in _paused:
        connections._go_on(in_child)
    _paused.clear()
    _FORKING.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=lambda: _after_fork(in_child=False),
        after_in_child=lambda: _after_fork(in_child=True),
    )
