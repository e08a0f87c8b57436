"""A real server on a loopback port, with the layers of the service around a small app.

As a program, `python tests/served.py DRAIN_SECONDS`, it prints its port and serves until a signal.
"""

import asyncio
import contextlib
import json
import socket
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

from starlette.types import ASGIApp, Receive, Scope, Send

from inctrl.service.http.drain import Drain, DrainingServer
from inctrl.service.http.layers import configuration, protected
from inctrl.service.http.limits import Limits


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Replies with the size of what it was sent; `/slow?1.5` after 1.5 s.

    `/large?9` replies with 9 bytes, `/early` with 503 and without reading.
    """
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    if scope["path"].startswith("/gradio_api/heartbeat/"):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"alive", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass
        return
    size, more = 0, scope["path"] != "/early"
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size, more = size + len(message["body"]), message["more_body"]
    if scope["path"].startswith("/slow"):
        await asyncio.sleep(float(scope["query_string"] or 0.5))
    body = json.dumps({"size": size}).encode()
    if scope["path"].startswith("/large"):
        body = b"x" * int(scope["query_string"])
    headers = [(b"content-length", str(len(body)).encode())]
    status = 503 if scope["path"] == "/early" else 200
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@dataclass(frozen=True)
class Server:
    """Where a server listens, and how to talk to it byte by byte."""

    port: int

    def connect(self) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.port))
        connection.settimeout(15)
        return connection

    def talk(self, *pieces: bytes) -> "Answer":
        """Sends all pieces before it reads anything, then reads until the end."""
        with self.connect() as connection:
            for piece in pieces:
                connection.sendall(piece)
            return read_all(connection)

    def ask(self, path: str = "/", *, close: bool = True) -> "Answer":
        return self.talk(head("GET", path, close=close))


@dataclass(frozen=True)
class Answer:
    """What came over a connection until it ended, and after how many seconds that was."""

    raw: bytes
    seconds: float

    @property
    def status(self) -> int:
        return int(self.raw.split(b" ", 2)[1]) if self.raw else 0

    @property
    def headers(self) -> dict[str, str]:
        lines = self.raw.partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
        return dict(line.lower().split(": ", 1) for line in lines)

    @property
    def json(self) -> dict[str, object]:
        return json.loads(self.raw.partition(b"\r\n\r\n")[2])


def head(method: str, path: str, *lines: str, close: bool = True, host: str = "localhost") -> bytes:
    ending = ["Connection: close"] if close else []
    return "\r\n".join(
        [f"{method} {path} HTTP/1.1", f"Host: {host}", *ending, *lines, "", ""]
    ).encode()


def read_all(connection: socket.socket) -> Answer:
    started = time.monotonic()
    raw = b""
    while data := connection.recv(1_000_000):
        raw += data
    return Answer(raw, time.monotonic() - started)


def read_reply(connection: socket.socket) -> Answer:
    """One reply with Content-Length, on a connection that stays open."""
    started, raw = time.monotonic(), b""
    while b"\r\n\r\n" not in raw:
        raw += _some(connection)
    length = int(Answer(raw, 0).headers["content-length"])
    while len(raw.partition(b"\r\n\r\n")[2]) < length:
        raw += _some(connection)
    return Answer(raw, time.monotonic() - started)


def trickle(
    connection: socket.socket, data: bytes = b"x", every: float = 0.05, most: float = 5.0
) -> tuple[float, bytes]:
    """Seconds until the server ends a connection on which little comes, and what it said."""
    started = time.monotonic()
    connection.settimeout(every)
    received = b""
    while time.monotonic() - started < most:
        try:
            connection.sendall(data)
            piece = connection.recv(65_536)
            if not piece:
                break
            received += piece
        except TimeoutError:
            continue
        except OSError:
            break
    return time.monotonic() - started, received


def _some(connection: socket.socket) -> bytes:
    data = connection.recv(65_536)
    if not data:
        raise ConnectionError("ended in the middle of a reply")
    return data


@contextlib.contextmanager
def serving(
    app: ASGIApp = echo,
    limits: Limits | None = None,
    *,
    layers: bool = True,
    send_buffer: int | None = None,
    **protection: object,
) -> Iterator[Server]:
    """layers       whether the middlewares are there, or only the protocol
    send_buffer  bytes of a reply that the kernel takes at once
    """
    limits, drain = limits or Limits(), Drain()
    if layers:
        options = {"hosts": ["localhost", "127.0.0.1"], **protection}
        app = protected(app, limits=limits, drain=drain, **options)
    config = configuration(app, limits, host="127.0.0.1", port=0)
    server = DrainingServer(config, drain, limits)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.005)
        listener = server.servers[0].sockets[0]
        if send_buffer is not None:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
        yield Server(listener.getsockname()[1])
    finally:
        server.should_exit = True
        thread.join(30)


def main() -> None:
    limits, drain = Limits(drain_seconds=float(sys.argv[1])), Drain()
    app = protected(echo, limits=limits, drain=drain, hosts=["localhost"])
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = DrainingServer(configuration(app, limits, host="", port=0), drain, limits)
        sys.stdout.write(f"{listener.getsockname()[1]}\n")
        sys.stdout.flush()
        server.run([listener])
    sys.exit(0 if server.clean else 1)


if __name__ == "__main__":
    main()
