"""Tokens and the file of their hashes.

A token is 256 random bits, which nobody guesses: a plain SHA-256 of it may lie on a disk.
"""

import hashlib
import hmac
import os
import re
import secrets
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from inctrl.errors import Conflict, InvalidFile, UsageError
from inctrl.files import names
from inctrl.files.whole import write_file

LINE = re.compile(rf"({names.TOKEN}):sha256:([0-9a-f]{{64}})")

Check = Callable[[str], bool]


def new_token() -> str:
    """256 random bits, in letters that fit a header, a shell and a form."""
    return "inctrl_" + secrets.token_urlsafe(32)


def write_token_file(path: Path, name: str = "default") -> str:
    """Adds a new token to the file, or makes the file; returns the token, which nothing keeps."""
    if re.fullmatch(names.TOKEN, name) is None:
        raise UsageError(f"{name!r} is no name for a token; use a-z, 0-9, '.', '_' and '-'")
    digests = dict(TokenFile.read(path).digests) if path.exists() else {}
    if name in digests:
        raise Conflict(f"{str(path)!r} has a token {name!r}; choose another name")
    token = new_token()
    digests[name] = _digest(token)
    lines = "".join(f"{one}:sha256:{digest}\n" for one, digest in digests.items())
    write_file(path, lines.encode("ascii"), durable=True, mode=0o600)
    return token


@dataclass(frozen=True)
class TokenFile:
    """The tokens that are let in: their names, each with its digest."""

    digests: tuple[tuple[str, str], ...]

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
        if not lines:
            raise InvalidFile(f"{shown!r} holds no token; remove it and make a new one")
        found = []
        for number, line in enumerate(lines, start=1):
            match = LINE.fullmatch(line)
            if match is None:
                # Never the line: a token that was pasted there would land in a log.
                where = f"line {number} of {shown!r}"
                if ":scrypt," in line:
                    raise InvalidFile(f"{where} is of an older kind; remove it, make a new token")
                raise InvalidFile(f"{where} is not a token's; remove it")
            found.append((match[1], match[2]))
        return cls(tuple(found))

    def check(self, token: str) -> bool:
        """Whether the token is one of these. The time taken tells nothing of which or how near."""
        own = _digest(token)
        return sum(hmac.compare_digest(own, digest) for _, digest in self.digests) > 0


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
