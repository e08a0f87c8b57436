"""Requests at the times at which they are due, whatever becomes of those before them.

    load = Load(port, lambda id: request("POST", "/v1/detect", id, body, kind))
    answers = load.open(rate=100, seconds=60, seed=0)

One thread and bare sockets, as the clients share the machine with what they measure. Each request
has a connection of its own, like clients that know nothing of each other. A latency counts from
the moment at which the request was due (not from when this program got around to it), and `lag`
tells how late that was. As a program it asks for /livez ten times a second, in a process that
does nothing else: `python -m benchmarks.open_load PORT SECONDS`.
"""

import errno
import json
import select
import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

now = time.perf_counter
HEAD_END = b"\r\n\r\n"
IN, OUT = select.EPOLLIN, select.EPOLLOUT


@dataclass(slots=True)
class Answer:
    """What became of a request; times by time.perf_counter.

    lag      seconds from when it was due until it was begun
    latency  seconds from when it was due until its reply was whole, or until it failed
    status   0 where no whole reply came; `error` says what did
    fresh    whether its connection was made for it
    """

    id: str
    due: float
    lag: float
    latency: float = 0.0
    status: int = 0
    error: str = ""
    fresh: bool = True
    head: bytes = b""
    body: bytes = b""


@dataclass(slots=True)
class Exchange:
    """A request on its way, and what has come of its reply."""

    answer: Answer
    socket: socket.socket
    left: memoryview
    events: int = 0
    reply: bytearray = field(default_factory=bytearray)
    length: int = -1
    """Of the whole reply, once its head is there."""


class Load:
    """Many clients in one thread.

    make      the bytes of a request by its id
    patience  seconds after which a client gives up
    bodies    whether replies are kept, not only their status
    stopped   asked before each request: True ends the load
    """

    def __init__(
        self,
        port: int,
        make: Callable[[str], bytes],
        *,
        name: str = "load",
        patience: float = 30.0,
        bodies: bool = False,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self._address = ("127.0.0.1", port)
        self._make, self._name = make, name
        self._patience, self._bodies, self._stopped = patience, bodies, stopped
        self._poll = select.epoll()
        self._under_way: dict[int, Exchange] = {}
        self._answers: list[Answer] = []
        self._idle: list[socket.socket] = []
        self._count = 0
        self._keep = False

    def open(self, rate: float, seconds: float, seed: int) -> list[Answer]:
        """Poisson arrivals at `rate` a second; gives all answers, by the time they were due."""
        random = np.random.default_rng(seed)
        dues = np.cumsum(random.exponential(1 / rate, int(2 * rate * seconds + 100)))
        start = now()
        for due in map(float, dues[dues < seconds]):
            while (left := start + due - now()) > 0:
                self._turn(left)
            if self._stopped():
                break
            self._begin(start + due)
            self._turn(0)
        return self._finished()

    def closed(self, clients: int, seconds: float, *, keep: bool = False) -> list[Answer]:
        """So many clients, of which each asks again when it has its answer, without a pause.

        keep    on the same connection, where the server lets it stay
        """
        self._keep = keep
        end = now() + seconds
        while now() < end and not self._stopped():
            while len(self._under_way) < clients:
                self._begin(now())
                if self._answers and self._answers[-1].error == "refused":
                    return self._finished()
            self._turn(0.1)
        return self._finished()

    def ask(self, due: float) -> Answer:
        """One request, which is due at a time or was so."""
        time.sleep(max(0.0, due - now()))
        self._begin(due)
        return self._finished()[0]

    def _begin(self, due: float) -> None:
        self._count += 1
        answer = Answer(f"{self._name}-{self._count}", due, now() - due)
        data = memoryview(self._make(answer.id))
        if self._idle:
            client, answer.fresh = self._idle.pop(), False
        else:
            client = socket.socket()
            client.setblocking(False)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, len(data) + 4096)
            if (code := client.connect_ex(self._address)) not in (0, errno.EINPROGRESS):
                client.close()
                self._end(answer, code)
                return
        exchange = Exchange(answer, client, data)
        self._under_way[client.fileno()] = exchange
        self._poll.register(client, OUT | IN)
        exchange.events = OUT | IN

    def _turn(self, patience: float) -> None:
        """Get on with what is under way, for so many seconds at most."""
        for descriptor, _ in self._poll.poll(min(patience, 0.5)):
            exchange = self._under_way[descriptor]
            try:
                self._go_on(exchange)
            except BlockingIOError:
                pass
            except OSError as error:
                self._hang_up(exchange, error.errno or 0)
        if self._under_way and now() - self._oldest() > self._patience:
            self._hang_up(next(iter(self._under_way.values())), errno.ETIMEDOUT)

    def _oldest(self) -> float:
        return next(iter(self._under_way.values())).answer.due

    def _go_on(self, exchange: Exchange) -> None:
        if exchange.left:
            try:
                exchange.left = exchange.left[exchange.socket.send(exchange.left) :]
            except BlockingIOError:
                pass
            except (BrokenPipeError, ConnectionResetError):
                exchange.left = exchange.left[:0]  # what was replied may still be read
            if not exchange.left:
                self._poll.modify(exchange.socket, IN)
        data = exchange.socket.recv(262_144)
        exchange.reply += data
        if exchange.length < 0 and (end := exchange.reply.find(HEAD_END)) >= 0:
            exchange.length = end + len(HEAD_END) + _content_length(exchange.reply[:end])
        if 0 <= exchange.length <= len(exchange.reply):
            self._complete(exchange)
        elif not data:
            self._hang_up(exchange, errno.EPIPE)

    def _complete(self, exchange: Exchange) -> None:
        answer, reply = exchange.answer, exchange.reply
        answer.status = int(reply[9:12])
        head, _, body = bytes(reply).partition(HEAD_END)
        if self._bodies:
            answer.head, answer.body = head, body
        keeps = self._keep and not exchange.left and b"connection: close" not in head.lower()
        self._forget(exchange, close=not keeps)
        if keeps:
            self._idle.append(exchange.socket)
        self._end(answer, 0)

    def _hang_up(self, exchange: Exchange, code: int) -> None:
        self._forget(exchange)
        self._end(exchange.answer, code)

    def _forget(self, exchange: Exchange, *, close: bool = True) -> None:
        del self._under_way[exchange.socket.fileno()]
        self._poll.unregister(exchange.socket)
        if close:
            exchange.socket.close()

    def _end(self, answer: Answer, code: int) -> None:
        answer.latency = now() - answer.due
        refused = code == errno.ECONNREFUSED
        answer.error = "refused" if refused else errno.errorcode.get(code, "") if code else ""
        self._answers.append(answer)

    def _finished(self) -> list[Answer]:
        """The answers, once there is nothing under way."""
        while self._under_way:
            self._turn(0.1)
        for client in self._idle:
            client.close()
        self._idle.clear()
        answers, self._answers = self._answers, []
        return sorted(answers, key=lambda answer: answer.due)


