"""Which of the services that share a store are alive: each holds a lock as long as it lives."""

import contextlib
import os
from pathlib import Path

from inctrl.files.lock import lock
from inctrl.files.private import private_folder
from inctrl.store import Store

NAME, PREFIX = "services", "lock-"


class Presence:
    """This service's sign of life; a context manager.

    As it begins, the requests that died with other services may be sent again.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._folder = store.folder / NAME
        self._own = self._folder / f"{PREFIX}{store.replies.owner}"
        self._lock: int | None = None

    def __enter__(self) -> "Presence":
        private_folder(self._folder)
        self._lock = lock(self._own)
        others = [path for path in self._folder.glob(f"{PREFIX}*") if path != self._own]
        alive = [path.name.removeprefix(PREFIX) for path in others if _lives(path)]
        self._store.replies.clear_in_flight([*alive, self._store.replies.owner])
        return self

    def __exit__(self, *_: object) -> None:
        self._own.unlink(missing_ok=True)
        if self._lock is not None:
            os.close(self._lock)


def _lives(path: Path) -> bool:
    """Whether a service holds it; what nobody holds is removed."""
    with contextlib.suppress(OSError):
        held = lock(path)
        if held is not None:
            path.unlink(missing_ok=True)
            os.close(held)
            return False
    return True
