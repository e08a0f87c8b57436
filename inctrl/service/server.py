"""Running the service: one process, one port, until it is told to stop."""

import asyncio
import ipaddress
import socket
from collections.abc import Callable
from dataclasses import replace

from fastapi import FastAPI

from inctrl.errors import Conflict, UsageError
from inctrl.service.app import build, guarded
from inctrl.service.http.drain import DrainingServer
from inctrl.service.http.layers import configuration
from inctrl.service.inspectors import Choice
from inctrl.service.settings import LOOPBACK, Settings
from inctrl.service.workbench import Workbench

BACKLOG = 256


def serve(
    settings: Settings,
    *,
    add_page: Callable[[FastAPI], object] = lambda _: None,
    say: Callable[[str], object] = print,
) -> int:
    """Serve until SIGTERM or SIGINT; 0 where all work was finished by then.

    What cannot be served is an error before the port is taken, and a model that cannot be loaded
    ends the service with the error that says why.
    """
    refuse_open_door(settings)
    refuse_nonsense(settings)
    app = build(replace(settings, hosts=(*settings.hosts, *_own_names(settings.host))))
    bench: Workbench = app.state.workbench
    try:
        bench.inspectors.offered(Choice())
    except UsageError:
        bench.store.close()
        raise
    faults: list[Exception] = []
    with _bound(settings) as listener:
        add_page(app)
        host, port = listener.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        say(f"inctrl is at http://{shown}:{port}  (stop with Ctrl-C)")
        limits = settings.limits
        config = configuration(guarded(app), limits, host=host, port=port)
        server = DrainingServer(config, app.state.drain, limits)

        def give_up(error: Exception) -> None:
            faults.append(error)
            server.should_exit = True

        app.state.give_up = give_up
        asyncio.run(server.serve([listener]))
    if faults:
        raise faults[0]
    return 0 if server.clean and server.started else 1


def refuse_open_door(settings: Settings) -> None:
    """UsageError where anybody on the network could use the service without a token.

    Also where nobody could, because no name is known by which others may call it.
    """
    if settings.tokens is None and not _is_loopback(settings.host):
        raise UsageError(
            f"--host {settings.host} can be reached from other machines; "
            "give --token-file (`inctrl serve --new-token FILE` makes one)"
        )
    if _is_wildcard(settings.host) and set(settings.hosts) <= set(LOOPBACK):
        raise UsageError(
            f"--host {settings.host or '(empty)'} is every address and no name; give --allow-host "
            "NAME for each name or address by which the service is called"
        )


def refuse_nonsense(settings: Settings) -> None:
    """UsageError for what no detection could be made with."""
    if not 0 < settings.alpha <= 0.5:
        raise UsageError(f"--alpha {settings.alpha:g} is not in (0, 0.5]")
    counts = {
        "batch": settings.batch,
        "threads": settings.threads,
        "image-size": settings.image_size,
    }
    for name, count in counts.items():
        if count is not None and count < 1:
            raise UsageError(f"--{name} {count} is not a positive number")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_wildcard(host: str) -> bool:
    try:
        return not host or ipaddress.ip_address(host).is_unspecified
    except ValueError:
        pass
    try:
        return socket.inet_aton(host) == bytes(4)  # 0 and its like
    except OSError:
        return False


def _own_names(host: str) -> tuple[str, ...]:
    """What the service may be called where it listens at one address."""
    return () if _is_wildcard(host) else (host.partition("%")[0],)


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
