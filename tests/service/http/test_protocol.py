"""Connections that do not get on are ended; all others are served."""

import contextlib
import socket
import time

import pytest
from served import echo, head, read_all, read_reply, serving, trickle

from inctrl.service.http.limits import Limits

QUICK = Limits(
    head_seconds=0.4, body_seconds=0.4, keep_alive_seconds=1, discard_seconds=1.0, write_seconds=0.4
)


@pytest.fixture(scope="module")
def quick():
    with serving(limits=QUICK) as served:
        yield served


@pytest.fixture(scope="module")
def bare():
    """The protocol without the middlewares."""
    with serving(limits=QUICK, layers=False) as served:
        yield served


def test_a_connection_that_never_sends_is_closed_without_a_word(quick):
    answer = quick.talk()
    assert answer.raw == b""
    assert 0.3 < answer.seconds < 1.0


def test_a_trickling_head_is_answered_408_and_closed(quick):
    with quick.connect() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ")
        seconds, received = trickle(connection)
    assert 0.3 < seconds < 1.5
    assert received.startswith(b"HTTP/1.1 408 ")
    assert b"application/problem+json" in received
    assert b'"slow_head"' in received


def test_a_head_that_stops_is_answered_408(quick):
    answer = quick.talk(b"GET / HTTP/1.1\r\nHost: loc")
    assert answer.status == 408
    assert answer.seconds < 0.9  # the end is told at once, whatever is still thrown away
    assert answer.headers["connection"] == "close"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_what_comes_after_the_refusal_is_no_request():
    asked = []

    async def app(scope, receive, send):
        asked.append(scope.get("path", ""))
        await echo(scope, receive, send)

    with serving(app, QUICK) as served, served.connect() as connection:
        connection.sendall(b"GET /late HTTP/1.1\r\nHost: loc")
        assert connection.recv(65_536).startswith(b"HTTP/1.1 408 ")
        connection.sendall(b"alhost\r\n\r\n" + head("GET", "/later"))
        assert b"HTTP/1.1 200" not in read_all(connection).raw
    assert not [path for path in asked if path.startswith("/late")]


def test_a_slow_head_in_time_is_served(quick):
    with quick.connect() as connection:
        for piece in (b"GET / HTTP/1.1\r\n", b"Host: localhost\r\n", b"Connection: close\r\n\r\n"):
            connection.sendall(piece)
            time.sleep(0.1)
        assert read_all(connection).status == 200


def test_a_trickling_head_on_a_kept_alive_connection_is_closed(quick):
    with quick.connect() as connection:
        connection.sendall(head("GET", "/", close=False))
        assert read_reply(connection).status == 200
        time.sleep(0.5)  # idle is no head: its time has not begun
        connection.sendall(b"GET / HTTP/1.1\r\n")
        seconds, received = trickle(connection, b"x")
    assert 0.3 < seconds < 1.5
    assert received.startswith(b"HTTP/1.1 408 ")


def test_an_idle_connection_is_closed_after_keep_alive(quick):
    with quick.connect() as connection:
        connection.sendall(head("GET", "/", close=False))
        read_reply(connection)
        assert 0.8 < read_all(connection).seconds < 1.6


def test_the_reply_to_a_long_request_is_not_cut_by_the_time_for_heads(quick):
    with quick.connect() as connection:
        connection.sendall(head("GET", "/slow", close=False))
        assert read_reply(connection).status == 200
        connection.sendall(head("GET", "/slow"))
        assert read_all(connection).status == 200


def test_pipelined_requests_are_all_answered(quick):
    pieces = [head("POST", "/", "Content-Length: 3", close=False) + b"abc"] * 3
    answer = quick.talk(b"".join(pieces), head("GET", "/"))
    assert answer.raw.count(b"HTTP/1.1 200") == 4
    assert answer.raw.count(b'{"size": 3}') == 3


def test_a_body_that_nobody_reads_does_not_keep_its_connection(bare):
    with bare.connect() as connection:
        connection.sendall(head("POST", "/early", "Content-Length: 9999", close=False))
        seconds, received = trickle(connection)
    assert received.startswith(b"HTTP/1.1 503 ")
    assert seconds < 1.0


def test_a_refused_client_that_writes_all_before_it_reads_gets_the_reply(bare):
    body = b"x" * 30_000_000  # more than the buffers of both sockets
    answer = bare.talk(head("POST", "/early", f"Content-Length: {len(body)}"), body)
    assert answer.status == 503


@pytest.mark.parametrize(
    "raw", [b"NONSENSE\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"\x00\xff\r\n\r\n"]
)
def test_what_is_not_http_gets_a_problem(quick, raw):
    answer = quick.talk(raw)
    assert answer.status == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json["code"] == "bad_request"


def test_a_broken_chunk_ends_the_request_with_a_problem(quick):
    answer = quick.talk(head("POST", "/", "Transfer-Encoding: chunked"), b"zz\r\n")
    assert answer.status == 400
    assert quick.ask().status == 200


def test_a_head_over_the_limit_is_refused(quick):
    answer = quick.talk(b"GET / HTTP/1.1\r\nHost: localhost\r\n", b"X: " + b"x" * 400_000)
    assert answer.status == 431
    assert answer.json["code"] == "head_too_large"


@pytest.mark.parametrize("size", [20_000_000, 40_000])
def test_a_client_that_does_not_take_its_reply_is_dropped(size):
    # 40,000 bytes stay below the mark at which asyncio tells of a reply that waits.
    small = serving(limits=QUICK, send_buffer=4096)
    with small as served, socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", served.port))
        connection.settimeout(10)
        connection.sendall(head("GET", f"/large?{size}"))
        time.sleep(1.5)
        taken = 0
        with contextlib.suppress(ConnectionResetError):
            while data := connection.recv(1_000_000):
                taken += len(data)
    assert taken < size


def test_a_client_that_takes_a_large_reply_slowly_gets_all_of_it(quick):
    with quick.connect() as connection:
        connection.sendall(head("GET", "/large?20000000"))
        size = 0
        while data := connection.recv(1_000_000):
            size += len(data)
            time.sleep(0.05)
    assert size > 20_000_000


def test_a_connection_over_the_limit_hears_503_and_the_others_go_on():
    limits = Limits(connections=2, discard_seconds=0.3)
    with serving(limits=limits) as served, served.connect() as first, served.connect() as second:
        for connection in (first, second):
            connection.sendall(head("GET", "/", close=False))
            assert read_reply(connection).status == 200
        refused = served.ask()
        assert refused.status == 503
        assert refused.json["code"] == "too_many_connections"
        assert refused.seconds < 1.0
        first.sendall(head("GET", "/"))
        assert read_all(first).status == 200
        time.sleep(0.4)
        assert served.ask().status == 200
