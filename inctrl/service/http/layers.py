"""The layers between the network and the routes, in the order that they need."""

from collections.abc import Iterable, Mapping

from starlette.types import ASGIApp
from uvicorn import Config

from inctrl.service.http.access import Tokens
from inctrl.service.http.bodies import Bodies
from inctrl.service.http.drain import Drain, InFlight
from inctrl.service.http.guard import Guard
from inctrl.service.http.headers import ReplyHeaders
from inctrl.service.http.limits import Limits
from inctrl.service.http.protocol import protocol
from inctrl.service.http.tokens import Check


def protected(
    app: ASGIApp,
    *,
    limits: Limits,
    drain: Drain,
    hosts: Iterable[str],
    origins: Iterable[str] = (),
    verify: Check | None = None,
    larger: Mapping[str, int] | None = None,
) -> ASGIApp:
    """The app behind all layers; for the parameters see `Guard`, `Tokens` and `Bodies`."""
    app = Tokens(app, verify)
    app = Guard(app, hosts, origins)
    # Counts before anything is awaited: what was read before the signal is in flight.
    app = InFlight(app, drain)
    # Around all that may refuse, so that a client that is still sending gets to read why.
    app = Bodies(app, limits, larger)
    return ReplyHeaders(app)


def configuration(app: ASGIApp, limits: Limits, *, host: str, port: int) -> Config:
    """How uvicorn has to be set for the layers to keep their promises."""
    return Config(
        app,
        host=host,
        port=port,
        http=protocol(limits),
        ws="none",  # no route speaks it
        loop="asyncio",
        proxy_headers=False,  # nor does anything here go by a client's address
        server_header=False,
        access_log=False,
        log_config=None,
        timeout_keep_alive=limits.keep_alive_seconds,
    )
