"""Bodies, message by message: what the app is told, and what is read and thrown away."""

import asyncio
import contextlib

import pytest
from starlette.responses import JSONResponse

from inctrl.service.http.bodies import Bodies
from inctrl.service.http.limits import Limits


def test_no_more_than_one_chunk_over_the_limit_reaches_the_app():
    seen = []

    async def app(scope, receive, send):
        while (message := await receive())["type"] == "http.request":
            seen.append(len(message["body"]))

    sent = in_memory(app, [b"x" * 60_000] * 9, Limits(request_bytes=100_000, discard_bytes=200_000))
    assert sent[0]["status"] == 413
    assert sum(seen) == 60_000


def test_time_that_the_app_takes_is_not_the_clients():
    async def app(scope, receive, send):
        for _ in range(4):
            await asyncio.sleep(0.05)
            assert (await receive())["type"] == "http.request"
        await JSONResponse({})(scope, receive, send)

    limits = Limits(body_seconds=0.08, body_total_seconds=0.1, body_step=10**9)
    assert in_memory(app, [b"x"] * 4, limits)[0]["status"] == 200


def test_what_is_thrown_away_is_bounded():
    read = 0

    async def app(scope, receive, send):
        await JSONResponse({}, 403)(scope, receive, send)

    async def receive():
        nonlocal read
        read += 1
        return {"type": "http.request", "body": b"x" * 100_000, "more_body": True}

    sent = in_memory(app, receive, Limits(discard_bytes=1_000_000))
    assert sent[0]["status"] == 403
    assert (b"connection", b"close") in sent[0]["headers"]
    assert read == 10


def test_who_watches_for_a_disconnect_after_the_reply_waits_without_limits():
    calls = []

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(receive(), 0.2)

    async def receive():
        calls.append(1)
        await asyncio.Event().wait()

    in_memory(app, receive, Limits(body_seconds=0.01, discard_seconds=0.01))
    assert len(calls) == 2  # to throw away what comes, and to watch


def test_a_request_without_a_body_is_never_touched():
    async def app(scope, receive, send):
        assert receive is given
        await JSONResponse({})(scope, receive, send)

    async def given():
        raise AssertionError

    assert in_memory(app, given, Limits(), headers=[])[0]["status"] == 200


def test_the_app_is_told_of_a_client_that_leaves():
    told = []

    async def app(scope, receive, send):
        told.extend([(await receive())["type"], (await receive())["type"]])

    in_memory(app, [b"x"], Limits(), last={"type": "http.disconnect"})
    assert told == ["http.request", "http.disconnect"]


def test_after_a_refusal_the_app_sees_a_disconnect_and_its_own_reply_is_dropped():
    told = []

    async def app(scope, receive, send):
        while (message := await receive())["type"] == "http.request":
            pass
        told.append(message["type"])
        await JSONResponse({}, 200)(scope, receive, send)
        raise RuntimeError("the parser is confused")

    sent = in_memory(app, [b"x" * 2000], Limits(request_bytes=1000))
    assert told == ["http.disconnect"]
    assert [message.get("status") for message in sent] == [413, None]


def test_an_error_of_the_app_is_not_hidden():
    async def app(scope, receive, send):
        await receive()
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        in_memory(app, [b"x"], Limits())


def in_memory(app, body, limits, *, headers=None, last=None):
    """What `Bodies` sends for a request whose body comes in the pieces, or from a `receive`."""
    sent = []
    pieces = iter(body if isinstance(body, list) else ())
    left = len(body) if isinstance(body, list) else 0

    async def receive():
        nonlocal left
        left -= 1
        if left < 0:
            return last or await asyncio.Event().wait()
        more = left > 0 or last is not None
        return {"type": "http.request", "body": next(pieces), "more_body": more}

    async def send(message):
        sent.append(message)

    chunked = [(b"transfer-encoding", b"chunked")]
    scope = {"type": "http", "path": "/", "method": "POST"}
    scope["headers"] = chunked if headers is None else headers
    asyncio.run(Bodies(app, limits)(scope, receive if isinstance(body, list) else body, send))
    return sent
