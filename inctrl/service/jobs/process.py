"""One command of `inctrl` as a child process: started, watched, stopped."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import inctrl

LAUNCH = Path(__file__).with_name("launch.py")
PATIENCE = 3.0
"""Seconds in which a child may leave by itself before it is killed."""
POLL = 0.05


class JobProcess:
    """A running command, the leader of a process group of its own."""

    def __init__(
        self, arguments: Sequence[str], folder: Path, log: Path, added: Mapping[str, str], lock: int
    ) -> None:
        """Start `inctrl ARGUMENTS` in a folder; what it says is added to the log.

        added   to the environment
        lock    a file that stays locked as long as the child lives
        """
        # -P: a module in the data root is not imported.
        inctrl_itself = [sys.executable, "-P", "-m", "inctrl", *arguments]
        launcher = [sys.executable, "-I", "-S", str(LAUNCH), str(os.getpid())]
        with log.open("ab") as file:
            self._process = subprocess.Popen(  # noqa: S603  specs.py says what the arguments are
                [*launcher, *inctrl_itself],
                cwd=folder,
                env={**os.environ, "PYTHONPATH": _import_path(), **added},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=(lock,),
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def code(self) -> int | None:
        """The exit code, the negative number of the signal that ended it, or None: it runs."""
        return self._process.poll()

    async def stop(self) -> None:
        """Ask it to leave, and kill it if it does not; it is gone afterwards."""
        until = time.monotonic() + PATIENCE
        self._signal(signal.SIGTERM)
        while self.code() is None and time.monotonic() < until:
            await asyncio.sleep(POLL)
        self._signal(signal.SIGKILL)
        while self.code() is None:
            await asyncio.sleep(POLL)

    def _signal(self, number: int) -> None:
        if self.code() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, number)


def _import_path() -> str:
    """So that the child runs this very package, installed or not."""
    here = str(Path(inctrl.__file__).resolve().parent.parent)
    return os.pathsep.join(filter(None, (here, os.environ.get("PYTHONPATH"))))
