"""Folders for what is on its way in or out: inside the store, whose disk is meant for it."""

import contextlib
import shutil
import tempfile
import time

from inctrl.files.private import private_folder
from inctrl.files.whole import writing
from inctrl.store import Store

NAME = "tmp"
SECONDS = 3600.0
"""What is older was left by a service that was killed: nothing takes so long."""


def scratch(store: Store) -> tempfile.TemporaryDirectory[str]:
    """A folder of one's own, gone when it is closed."""
    place = store.folder / NAME
    private_folder(place)
    with writing(place):
        return tempfile.TemporaryDirectory(dir=place)


def sweep(store: Store, older_than: float = SECONDS) -> None:
    """Remove what nobody works on any more."""
    with contextlib.suppress(FileNotFoundError):
        for path in (store.folder / NAME).iterdir():
            with contextlib.suppress(OSError):
                if time.time() - path.stat().st_mtime > older_than:
                    shutil.rmtree(path, ignore_errors=True)
