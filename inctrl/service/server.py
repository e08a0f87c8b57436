"""Running the service: one process, one port, until it is told to stop."""

import asyncio
import ipaddress
import socket
from collections.abc import Callable

from fastapi import FastAPI

from inctrl.errors import Conflict, UsageError
from inctrl.service.app import build, guarded
from inctrl.service.drain import DrainingServer
from inctrl.service.layers import configuration
from inctrl.service.settings import Settings

BACKLOG = 256


def serve(
    settings: Settings,
    *,
    add_page: Callable[[FastAPI], object] = lambda _: None,
    say: Callable[[str], object] = print,
) -> int:
    """Serve until SIGTERM or SIGINT; 0 where all work was finished by then."""
    refuse_open_door(settings)
    with _bound(settings) as listener:
        app = build(settings)
        add_page(app)
        host, port = listener.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        say(f"inctrl is at http://{shown}:{port}  (stop with Ctrl-C)")
        limits = settings.limits
        config = configuration(guarded(app), limits, host=host, port=port)
        server = DrainingServer(config, app.state.drain, limits)
        asyncio.run(server.serve([listener]))
    return 0 if server.clean and server.started else 1


def refuse_open_door(settings: Settings) -> None:
    """UsageError where anybody on the network could use the service without a token."""
    if settings.tokens is None and not _is_loopback(settings.host):
        raise UsageError(
            f"--host {settings.host} can be reached from other machines; "
            "give --token-file (`inctrl serve --new-token FILE` makes one)"
        )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _bound(settings: Settings) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        # asyncio sets TCP_NODELAY only where the protocol is named; without it replies wait 40 ms.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((settings.host, settings.port))
    except OSError as error:
        reason = error.strerror or error
        raise Conflict(
            f"cannot listen at {settings.host}:{settings.port} ({reason}); "
            "choose another --port or --host"
        ) from None
    listener.listen(BACKLOG)
    return listener