def request(
    method: str, path: str, id: str, body: bytes = b"", kind: str = "", *, keep: bool = False
) -> bytes:
    """A request's bytes; `kind` is the content type of its body."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"X-Request-Id: {id}"]
    lines += [] if keep else ["Connection: close"]
    lines += [f"Content-Type: {kind}", f"Content-Length: {len(body)}"] if body else []
    return "\r\n".join([*lines, "", ""]).encode() + body


def form(fields: dict[str, str], files: list[tuple[str, str, bytes]]) -> tuple[bytes, str]:
    """Body and content type of a form; files are field, name and bytes."""
    mark = "inctrl-benchmark-boundary"
    start = f'--{mark}\r\nContent-Disposition: form-data; name="'
    parts = [f'{start}{name}"\r\n\r\n{value}\r\n'.encode() for name, value in fields.items()]
    for name, file, data in files:
        parts.append(f'{start}{name}"; filename="{file}"\r\n\r\n'.encode() + data + b"\r\n")
    return b"".join([*parts, f"--{mark}--\r\n".encode()]), f"multipart/form-data; boundary={mark}"


def _content_length(head: bytearray) -> int:
    found = head.lower().partition(b"content-length:")[2]
    return int(found.partition(b"\r\n")[0] or 0)


def probe(port: int, seconds: float) -> Iterator[float]:
    """Latency of /livez at 10 Hz, from when each was due; -1 where it was not 200."""
    load = Load(port, lambda id: request("GET", "/livez", id), name="probe")
    start = now()
    for tick in range(int(10 * seconds)):
        answer = load.ask(start + tick / 10)
        yield answer.latency if answer.status == 200 else -1.0


if __name__ == "__main__":
    print(json.dumps(list(probe(int(sys.argv[1]), float(sys.argv[2])))), flush=True)
