"""Bodies: how large and how slow they may be, and what becomes of those that nobody reads."""

import asyncio
import http.client
import time

import pytest
from served import head, read_all, read_reply, serving, trickle
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

from inctrl.service.http.limits import Limits

QUICK = Limits(
    request_bytes=200_000,
    body_seconds=0.5,
    body_step=1000,
    body_total_seconds=1.2,
    discard_seconds=0.4,
    discard_bytes=1_000_000,
)
EARLY = "/early"


@pytest.fixture(scope="module")
def quick():
    with serving(limits=QUICK, larger={"/imports": 400_000}) as served:
        yield served


def posted(size: int, path: str = "/", *lines: str, close: bool = True) -> bytes:
    return head("POST", path, f"Content-Length: {size}", *lines, close=close)


def chunks(*sizes: int) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (size, b"x" * size) for size in sizes) + b"0\r\n\r\n"


def problem_of(answer):
    return answer.status, answer.json["code"], answer.headers.get("connection")


def test_a_body_of_the_limit_is_taken_whole(quick):
    assert quick.talk(posted(200_000), b"x" * 200_000).json == {"size": 200_000}
    chunked = head("POST", "/", "Transfer-Encoding: chunked")
    assert quick.talk(chunked, chunks(150_000, 50_000)).json == {"size": 200_000}


def test_a_body_over_the_limit_is_refused_413(quick):
    answer = quick.talk(posted(200_001), b"x" * 200_001)
    assert problem_of(answer)[:2] == (413, "too_large")
    assert answer.headers["content-type"] == "application/problem+json"
    assert "200000 bytes" in answer.json["detail"]


def test_a_chunked_body_over_the_limit_is_refused_413(quick):
    answer = quick.talk(head("POST", "/", "Transfer-Encoding: chunked"), chunks(150_000, 50_001))
    assert problem_of(answer)[:2] == (413, "too_large")


def test_a_path_may_have_a_limit_of_its_own(quick):
    assert quick.talk(posted(400_000, "/imports/a"), b"x" * 400_000).status == 200
    assert quick.talk(posted(400_001, "/imports"), b"x" * 400_001).status == 413
    assert quick.talk(posted(300_000, "/importsnot"), b"x" * 300_000).status == 413


def test_a_length_over_the_limit_is_refused_before_the_body_comes(quick):
    answer = quick.talk(posted(10**15))
    assert problem_of(answer) == (413, "too_large", "close")
    assert answer.seconds < 1.0


def test_whoever_expects_100_continue_is_refused_without_sending(quick):
    expect = "Expect: 100-continue"
    for path, size, status in ((EARLY, 1000, 503), ("/", 200_001, 413)):
        answer = quick.talk(posted(size, path, expect))
        assert (answer.status, answer.headers["connection"]) == (status, "close")
        assert answer.seconds < 0.3
    with quick.connect() as connection:
        connection.sendall(posted(5, "/", expect))
        assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
        connection.sendall(b"12345")
        assert read_all(connection).json == {"size": 5}


def test_a_body_that_stops_is_answered_408_and_closed(quick):
    answer = quick.talk(posted(1000), b"x" * 10)
    assert problem_of(answer) == (408, "slow_body", "close")
    assert 0.4 < answer.seconds < 1.2


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (posted(100_000), b"x"),
        (head("POST", "/", "Transfer-Encoding: chunked"), b"1\r\nx\r\n"),
        (posted(100_000, EARLY), b"x"),
        (head("GET", "/", "Content-Length: 100000"), b"x"),
        (posted(1_000_000), b"x"),
    ],
    ids=["length", "chunked", "replied early", "get", "too large"],
)
def test_a_trickling_body_is_ended(quick, start, piece):
    with quick.connect() as connection:
        connection.sendall(start)
        seconds, received = trickle(connection, piece)
    assert received.startswith(b"HTTP/1.1 ")
    assert seconds < 1.5


def test_a_burst_buys_a_trickle_no_time(quick):
    with quick.connect() as connection:
        connection.sendall(posted(150_000) + b"x" * 100_000)
        seconds, received = trickle(connection)
    assert received.startswith(b"HTTP/1.1 408 ")
    assert 0.4 < seconds < 1.0


def test_a_body_just_fast_enough_ends_at_the_total(quick):
    with quick.connect() as connection:
        connection.sendall(posted(150_000))
        seconds, received = trickle(connection, b"x" * 300)
    assert received.startswith(b"HTTP/1.1 408 ")
    assert 1.1 < seconds < 2.0


def test_a_slow_body_in_time_is_served(quick):
    with quick.connect() as connection:
        connection.sendall(posted(4000))
        for _ in range(8):
            time.sleep(0.12)
            connection.sendall(b"x" * 500)
        assert read_all(connection).json == {"size": 4000}


def test_a_reply_that_comes_early_is_read_by_who_writes_first(quick):
    answer = quick.talk(posted(150_000, EARLY), b"x" * 150_000)
    assert answer.status == 503


@pytest.mark.parametrize(
    ("path", "host", "status"), [(EARLY, "localhost", 503), ("/", "evil.example", 400)]
)
def test_a_connection_whose_body_was_thrown_away_whole_can_be_used_again(quick, path, host, status):
    start = head("POST", path, "Content-Length: 150000", close=False, host=host)
    with quick.connect() as connection:
        for _ in range(3):
            connection.sendall(start)
            time.sleep(0.05)  # the reply is due before the body is there
            connection.sendall(b"x" * 150_000)
            answer = read_reply(connection)
            assert answer.status == status
            assert "connection" not in answer.headers


@pytest.mark.parametrize(
    ("path", "host", "status"), [(EARLY, "localhost", 503), ("/", "evil.example", 400)]
)
def test_http_clients_get_early_replies_to_large_bodies(path, host, status):
    with serving() as served:  # the limits that are shipped
        for size in (1_000, 20_000_000, 63_000_000):
            connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=20)
            connection.request("POST", path, b"x" * size, {"Host": host})
            assert connection.getresponse().status == status
            connection.close()


def test_starlette_sees_when_a_client_leaves_and_streams_past_an_unread_body():
    async def watch(request: Request) -> JSONResponse:
        await request.body()
        for _ in range(100):
            if await request.is_disconnected():
                left.append(True)
                break
            await asyncio.sleep(0.02)
        return JSONResponse({})

    async def stream(request: Request) -> StreamingResponse:
        async def parts():
            for _ in range(3):
                await asyncio.sleep(0.05)
                yield b"part"

        return StreamingResponse(parts(), headers={"content-length": "12"})

    left = []
    routes = [Route("/watch", watch, methods=["POST"]), Route("/stream", stream, methods=["POST"])]
    with serving(Starlette(routes=routes), QUICK) as served:
        answer = served.talk(posted(1000, "/stream"), b"x" * 10)
        assert answer.raw.endswith(b"partpartpart")
        assert answer.headers["connection"] == "close"
        whole = served.talk(posted(100_000, "/stream"), b"x" * 100_000)
        assert whole.raw.endswith(b"partpartpart")
        with served.connect() as connection:
            connection.sendall(posted(3, "/watch") + b"abc")
            time.sleep(0.1)
        time.sleep(0.3)
    assert left == [True]
