"""Features remembered on disk by content.

An entry is named by a hash of all that it depends on, so that it can be wrong for nobody, holds a
checksum of its tensors, and is written whole, so that any number of processes may share a folder.
A damaged entry counts as absent, and what does not look like an entry is never touched.
"""

import functools
import hashlib
import logging
import os
import re
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from inctrl.errors import OutputError, UsageError
from inctrl.files.places import cache_folder, expanded, temporary_folder
from inctrl.files.private import FILE
from inctrl.files.tensors import hash_tensors, pack_layers, unpack_layers
from inctrl.files.whole import write_file, writing
from inctrl.types import Features

logger = logging.getLogger("inctrl")

DEFAULT_LIMIT = 2 * 1024**3
"""Bytes kept on disk; the entries unused for longest go first."""
PRUNE_EVERY = 256
"""Entries written between two looks at the size of the folder."""
ABANDONED = 3600
"""Seconds after which a temporary file belongs to a process that is gone."""
ENTRY = re.compile(r"[0-9a-f]{64}\.(safetensors(\.[0-9a-f]{32}\.partial)?|[^.]*\.tmp)")
"""An entry, or the temporary file of one; `.tmp` is that of earlier versions."""
FEATURES = "features"
"""The folder in the user's cache."""
CHECKSUM = "sha256"
"""In the file's metadata; entries of earlier versions have none and are computed anew."""


class Remembers(Protocol):
    """What keeps features under 64-digit keys; `read` gives None for what it does not have."""

    def read(self, key: str) -> Features | None: ...
    def write(self, key: str, features: Features) -> None: ...
    def prune(self) -> None: ...


class FeatureCache:
    """A folder of feature files, one an image; size-bounded."""

    def __init__(self, folder: Path, limit: int = DEFAULT_LIMIT) -> None:
        self.folder = folder
        self.limit = limit
        self._written = 0
        self._warned: set[str] = set()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise UsageError(
                f"cache folder {str(folder)!r} cannot be written ({error.strerror})",
                fix="use another cache",
            ) from None

    def read(self, key: str) -> Features | None:
        """The entry of a 64-digit key, or None."""
        path = self._path(key)
        try:
            with safetensors.safe_open(path, "pt") as file:
                stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                noted = (file.metadata() or {}).get(CHECKSUM)
            if noted == _checksum(stored):
                os.utime(path)
                patches, windows = unpack_layers(stored), unpack_layers(stored, "windows")
                return Features(patches, stored["image"], windows)
            damaged = noted is not None
        except OSError:
            return None
        except safetensors.SafetensorError:
            damaged = True
        if damaged:
            self._warn_once("a damaged file of remembered features is computed again")
        return None

    def write(self, key: str, features: Features) -> None:
        """Remember; a folder that cannot be written any more costs time, not the result."""
        path = self._path(key)
        try:
            with writing(path):
                path.parent.mkdir(parents=True, exist_ok=True)
            write_file(path, _packed(features), mode=FILE)
            self._written += 1
            if self._written % PRUNE_EVERY == 0:
                self.prune()
        except (OSError, OutputError) as error:
            self._warn_once("features are not remembered", error)

    def prune(self) -> None:
        """Delete the entries unused for longest until the folder is within its limit."""
        entries: list[tuple[float, int, Path]] = []
        for path in self.folder.glob("[0-9a-f][0-9a-f]/*"):
            try:
                stat = path.stat()
            except OSError:  # another process pruned it first
                continue
            if not ENTRY.fullmatch(path.name) or not path.is_file():
                continue
            if path.suffix != ".safetensors" and time.time() - stat.st_mtime < ABANDONED:
                continue  # another process is writing it
            entries.append((stat.st_mtime, stat.st_size, path))
        total = sum(size for _, size, _ in entries)
        for _, size, path in sorted(entries):
            if total <= self.limit:
                return
            path.unlink(missing_ok=True)
            total -= size

    def _warn_once(self, what: str, reason: Exception | None = None) -> None:
        if what not in self._warned:
            logger.warning(f"{what}: {reason}" if reason else what)
        self._warned.add(what)

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.safetensors"


def _packed(features: Features) -> bytes:
    # Cloned, as a row of a batch would be stored with the whole batch behind it.
    tensors = {
        name: tensor.cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in {
            **pack_layers(features.patches, image=features.image),
            **pack_layers(features.windows, "windows"),
        }.items()
    }
    return safetensors.torch.save(tensors, {CHECKSUM: _checksum(tensors)})


def _checksum(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    hash_tensors(digest, tensors)
    return digest.hexdigest()


def chosen_folder(setting: str | Path | None = None) -> Path | None:
    """The folder set by argument or `INCTRL_CACHE`, else the default one; None for "off".

    The default is in the user's cache, or in a temporary folder where the user has no home.
    """
    chosen = setting or os.environ.get("INCTRL_CACHE")
    if chosen == "off":
        return None
    home = cache_folder()
    return expanded(chosen) if chosen else (home or temporary_folder()) / FEATURES


def open_cache(setting: str | Path | None, limit: int = DEFAULT_LIMIT) -> FeatureCache | None:
    """A folder -> its cache; "off" -> None; None -> `INCTRL_CACHE`, else the default folder.

    limit    bytes that it may come to
    Where the default folder cannot be written, or there is none, a temporary one takes its place,
    and where that cannot be had either nothing is remembered; both are said. A folder that is
    named and cannot be written is a UsageError.
    """
    if setting or os.environ.get("INCTRL_CACHE"):
        named = chosen_folder(setting)
        return FeatureCache(named, limit) if named else None
    home, reason = cache_folder(), "this user has no home folder"
    try:
        if home:
            return FeatureCache(home / FEATURES, limit)
    except UsageError as error:
        reason = str(error)
    try:
        cache = FeatureCache(temporary_folder() / FEATURES, limit)
    except (OSError, UsageError) as error:
        _say_once(f"features are not remembered: {reason}, and {error}")
        return None
    _say_once(f"{reason}: features are remembered in {str(cache.folder)!r} for now")
    return cache


@functools.cache
def _say_once(line: str) -> None:
    logger.warning("%s", line)
