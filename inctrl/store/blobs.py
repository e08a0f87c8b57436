"""Files named by the hash of what they hold: written once, whole, never changed.

A blob is durable before `put` returns, and only then does a row name it. So whatever ends a write
leaves at worst a blob or a temporary file that no row names; `sweep` removes those.
"""

import contextlib
import hashlib
import os
import re
import time
from collections.abc import Collection, Iterator
from pathlib import Path

from inctrl.errors import InvalidFile
from inctrl.files.names import SHA256
from inctrl.files.private import FILE, private_folder
from inctrl.files.whole import PARTIAL, sync_folder, write_file, writing

ORPHAN_SECONDS = 3600.0
"""Age from which a blob that no row names, or a temporary file, belongs to no write under way."""
TEMPORARY = (PARTIAL, ".tmp")
"""How the names of temporary files end, of those that stores of before have left too."""


class Blobs:
    """FOLDER/ab/abcd...: any number of threads and processes may share it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._durable: set[str] = set()
        """Subfolders known to outlast a power cut, whoever made them."""
        private_folder(folder)

    def path(self, sha256: str) -> Path:
        """Where the blob is, if it is there."""
        if not re.fullmatch(SHA256, sha256):
            raise InvalidFile(f"{sha256!r} is no hash; the store is damaged")
        return self.folder / sha256[:2] / sha256

    def put(self, data: bytes) -> str:
        """Keep `data`, durably, and give its hash; what is there already is only touched.

        Raises NoSpace or OutputError, and then nothing is left behind.
        """
        sha256 = hashlib.sha256(data).hexdigest()
        path = self.path(sha256)
        with writing(self.folder):
            self._make_subfolder(path.parent)
            if self._touched(path, data):
                # Whoever renamed it may not have come to this yet.
                sync_folder(path.parent)
            else:
                write_file(path, data, durable=True, mode=FILE)
        return sha256

    def has(self, sha256: str) -> bool:
        return self.path(sha256).is_file()

    def read(self, sha256: str) -> bytes:
        """The bytes as they were put; InvalidFile where they are not those any more."""
        try:
            data = self.path(sha256).read_bytes()
        except FileNotFoundError:
            raise InvalidFile(f"blob {sha256} is missing from the store") from None
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise InvalidFile(f"blob {sha256} cannot be read ({reason})") from None
        if hashlib.sha256(data).hexdigest() != sha256:
            raise InvalidFile(f"blob {sha256} is damaged (its bytes have changed)")
        return data

    def orphans(self, kept: Collection[str]) -> Iterator[Path]:
        """What is there besides `kept`: blobs, and temporary files of writes that did not end."""
        for folder in sorted(self.folder.iterdir()):
            if not re.fullmatch("[0-9a-f]{2}", folder.name):
                continue
            for path in sorted(folder.iterdir()):
                blob = re.fullmatch(SHA256, path.name) is not None and path.name not in kept
                if blob or path.name.endswith(TEMPORARY):
                    yield path

    def sweep(self, kept: Collection[str], older_than: float = ORPHAN_SECONDS) -> int:
        """Remove the orphans that nobody has put for so many seconds; gives how many.

        The caller holds the store's write lock since before it asked for `kept`, and every writer
        makes sure under that lock that its blobs are there before it names them in a row.
        """
        removed = 0
        for path in self.orphans(kept):
            with contextlib.suppress(OSError):  # another one swept it, or it may not be removed
                if time.time() - path.stat().st_mtime >= older_than:
                    path.unlink()
                    removed += 1
        return removed

    def _make_subfolder(self, folder: Path) -> None:
        if folder.name not in self._durable:
            private_folder(folder)
            sync_folder(self.folder)
            self._durable.add(folder.name)

    def _touched(self, path: Path, data: bytes) -> bool:
        """Whether the blob is there undamaged; it then counts as put now."""
        try:
            if path.read_bytes() != data:
                return False
            os.utime(path)
        except OSError:
            return False
        return True
