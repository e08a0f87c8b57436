"""The store while services run on it: which of them are alive, its scratch folders, its checks."""

import asyncio
import contextlib
import os
import shutil
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from inctrl.errors import Busy
from inctrl.files.lock import lock
from inctrl.files.private import private_folder
from inctrl.files.whole import writing
from inctrl.store import Store
from inctrl.store.verify import Finding, orphans, verify

SERVICES, PREFIX = "services", "lock-"
SCRATCH = "tmp"
OLD = 3600.0
"""Seconds after which a scratch folder was left by a service that was killed."""
WAIT = 10.0
"""Seconds after which verifying may be asked for again."""


class ServiceLock:
    """Held as long as this service lives; a context manager.

    As it begins, the requests that died with other services may be sent again.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._folder = store.folder / SERVICES
        self._own = self._folder / f"{PREFIX}{store.replies.owner}"
        self._lock: int | None = None

    def __enter__(self) -> "ServiceLock":
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


def scratch(store: Store) -> tempfile.TemporaryDirectory[str]:
    """A folder for what is on its way in or out, on the store's disk; gone when it is closed."""
    place = store.folder / SCRATCH
    private_folder(place)
    with writing(place):
        return tempfile.TemporaryDirectory(dir=place)


def sweep(store: Store, older_than: float = OLD) -> None:
    """Remove the scratch folders that nobody works on any more."""
    with contextlib.suppress(FileNotFoundError):
        for path in (store.folder / SCRATCH).iterdir():
            with contextlib.suppress(OSError):
                if time.time() - path.stat().st_mtime > older_than:
                    shutil.rmtree(path, ignore_errors=True)


class Verifier:
    """Reads a whole store for one caller at a time, on a thread of its own: the others are few."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._thread = ThreadPoolExecutor(1, "inctrl-verify")
        self._busy = False

    async def verify(self) -> tuple[tuple[Finding, ...], tuple[Finding, ...]]:
        """Faults and orphans; Busy while the store is read for somebody else."""
        if self._busy:
            raise Busy("the store is being verified for somebody else; try again", WAIT)
        self._busy = True
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._read)

    def _read(self) -> tuple[tuple[Finding, ...], tuple[Finding, ...]]:
        try:
            return verify(self._store), orphans(self._store)
        finally:
            self._busy = False
