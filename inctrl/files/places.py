"""Where a user's files lie by default, and what stands in for users who have no home folder.

A service account or a container's user may have neither HOME nor an entry in the system's list of
users. What is only remembered may then lie in a temporary folder; what is to last may not.
"""

import os
import stat
import tempfile
from pathlib import Path

import platformdirs

from inctrl.errors import Fix, UsageError
from inctrl.files.private import FOLDER

APP = "inctrl"


def data_folder(part: str, what: str, fix: Fix) -> Path:
    """Where something is kept for good; UsageError where the user has no home folder.

    what    the thing, in words; `fix` says how to name another place for it
    """
    try:
        folder = Path(platformdirs.user_data_dir(APP))
    except RuntimeError:  # neither HOME nor an entry in the list of users
        folder = Path()
    if not folder.is_absolute():
        raise UsageError(f"this user has no home folder to keep {what} in", fix=fix)
    return folder / part


def cache_folder() -> Path | None:
    """Where something is remembered; None where the user has no home folder."""
    try:
        folder = Path(platformdirs.user_cache_dir(APP))
    except RuntimeError:
        return None
    return folder if folder.is_absolute() else None


def temporary_folder() -> Path:
    """A folder of this user alone below the system's temporary one, which outlasts the process.

    Anybody may make a folder of this name there: OSError where it is not this user's own, closed
    to all others.
    """
    number = os.getuid() if hasattr(os, "getuid") else "user"
    path = Path(tempfile.gettempdir(), f"{APP}-{number}")
    path.mkdir(mode=FOLDER, exist_ok=True)
    status = path.lstat()
    own = not hasattr(os, "getuid") or status.st_uid == os.getuid()
    if not (stat.S_ISDIR(status.st_mode) and own) or (
        os.name == "posix" and status.st_mode & 0o077
    ):
        raise PermissionError(f"{str(path)!r} is not a folder of this user alone")
    return path


def expanded(path: str | Path) -> Path:
    """A path with `~` in front made whole; UsageError where there is no such home folder."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise UsageError(
            f"{str(path)!r} begins with a home folder that is not there; give the whole path"
        ) from None
