"""An archive from outside is read by a process of its own: its images are a stranger's."""

import asyncio
import json
import os
import shutil
import sys
from pathlib import Path

from fastapi import UploadFile

from inctrl.errors import Busy, Conflict, InctrlError, NoSpace, OutputError, UsageError
from inctrl.files.whole import writing
from inctrl.service.error_replies import TooLarge
from inctrl.service.housekeeping import scratch
from inctrl.service.sandbox.decoder_process import environment
from inctrl.store import SetVersion, Store

SECONDS = 120.0
"""Of the clock, and of the processor, for one archive."""
BYTES = 3_000_000_000
"""Of address space."""
WAIT = 5.0
"""Seconds after which another archive may be tried."""
FAULTS: dict[str, type[InctrlError]] = {
    one.__name__: one for one in (Busy, Conflict, NoSpace, OutputError)
}
"""What is not the archive's fault."""


class Importer:
    """Brings archives into a store, one at a time."""

    def __init__(self, store: Store, pixels: int) -> None:
        self._store = store
        self._pixels = pixels
        self._busy = False

    async def bring(self, archive: UploadFile, name: str | None) -> SetVersion:
        """The latest version of the set that was brought in; UsageError where the archive is bad.

        Busy while another one is read.
        """
        if self._busy:
            raise Busy("another archive is read just now; try again", WAIT)
        self._busy = True
        try:
            with await asyncio.to_thread(scratch, self._store) as folder:
                path = Path(folder, "archive.zip")
                await asyncio.to_thread(_save, archive, path)
                found = _said(*await self._read(path, name))
        finally:
            self._busy = False
        return await asyncio.to_thread(self._store.sets.get, found)

    async def _read(self, path: Path, name: str | None) -> tuple[int, bytes]:
        """The exit code of the child and what it said."""
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-P", "-m", "inctrl.service.sandbox.importer", str(path)),
            *(f"--store={self._store.folder}", f"--pixels={self._pixels}"),
            *(f"--memory={BYTES}", f"--seconds={SECONDS:.0f}", f"--parent={os.getpid()}"),
            *([] if name is None else [f"--name={name}"]),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,  # it may quote the archive, and belongs in no log
            env={**os.environ, **environment()},
            start_new_session=True,
        )
        try:
            output, _ = await asyncio.wait_for(child.communicate(), SECONDS)
        except BaseException as error:
            child.kill()
            await child.wait()
            if isinstance(error, TimeoutError):
                raise TooLarge("the archive took too long to read; it holds too much") from None
            raise
        return child.returncode or 0, output


def _said(code: int, said: bytes) -> str:
    """The name of the set; else the error that the child gave, or died of."""
    try:
        outcome = json.loads(said) if code == 0 else {}
    except ValueError:
        outcome = {}
    if "name" in outcome:
        return str(outcome["name"])
    kind, detail = outcome.get("error"), outcome.get("detail", "")
    if kind is None:
        raise InctrlError("the archive could not be read: what reads archives ended unexpectedly")
    if kind == "MemoryError":
        raise TooLarge("the archive needs more memory than there is for one; bring in less")
    raise FAULTS.get(kind, UsageError)(detail)


def _save(archive: UploadFile, path: Path) -> None:
    with writing(path), path.open("xb") as file:
        shutil.copyfileobj(archive.file, file)
