"""Zip files: those of others read with suspicion, ours the same bytes for the same content."""

import stat
import zipfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import IO

from inctrl.errors import InvalidFile, UsageError

MOST_MEMBERS = 200_000
MOST_BYTES = 64 * 10**9
"""Of all members together, unpacked."""
MOST_MEMBER_BYTES = 512 * 10**6
HIGHEST_RATIO = 100
"""Unpacked size by packed size; images are packed already."""
EPOCH = (1980, 1, 1, 0, 0, 0)
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class Archive:
    """The plain members of a zip file; nothing of it is ever unpacked into a folder."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._zip = zipfile.ZipFile(path)
        except FileNotFoundError:
            raise UsageError(f"there is no file {str(path)!r}") from None
        except (zipfile.BadZipFile, NotImplementedError, ValueError):
            raise InvalidFile(f"{str(path)!r} is not a zip file, or cut short") from None
        except OSError as error:
            raise InvalidFile(f"{str(path)!r} cannot be read ({error.strerror})") from None
        try:
            self._members = self._accepted()
        except BaseException:
            self._zip.close()
            raise

    @property
    def names(self) -> set[str]:
        return set(self._members)

    def read(self, name: str, most: int = MOST_MEMBER_BYTES) -> bytes:
        """A member, whole; InvalidFile where it is absent, damaged or over `most` bytes."""
        member = self._members.get(name)
        if member is None:
            raise InvalidFile(f"{str(self._path)!r} lacks {name!r}")
        if member.file_size > most:
            raise self._refusal(f"holds {name!r} of {member.file_size} bytes, over {most}")
        try:
            with self._zip.open(member) as file:
                data = file.read(member.file_size + 1)
        except Exception as error:  # zlib and zipfile raise almost anything on damaged files
            reason = " ".join(str(error).split()) or type(error).__name__
            raise InvalidFile(f"{name!r} in {str(self._path)!r} is damaged ({reason})") from None
        if len(data) != member.file_size:
            raise InvalidFile(f"{name!r} in {str(self._path)!r} is not of the size it claims")
        return data

    def close(self) -> None:
        self._zip.close()

    def _accepted(self) -> dict[str, zipfile.ZipInfo]:
        members = self._zip.infolist()
        unpacked = sum(member.file_size for member in members)
        packed = sum(member.compress_size for member in members)
        if len(members) > MOST_MEMBERS:
            raise self._refusal(f"holds {len(members)} members, over {MOST_MEMBERS}")
        if unpacked > MOST_BYTES:
            raise self._refusal(f"would unpack to {unpacked} bytes, over {MOST_BYTES}")
        if packed > self._path.stat().st_size:
            raise self._refusal("holds members that lie over each other")
        accepted: dict[str, zipfile.ZipInfo] = {}
        for member in members:
            self._check(member)
            if member.filename in accepted:
                raise self._refusal(f"holds {member.filename!a} twice")
            accepted[member.filename] = member
        return accepted

    def _check(self, member: zipfile.ZipInfo) -> None:
        name = member.orig_filename  # as it is written there; zipfile cuts it at a NUL
        path = PurePosixPath(name)
        outside = path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name
        if outside or name != member.filename:
            raise self._refusal(f"holds {name!a}, which leads out of its folder")
        mode = member.external_attr >> 16
        if stat.S_IFMT(mode) not in (0, stat.S_IFREG) or member.is_dir():
            raise self._refusal(f"holds {member.filename!a}, which is a link or no plain file")
        if member.flag_bits & 1 or member.compress_type not in METHODS:
            raise self._refusal(f"holds {member.filename!a} encrypted or packed in a rare way")
        if member.file_size > HIGHEST_RATIO * max(member.compress_size, 1):
            raise self._refusal(
                f"holds {member.filename!a}, which unpacks to over {HIGHEST_RATIO} times its size"
            )

    def _refusal(self, seen: str) -> InvalidFile:
        return InvalidFile(f"{str(self._path)!r} {seen}; nothing was imported")


def write_archive(file: IO[bytes], members: Iterable[tuple[str, bytes]]) -> None:
    """The same members give the same bytes, whenever they are written."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members:
            member = zipfile.ZipInfo(name, EPOCH)
            member.external_attr = (stat.S_IFREG | 0o644) << 16
            archive.writestr(member, data)
