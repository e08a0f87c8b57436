"""200 sockets that trickle, or send nothing, against one client that does as it should.

    python -m benchmarks.slow_clients [--url http://127.0.0.1:8000] [--sockets 200]

Without --url a small app behind the layers of the service is served from a process of its own.
Printed: seconds until the server closed each socket, of five kinds; latency of GET /livez over
new connections before and meanwhile, in milliseconds. Exit code 1 if a socket is open after 15 s,
or a good request goes wrong or has more than twice the p99 (and more than 20 ms).
"""

import argparse
import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import numpy as np

from benchmarks.machine import describe

LONGEST = 15.0
BEFORE = 6.0
EVERY = 0.02
HEAD = "{method} {path} HTTP/1.1\r\nHost: {host}\r\n"
POSTED = HEAD.format(method="POST", path="{path}", host="{host}")
POSTED += "Content-Type: multipart/form-data; boundary=b\r\n"
PART = '--b\r\nContent-Disposition: form-data; name="queries"; filename="a.png"\r\n\r\n'
ASKED = HEAD.format(method="GET", path="/livez", host="{host}")
# What is sent at once, and then a piece of every second.
KINDS = {
    "head": (ASKED + "X-Slow: ", "x"),
    "body with length": (POSTED + "Content-Length: 100000\r\n\r\n" + PART, "x"),
    "chunked body": (
        POSTED + f"Transfer-Encoding: chunked\r\n\r\n{len(PART):x}\r\n{PART}\r\n",
        "1\r\nx\r\n",
    ),
    "idle, kept alive": (ASKED + "\r\n", ""),
    "sends nothing": ("", ""),
}


@dataclass(frozen=True)
class Target:
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        return f"{self.host}:{self.port}"

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(self.host, self.port)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", help="a service that runs; default: a small one of our own")
    parser.add_argument("--path", default="/v1/detect", help="where bodies are posted to")
    parser.add_argument("--sockets", type=int, default=200)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve()
        return
    with own_server() if options.url is None else contextlib.nullcontext(options.url) as url:
        parts = urlsplit(url)
        target = Target(parts.hostname or "", parts.port or 80, options.path)
        whose = "a small app" if options.url is None else url
        print(f"{describe()}; {options.sockets} sockets against {whose}\n")
        sys.exit(0 if asyncio.run(measure(target, options.sockets)) else 1)


async def measure(target: Target, sockets: int) -> bool:
    before = await good_client(target, BEFORE)
    names = [name for name in KINDS for _ in range(sockets // len(KINDS))]
    slow = asyncio.gather(*(seconds_open(target, name) for name in names))
    during = await good_client(target, 2 * LONGEST, slow)
    seconds = np.array(await slow)
    for name in KINDS:
        chosen = seconds[[kind == name for kind in names]]
        print(
            f"{name:18}{len(chosen):4} sockets   closed after min {chosen.min():5.2f} s   "
            f"median {np.median(chosen):5.2f} s   max {chosen.max():5.2f} s"
        )
    print()
    for name, latencies in (("before", before), ("meanwhile", during)):
        p50, p99 = np.percentile(latencies, [50, 99])
        row = f"good client {name:10}{len(latencies):6} requests"
        print(f"{row}   p50 {p50:6.2f} ms   p99 {p99:6.2f} ms")
    worst = max(2 * float(np.percentile(before, 99)), 20.0)
    passed = bool(seconds.max() <= LONGEST and np.percentile(during, 99) <= worst)
    verdict = "passed" if passed else "FAILED"
    print(f"\nslowest close {seconds.max():.2f} s (at most {LONGEST:g}): {verdict}")
    return passed


async def seconds_open(target: Target, name: str) -> float:
    """How long the server bears with a socket of this kind."""
    start, piece = (
        text.format(host=target.authority, path=target.path).encode() for text in KINDS[name]
    )
    began = time.perf_counter()
    reader, writer = await target.connect()
    sending = asyncio.create_task(trickle(writer, start, piece))
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(2 * LONGEST):
            while await reader.read(65_536):
                pass
    seconds = time.perf_counter() - began
    sending.cancel()
    writer.close()
    return seconds


async def trickle(writer: asyncio.StreamWriter, start: bytes, piece: bytes) -> None:
    writer.write(start)
    while piece:
        await asyncio.sleep(1)
        writer.write(piece)


async def good_client(
    target: Target, seconds: float, until: "asyncio.Future[list[float]] | None" = None
) -> list[float]:
    """Milliseconds of each request, one every 20 ms, for a while or until something is done."""
    latencies = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end and not (until is not None and until.done()):
        began = time.perf_counter()
        await ask(target)
        latencies.append((time.perf_counter() - began) * 1000)
        await asyncio.sleep(EVERY)
    return latencies


async def ask(target: Target) -> None:
    reader, writer = await target.connect()
    head = ASKED.format(host=target.authority)
    writer.write(f"{head}Connection: close\r\n\r\n".encode())
    reply = await reader.read(-1)
    writer.close()
    if not reply.startswith(b"HTTP/1.1 200 "):
        raise SystemExit(f"a good request got {reply[:80]!r}")


@contextlib.contextmanager
def own_server() -> Iterator[str]:
    command = [sys.executable, "-m", "benchmarks.slow_clients", "--serve"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None  # noqa: S101 (for mypy)
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.terminate()


def serve() -> None:
    import socket

    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    from inctrl.service.http.drain import Drain, DrainingServer
    from inctrl.service.http.layers import configuration, protected
    from inctrl.service.http.limits import Limits

    async def reply(request: Request) -> JSONResponse:
        return JSONResponse({"bytes": len(await request.body())})

    limits, drain = Limits(), Drain()
    routes = [Route("/livez", reply), Route("/{path:path}", reply, methods=["POST"])]
    app = protected(Starlette(routes=routes), limits=limits, drain=drain, hosts=["127.0.0.1"])
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        config = configuration(app, limits, host="127.0.0.1", port=0)
        DrainingServer(config, drain, limits).run([listener])


if __name__ == "__main__":
    main()
