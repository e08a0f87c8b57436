"""Files and folders that nobody but their owner may read, whatever the umask says."""

import contextlib
import stat
from pathlib import Path

from inctrl.files.whole import writing

FOLDER, FILE = 0o700, 0o600


def private_folder(path: Path) -> None:
    """Make a folder where there is none, and close it to others."""
    with writing(path):
        path.mkdir(mode=FOLDER, exist_ok=True)
    close_to_others(path)


def close_to_others(path: Path) -> None:
    """Take the rights of others from what is there; what belongs to somebody else stays."""
    with contextlib.suppress(OSError):  # or is not there, or on a disk that is only read
        status = path.stat()
        if stat.S_IMODE(status.st_mode) & 0o077:
            path.chmod(FOLDER if stat.S_ISDIR(status.st_mode) else FILE)
