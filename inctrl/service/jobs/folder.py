"""The folder of a job: its log, its progress and what comes of it.

JOBS/ID/log.txt          what the command said, the end of it
JOBS/ID/progress.jsonl   how far it is
JOBS/ID/result/          report and scores, or the folder of the adapter
JOBS/ID/lock             locked while a child is at work
"""

import io
import json
import os
import re
import shutil
import zipfile
from pathlib import Path

from inctrl.errors import NotStored
from inctrl.files.lock import lock
from inctrl.files.names import JOB
from inctrl.service.schemas import JobFile

LOG_BYTES, TAIL_BYTES = 4_000_000, 16_000
"""What is kept of a log, and what is shown of it."""
MOST_FILES = 1000
ID = re.compile(JOB)
UNSHOWN = ("cells", "examples")
"""What an evaluation goes on from; its report has all of it."""
UNDONE = (".partial", ".training")
"""Endings of what a command writes before it is done."""
FIRST_DAY = (1980, 1, 1, 0, 0, 0)


class JobFolder:
    """The paths of a job and what is done with them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.log = path / "log.txt"
        self.progress = path / "progress.jsonl"
        self.result = path / "result"
        self.lock = path / "lock"

    def begin(self, attempt: int) -> None:
        """Make it, and note that the job begins or goes on."""
        self.path.mkdir(parents=True, exist_ok=True)
        with self.progress.open("a", encoding="utf-8") as file:
            # A kill may have cut the last line.
            file.write("\n" + json.dumps({"attempt": attempt}) + "\n")
        if attempt > 1:
            with self.log.open("a", encoding="utf-8") as file:
                file.write(f"--- attempt {attempt} ---\n")

    def free(self) -> bool:
        """Whether no child is at work."""
        if not self.path.is_dir():
            return True
        handle = lock(self.lock)
        if handle is not None:
            os.close(handle)
        return handle is not None

    def clear(self) -> None:
        """Remove what came of it."""
        shutil.rmtree(self.result, ignore_errors=True)

    def sweep(self, *endings: str) -> None:
        """Remove folders that a killed command has left under such names."""
        for place in (self.path, self.result):
            for path in place.iterdir() if place.is_dir() else ():
                if path.name.endswith(endings):
                    shutil.rmtree(path, ignore_errors=True)

    def trim(self) -> None:
        """Of a log that has grown too long keep the last half of what may be kept.

        The command adds to it all the while: a few lines may be lost.
        """
        if not self.log.exists() or self.log.stat().st_size <= LOG_BYTES:
            return
        with self.log.open("r+b") as file:
            file.seek(-LOG_BYTES // 2, os.SEEK_END)
            kept = file.read().partition(b"\n")[2]
            file.seek(0)
            file.truncate()
            file.write(b"--- the beginning was left out ---\n" + kept)

    def tail(self) -> str:
        """The last lines of the log."""
        try:
            with self.log.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - TAIL_BYTES))
                data = file.read()
        except OSError:
            return ""
        text = data.decode("utf-8", "replace")
        return text.partition("\n")[2] if size > TAIL_BYTES else text

    def files(self) -> tuple[JobFile, ...]:
        """What came of it, in the order of the names."""
        found = list[JobFile]()
        for folder, below, names in os.walk(self.result):
            below[:] = sorted(name for name in below if self._shown(Path(folder, name)))
            for name in sorted(names):
                path = Path(folder, name)
                if self._shown(path) and len(found) < MOST_FILES:
                    relative = path.relative_to(self.result).as_posix()
                    found.append(JobFile(name=relative, bytes=path.stat().st_size))
        return tuple(sorted(found, key=lambda file: file.name))

    def file(self, name: str) -> Path:
        """A file of the result by its name there; NotStored for whatever is none."""
        parts = name.split("/")
        path = self.result.joinpath(*filter(None, parts))
        steps = [path, *path.parents][: len(parts)]
        try:
            proper = all(parts) and not {".", ".."} & {*parts}
            if proper and all(map(self._shown, steps)) and path.is_file():
                return path
        except (OSError, ValueError):  # too long, or not encodable
            pass
        raise NotStored("this job has no such file")

    def _shown(self, path: Path) -> bool:
        hidden = path.name.startswith(".") or path.name.endswith(UNDONE)
        return not hidden and not path.is_symlink() and path.name not in UNSHOWN


def zipped(folder: Path) -> bytes:
    """An adapter's folder as an archive that unpacks to it; the same bytes for the same files."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(p for p in folder.rglob("*") if p.is_file() and not p.is_symlink()):
            name = f"{folder.name}/{path.relative_to(folder).as_posix()}"
            archive.writestr(zipfile.ZipInfo(name, FIRST_DAY), path.read_bytes())
    return stream.getvalue()
