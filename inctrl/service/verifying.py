"""Reading a whole store, for one caller at a time and beside all other work."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from inctrl.errors import Busy
from inctrl.store import Store
from inctrl.store.verify import Finding, orphans, verify

WAIT = 10.0
"""Seconds after which it may be asked for again."""


class Verifier:
    """On a thread of its own: those that serve requests are few."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "inctrl-verify")
        self._busy = False

    async def look(self, store: Store) -> tuple[tuple[Finding, ...], tuple[Finding, ...]]:
        """Faults and orphans; Busy while the store is read for somebody else."""
        if self._busy:
            raise Busy("the store is being verified for somebody else; try again", WAIT)
        self._busy = True
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._look, store)

    def _look(self, store: Store) -> tuple[tuple[Finding, ...], tuple[Finding, ...]]:
        try:
            return verify(store), orphans(store)
        finally:
            self._busy = False
