"""Files and folders written as a whole or not at all."""

import contextlib
import errno
import os
import shutil
import tempfile
import uuid
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import IO

from inctrl.errors import Conflict, InctrlError, NoSpace, OutputError
from inctrl.files.lock import lock

PARTIAL = ".partial"
FULL = "the disk is full; free some space and try again (nothing was half-written)"


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the system refuses of a write into NoSpace or OutputError, naming the path."""
    try:
        yield
    except InctrlError:
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NoSpace(FULL) from error
        raise unwritable(path, error.strerror or str(error) or type(error).__name__) from error


def unwritable(path: Path, reason: str) -> OutputError:
    """What a face shows where a file or folder cannot be written."""
    return OutputError(
        f"{str(path)!r} cannot be written ({reason}); check the folder, or choose another one"
    )


@contextlib.contextmanager
def whole_file(
    path: Path, *, durable: bool = False, mode: int = 0o666, partial: Path | None = None
) -> Iterator[IO[bytes]]:
    """A temporary file that takes the place of `path` when the block ends well, or is removed.

    durable   outlasts a power cut: the file is synced before the rename, and the folder after it
    mode      rights of the file, less the umask
    partial   the temporary file, on the same disk (default: beside `path`)
    """
    part = partial or path.with_name(f"{path.name}.{uuid.uuid4().hex}{PARTIAL}")
    with writing(path):
        try:
            handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
            with os.fdopen(handle, "wb") as file:
                yield file
                if durable:
                    file.flush()
                    os.fsync(file.fileno())
            part.replace(path)
        finally:
            with contextlib.suppress(OSError):
                part.unlink()  # renamed away when all went well
        if durable:
            sync_folder(path.parent)


def write_file(
    path: Path,
    data: bytes,
    *,
    durable: bool = False,
    mode: int = 0o666,
    partial: Path | None = None,
) -> None:
    """`whole_file` of bytes that are there already."""
    with whole_file(path, durable=durable, mode=mode, partial=partial) as file:
        file.write(data)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder outlast a power cut."""
    if os.name == "nt":  # folders cannot be opened there; NTFS keeps a log of its own
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def whole_folder(out: Path, contents: Collection[str], overwrite: bool = False) -> Iterator[Path]:
    """Yield the new folder OUT.partial, which becomes OUT when the block ends well.

    After any exception, a keyboard interrupt included, OUT.partial is gone and OUT as it was.
    An OUT that holds anything is refused unless `overwrite`, and even then unless all in it is
    named in `contents`: a wrong path must not cost a folder of somebody's work. What a killed run
    left in OUT.partial is used again; Conflict where a run is writing there now.
    Raises OutputError, naming OUT, where this cannot be done.
    """
    with contextlib.ExitStack() as stack:
        with writing(out):
            target = out.resolve()
            _refuse_what_is_there(out, target, contents, overwrite)
            if target.parent.exists() and not target.parent.is_dir():
                raise NotADirectoryError(errno.ENOTDIR, f"{target.parent.name!r} is not a folder")
            target.parent.mkdir(parents=True, exist_ok=True)
            partial = target.with_name(target.name + PARTIAL)
            stack.enter_context(_claimed(out, partial, contents))
        yield partial
        with writing(out):
            _refuse_what_is_there(out, target, contents, overwrite)  # it may have come meanwhile
            _take_place(partial, target)


def _refuse_what_is_there(
    out: Path, target: Path, contents: Collection[str], overwrite: bool
) -> None:
    if not os.path.lexists(target):
        return
    if not target.is_dir():
        raise OutputError(f"{str(out)!r} is a file, not a folder; choose another folder")
    if target.is_mount():
        raise OutputError(f"{str(out)!r} is a mount point; choose a new folder inside of it")
    found = {path.name for path in target.iterdir()}
    if found and not overwrite:
        raise OutputError(
            f"{str(out)!r} is not empty; choose another folder, or allow overwriting it"
        )
    if not found <= set(contents):
        raise OutputError(
            f"{str(out)!r} holds {min(found - set(contents))!r}, which no run has written, and is "
            "not replaced; choose another folder"
        )


@contextlib.contextmanager
def _claimed(out: Path, partial: Path, contents: Collection[str]) -> Iterator[None]:
    """`partial`, made and empty, under a lock that ends with this process; removed at the end.

    Elsewhere than on POSIX there is no lock, and what a killed run left must be removed by hand.
    """
    shown = f"{out}{PARTIAL}"
    busy = Conflict(
        f"{shown!r} is being written by another run; wait for it, or choose another folder"
    )
    posix = os.name == "posix"
    try:
        partial.mkdir()
    except FileExistsError:
        if not posix or partial.is_symlink() or not partial.is_dir():
            raise busy from None
    with contextlib.ExitStack() as stack:
        if posix:
            held = lock(partial)
            if held is None:
                raise busy
            stack.callback(os.close, held)
            if not os.path.samestat(os.fstat(held), partial.stat()):
                raise busy  # its run has just ended, and another begun
        found = {path.name: path for path in partial.iterdir()}
        if foreign := found.keys() - set(contents):
            raise OutputError(
                f"{shown!r} holds {min(foreign)!r}, which no run has written; remove it, or "
                "choose another folder"
            )
        for path in found.values():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        try:
            yield
        finally:
            # Renamed away when all went well.
            shutil.rmtree(partial, ignore_errors=True)


def _take_place(partial: Path, target: Path) -> None:
    """Rename `partial` to `target`; what was there is put back on failure, else removed last."""
    if not target.exists():
        partial.rename(target)
        return
    aside = Path(tempfile.mkdtemp(prefix=f"{target.name}.", dir=target.parent))
    former = aside / "former"
    try:
        target.rename(former)
        partial.rename(target)
    except BaseException:
        if former.exists():
            former.rename(target)
        aside.rmdir()
        raise
    shutil.rmtree(aside, ignore_errors=True)
