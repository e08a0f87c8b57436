"""A file that one holds at a time; whoever dies lets go of it."""

import os
from pathlib import Path


def taken(path: Path) -> int | None:
    """The open file, locked until it is closed here and by all who inherited it; None if it is."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except ImportError:  # elsewhere than on POSIX two are not told apart
        return handle
    except BlockingIOError:
        os.close(handle)
        return None
    return handle
