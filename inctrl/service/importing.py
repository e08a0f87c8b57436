"""An archive from outside is read by a process of its own: its images are a stranger's."""

import asyncio
import shutil
import sys
import tempfile
from pathlib import Path

from fastapi import UploadFile

from inctrl.errors import Busy, Conflict, InctrlError, NoSpace, UsageError
from inctrl.store import SetVersion, Store, parse_name

SECONDS = 120.0
FAILURES: dict[int, type[InctrlError]] = {6: Conflict, 7: NoSpace}
"""Exit codes of the command line that are not the archive's fault."""


async def import_apart(store: Store, archive: UploadFile, name: str | None) -> SetVersion:
    """The latest version of the set that was brought in; UsageError where the archive is bad."""
    with tempfile.TemporaryDirectory(prefix="inctrl-import-") as folder:
        path = Path(folder, "archive.zip")
        await asyncio.to_thread(_save, archive, path)
        words = ["sets", "import", str(path), f"--store={store.folder}"]
        if name is not None:
            words.append(f"--name={name}")
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "inctrl", *words),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            told, failed = await asyncio.wait_for(child.communicate(), SECONDS)
        except BaseException as error:
            child.kill()
            await child.wait()
            if isinstance(error, TimeoutError):
                raise Busy("the archive took too long to read; bring in fewer images") from None
            raise
    if child.returncode:
        lines = failed.decode("utf-8", "replace").strip().splitlines() or ["it failed"]
        kind = FAILURES.get(child.returncode, UsageError)
        raise kind(lines[-1].removeprefix("inctrl: "))
    found = parse_name(told.decode().split("@", 1)[0].strip())
    return await asyncio.to_thread(store.sets.get, found)


def _save(archive: UploadFile, path: Path) -> None:
    with path.open("wb") as file:
        shutil.copyfileobj(archive.file, file)
