"""A reply as a file, whole or not at all."""

import os
import uuid
from contextlib import AbstractContextManager
from pathlib import Path

import httpx2

from inctrl.errors import OutputError


def saved(
    path: Path, reply: AbstractContextManager[httpx2.Response], *, overwrite: bool = False
) -> Path:
    """`path`, now with what the reply holds; OutputError where it is there already."""
    if path.exists() and not (overwrite and path.is_file()):
        raise OutputError(f"{str(path)!r} is there already; choose another, or overwrite=True")
    partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}.partial")
    try:
        with reply as streamed, partial.open("xb") as file:
            for data in streamed.iter_bytes():
                file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise OutputError(f"cannot write {str(path)!r} ({error.strerror})") from None
    finally:
        partial.unlink(missing_ok=True)
    return path
