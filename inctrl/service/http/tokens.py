"""Tokens: how they are kept, and who is let in.

At rest there is a salted scrypt hash and nothing else. In memory there are hashes too.
"""

import base64
import binascii
import contextlib
import hashlib
import hmac
import os
import re
import secrets
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from inctrl.errors import Conflict, InvalidFile, OutputError, UsageError
from inctrl.files import names

NAME = re.compile(names.TOKEN)
PARAMETERS = re.compile(r"scrypt,n=(\d{1,6}),r=(\d{1,2}),p=(\d)")
COST, BLOCK, PARALLEL = 2**14, 8, 1
LARGEST = 2**17 * 8  # n * r: a damaged line must not take gigabytes
LONGEST_TOKEN = 256

Check = Callable[[str], bool]


def new_token() -> str:
    """256 random bits, in letters that fit a header, a shell and a form."""
    return "inctrl_" + secrets.token_urlsafe(32)


def write_token_file(path: Path, name: str = "default") -> str:
    """Adds a new token to the file, or makes the file; returns the token, which nothing keeps."""
    if NAME.fullmatch(name) is None:
        raise UsageError(f"{name!r} is no name for a token; use a-z, 0-9, '.', '_' and '-'")
    entries = TokenFile.read(path).entries if path.exists() else ()
    if any(entry.name == name for entry in entries):
        raise Conflict(f"{str(path)!r} has a token {name!r}; choose another name")
    token = new_token()
    lines = "".join(entry.line() for entry in (*entries, Entry.of(name, token)))
    partial = path.with_name(f"{path.name}.{secrets.token_hex(4)}.partial")
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(lines)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise OutputError(f"cannot write {str(path)!r}: {error.strerror}") from error
    return token


@dataclass(frozen=True)
class Entry:
    """A line of the file: `name:parameters:salt:hash`."""

    name: str
    cost: int
    block: int
    parallel: int
    salt: bytes
    digest: bytes

    @classmethod
    def of(cls, name: str, token: str) -> "Entry":
        salt = secrets.token_bytes(16)
        return cls(name, COST, BLOCK, PARALLEL, salt, _hash(token, salt, COST, BLOCK, PARALLEL))

    @classmethod
    def parse(cls, line: str) -> "Entry":
        """ValueError where the line is not one of ours."""
        name, parameters, salt, digest = line.split(":")
        match = PARAMETERS.fullmatch(parameters)
        if match is None or NAME.fullmatch(name) is None:
            raise ValueError(name)
        cost, block, parallel = (int(part) for part in match.groups())
        power_of_two = cost > 1 and cost & (cost - 1) == 0
        entry = cls(name, cost, block, parallel, _decoded(salt), _decoded(digest))
        if not power_of_two or cost * block > LARGEST or not (block and parallel):
            raise ValueError(parameters)
        if len(entry.salt) < 16 or len(entry.digest) != 32:
            raise ValueError(name)
        return entry

    def line(self) -> str:
        salt, digest = (base64.b64encode(part).decode() for part in (self.salt, self.digest))
        return (
            f"{self.name}:scrypt,n={self.cost},r={self.block},p={self.parallel}:{salt}:{digest}\n"
        )

    def matches(self, token: str) -> bool:
        own = _hash(token, self.salt, self.cost, self.block, self.parallel)
        return hmac.compare_digest(own, self.digest)


@dataclass(frozen=True)
class TokenFile:
    """The tokens that are let in."""

    entries: tuple[Entry, ...]

    @classmethod
    def read(cls, path: Path) -> "TokenFile":
        """InvalidFile where others may read the file, or a line is not a token's."""
        shown = str(path)
        try:
            with path.open(encoding="ascii") as file:
                mode = os.fstat(file.fileno())
                if stat.S_IMODE(mode.st_mode) & 0o077:
                    raise InvalidFile(f"{shown!r} is open to others; do: chmod 600 {shown}")
                if mode.st_uid not in (os.geteuid(), 0):
                    raise InvalidFile(f"{shown!r} belongs to another user; make a file of your own")
                lines = file.read(1_000_000).splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidFile(f"cannot read the tokens in {shown!r}: {error}") from error
        entries = []
        for number, line in enumerate(lines, start=1):
            try:
                entries.append(Entry.parse(line))
            except ValueError:
                # Never the line: a token that was pasted there would land in a log.
                message = f"line {number} of {shown!r} is not a token's; remove it"
                raise InvalidFile(message) from None
        if not entries:
            raise InvalidFile(f"{shown!r} holds no token; remove it and make a new one")
        return cls(tuple(entries))

    def check(self, token: str) -> bool:
        """Whether the token is one of these. The time taken tells nothing of which or how near."""
        if len(token) > LONGEST_TOKEN:
            return False
        return sum(entry.matches(token) for entry in self.entries) > 0  # all are tried


def _hash(token: str, salt: bytes, cost: int, block: int, parallel: int) -> bytes:
    memory = 128 * block * (cost + parallel) + 1_000_000
    raw = token.encode("utf-8", "surrogatepass")
    return hashlib.scrypt(raw, salt=salt, n=cost, r=block, p=parallel, maxmem=memory, dklen=32)


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error
