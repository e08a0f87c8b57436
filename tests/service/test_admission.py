"""Admission: a request is let in where it can be answered in time, and refused at once else."""

import asyncio
from typing import Any

import pytest
from starlette.datastructures import Headers

from inctrl.errors import Busy, UsageError
from inctrl.service.admission import Admission, Gate
from inctrl.service.http.limits import Limits
from inctrl.service.requests import deadline_of


def admission(most: int = 4, pace: float = 1.0) -> Admission:
    return Admission(most, lambda: pace)


def test_places_are_limited_and_given_back() -> None:
    gate = admission(most=2, pace=0.0)
    with gate.admit(10), gate.admit(10), pytest.raises(Busy, match="2 requests are under way"):
        gate.admit(10)
    assert (gate.requests, gate.images) == (0, 0)
    with gate.admit(10):
        assert gate.requests == 1


def test_whoever_would_be_late_is_refused_and_told_when_to_come() -> None:
    gate = admission(most=100, pace=1.0)
    tickets = [gate.admit(10) for _ in range(7)]
    with pytest.raises(Busy) as refused:
        gate.admit(10)  # the eighth would take 8 s of the 7 that a wait may take
    assert refused.value.retry_after == pytest.approx(1.0)
    gate.admit(20)
    tickets[0].done()
    gate.admit(20)


def test_an_idle_service_takes_everything() -> None:
    gate = admission(pace=1000.0)
    with gate.admit(1) as ticket:
        ticket.grow(64)
        with pytest.raises(Busy):
            gate.admit(1)


def test_a_request_grows_to_its_images_or_is_refused() -> None:
    gate = admission(most=100, pace=1.0)
    with gate.admit(10):
        with gate.admit(10) as second:
            second.grow(6)
            assert gate.images == 7
            second.done()
            assert gate.images == 6
        with gate.admit(10) as third, pytest.raises(Busy):
            third.grow(7)
    assert (gate.requests, gate.images) == (0, 0)


def test_images_are_given_back_once_only() -> None:
    gate = admission()
    with gate.admit(10) as ticket:
        ticket.grow(2)
        for _ in range(5):
            ticket.done()
        assert gate.images == 0
    assert (gate.requests, gate.images) == (0, 0)


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "61", "soon", ""])
def test_a_deadline_is_a_number_of_seconds(text: str) -> None:
    with pytest.raises(UsageError, match="Inctrl-Deadline"):
        deadline_of(Headers({"inctrl-deadline": text}), Limits())


def test_the_usual_deadline_counts_where_none_is_asked() -> None:
    assert deadline_of(Headers({}), Limits()) == 10.0
    assert deadline_of(Headers({"inctrl-deadline": "2.5"}), Limits()) == 2.5


def test_a_refusal_reads_no_body_and_reaches_no_route() -> None:
    reached, sent, reasons = list[str](), list[Any](), list[str]()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        reached.append(scope["path"])

    async def receive() -> Any:
        raise AssertionError("the body is not to be read")

    async def send(message: Any) -> None:
        sent.append(message)

    held = admission(most=1)
    gate = Gate(app, held, ["/v1/detect"], lambda _: 10.0, reasons.append)
    scope = {"type": "http", "method": "POST", "path": "/v1/detect", "headers": [], "state": {}}
    with held.admit(10):
        asyncio.run(gate(scope, receive, send))
        asyncio.run(gate({**scope, "path": "/v1/detection"}, receive, send))
        asyncio.run(gate({**scope, "method": "GET"}, receive, send))
    assert reached == ["/v1/detection", "/v1/detect"]
    assert sent[0]["status"] == 503
    assert int(dict(sent[0]["headers"])[b"retry-after"]) >= 1
    assert reasons == ["busy"]
    asyncio.run(gate(scope, receive, send))
    assert reached[-1] == "/v1/detect"
    assert held.requests == 0


def test_a_slow_upload_gives_its_place_back_and_asks_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("inctrl.service.admission.UPLOAD", 0.02)
    held, seen = admission(most=1, pace=0.0), list[tuple[int, int]]()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            seen.append((held.requests, held.images))
        with held.admit(10), pytest.raises(Busy):
            scope["state"]["ticket"].grow(3)
        scope["state"]["ticket"].grow(3)
        seen.append((held.requests, held.images))

    chunks = iter([True, True, False])

    async def receive() -> Any:
        more = next(chunks)
        await asyncio.sleep(0.05 if more else 0)
        return {"type": "http.request", "body": b"x", "more_body": more}

    gate = Gate(app, held, ["/v1/detect"], lambda _: 10.0)
    scope = {"type": "http", "method": "POST", "path": "/v1/detect", "headers": [], "state": {}}
    asyncio.run(gate(scope, receive, lambda _: None))  # type: ignore[arg-type, return-value]
    assert seen == [(0, 0), (0, 0), (1, 3)]
    assert (held.requests, held.images) == (0, 0)


def test_a_quick_upload_keeps_its_place() -> None:
    held, seen = admission(most=1), list[int]()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await asyncio.sleep(0.01)
        seen.append(held.requests)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"x", "more_body": False}

    gate = Gate(app, held, ["/v1/detect"], lambda _: 10.0)
    scope = {"type": "http", "method": "POST", "path": "/v1/detect", "headers": [], "state": {}}
    asyncio.run(gate(scope, receive, lambda _: None))  # type: ignore[arg-type, return-value]
    assert seen == [1]
