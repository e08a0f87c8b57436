"""A file or folder that one holds at a time; whoever dies lets go of it."""

import os
from pathlib import Path


def lock(path: Path) -> int | None:
    """Its descriptor, locked until it is closed here and by all who inherited it; None if taken.

    A file is made where there is none; elsewhere than on POSIX two are not told apart.
    """
    flags = os.O_RDONLY if path.is_dir() else os.O_RDWR | os.O_CREAT
    handle = os.open(path, flags | os.O_CLOEXEC, 0o600)
    try:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except ImportError:
        return handle
    except BlockingIOError:
        os.close(handle)
        return None
    return handle
