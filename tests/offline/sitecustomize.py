"""What holds for every process of the tests: none leaves this machine, and `tiny` is the default.

Every connection that leaves this machine is refused, and noted in a file. Where no backbone is
named it is `tiny`, whatever users get: the tests are of all else, and it takes a fraction of the
time.

Python imports this module at start where its folder is on PYTHONPATH, which the conftest sees to:
the watch therefore holds for every child process of the tests too. The decoders of the service
alone are not watched, for they are given nothing of the environment; they need not be, for they
have no descriptor left with which a socket could be opened (`RLIMIT_NOFILE` 0 in `decoder.py`).
"""

import contextlib
import ipaddress
import os
import platform
import sys
from pathlib import Path
from typing import Any

NOTES = "INCTRL_TESTS_DIALLED"
OWN_NAME = platform.node()
LOCAL_NAMES = {None, "", b"", "localhost", b"localhost", OWN_NAME, OWN_NAME.encode()}
EVENTS = {"socket.connect", "socket.sendto", "socket.sendmsg"}
LOOKUPS = {
    *("socket.getaddrinfo", "socket.getnameinfo"),
    *("socket.gethostbyname", "socket.gethostbyaddr"),
}
"""They ask a name server."""


def watch(event: str, details: tuple[Any, ...]) -> None:
    """An audit hook; what it raises ends the attempt."""
    if event in EVENTS:
        address = details[1]
        host = address[0] if isinstance(address, tuple) and address else None
    elif event in LOOKUPS:
        # Of a look-up by address it is the first part of a pair.
        host = details[0][0] if isinstance(details[0], tuple) else details[0]
    else:
        return
    if is_local(host):
        return
    notes = os.environ.get(NOTES)
    if notes:
        test = os.environ.get("PYTEST_CURRENT_TEST", "no test")
        with Path(notes).open("a", encoding="utf-8") as file:
            file.write(f"{event} {host!r} by {' '.join(sys.argv[:4])} in {test}\n")
    raise PermissionError(f"the tests may not leave this machine: {event} {host!r}")


def is_local(host: Any) -> bool:
    """Whether an address or name is this machine's own."""
    if host in LOCAL_NAMES:
        return True
    text = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)
    try:
        found = ipaddress.ip_address(text.split("%", 1)[0])
    except ValueError:
        return False
    return found.is_loopback or found.is_unspecified


if os.environ.get(NOTES):
    sys.addaudithook(watch)
with contextlib.suppress(ImportError):  # some child processes know nothing of the package
    from inctrl import resources

    resources.DEFAULT_BACKBONE = "tiny"
