"""A folder written as a whole or not at all."""

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path

from inctrl.errors import OutputError


@contextlib.contextmanager
def whole_folder(out: Path, contents: Collection[str], overwrite: bool = False) -> Iterator[Path]:
    """Yield the new folder OUT.partial, which becomes OUT when the block ends well.

    After any exception, a keyboard interrupt included, OUT.partial is gone and OUT as it was.
    An OUT that holds anything is refused unless `overwrite`, and even then unless all in it is
    named in `contents`: a wrong path must not cost a folder of somebody's work.
    Raises OutputError, naming OUT, where this cannot be done.
    """
    with told(out):
        target = out.resolve()
        _refuse_what_is_there(out, target, contents, overwrite)
        if target.parent.exists() and not target.parent.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, f"{target.parent.name!r} is not a folder")
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f"{target.name}.partial")
        _make_partial(out, partial, contents, overwrite)
    try:
        yield partial
        with told(out):
            _refuse_what_is_there(out, target, contents, overwrite)  # it may have come meanwhile
            _take_place(partial, target)
    finally:
        # Renamed away when all went well.
        shutil.rmtree(partial, ignore_errors=True)


@contextlib.contextmanager
def told(out: Path) -> Iterator[None]:
    """Turn what the system refuses into one line that names the folder."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error) or type(error).__name__
        raise OutputError(
            f"{str(out)!r} cannot be written ({reason}); free space, or choose another folder"
        ) from error


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


def _make_partial(out: Path, partial: Path, contents: Collection[str], overwrite: bool) -> None:
    left_over = overwrite and partial.is_dir() and not partial.is_symlink()
    if left_over and {path.name for path in partial.iterdir()} <= set(contents):
        shutil.rmtree(partial)
    try:
        partial.mkdir()
    except FileExistsError:
        raise OutputError(
            f"{f'{out}.partial'!r} exists: another run is writing there, or was killed; "
            "remove it if none is, or choose another folder"
        ) from None


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
