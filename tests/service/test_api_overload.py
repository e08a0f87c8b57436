"""More than can be done: who is let in, who is told to come again, and what nobody waits for."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest
from live import SECONDS, Live, files, live, picture, png
from torch import Tensor

from inctrl import Client
from inctrl.errors import Busy
from inctrl.service.http.limits import Limits
from inctrl.service.requests import ClientGone, while_connected
from inctrl.types import Features

SHOTS = [picture(seed) for seed in range(3)]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    limits = replace(Limits(), queue=2)
    with live(tmp_path_factory.mktemp("overload"), limits=limits) as running:
        with running.client() as client:
            client.create_set("part", SHOTS)
            client.detect([picture(5)], set="part")  # so that the set is in memory
        yield running


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)


class Asking(threading.Thread):
    """A request under way; `reply` is there once it has ended."""

    def __init__(self, service: Live, seed: int = 6, set: str = "part", **headers: str) -> None:
        super().__init__()
        self.service, self.seed, self.set, self.headers = service, seed, set, headers
        self.reply: httpx2.Response
        self.start()

    def run(self) -> None:
        with self.service.http() as http:
            self.reply = http.post("/v1/detect", data={"set": self.set}, headers=self.headers,
                                   files=files("queries", png(self.seed)))  # fmt: skip

    def ended(self) -> httpx2.Response:
        self.join(SECONDS)
        return self.reply


def test_a_full_queue_is_told_at_once_and_told_when_to_come_again(service: Live) -> None:
    with service.blocked():
        waiting = [Asking(service), Asking(service)]
        until(lambda: service.bench.admission.requests == 2)
        with service.http() as http:
            started = time.monotonic()
            refused = http.post("/v1/detect", content=b"x" * 100_000)  # before its body is read
            seconds = time.monotonic() - started
            assert http.get("/livez").status_code == 200
            assert http.get("/v1/sets/part").status_code == 200  # needs no model
            rejected = http.get("/metrics").text
    assert (refused.status_code, refused.json()["code"]) == (503, "busy")
    assert int(refused.headers["retry-after"]) >= 1
    assert seconds < 2
    assert 'inctrl_rejected_total{reason="busy"}' in rejected
    assert [one.ended().status_code for one in waiting] == [200, 200]
    until(lambda: service.bench.admission.requests == service.bench.admission.images == 0)


def test_what_could_not_meet_its_deadline_is_not_let_in(
    service: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service.bench.engine, "pace", 2.0)  # seconds an image
    with service.blocked():
        waiting = Asking(service)
        until(lambda: service.bench.admission.requests == 1)
        late = Asking(service, **{"Inctrl-Deadline": "3"}).ended()
        patient = Asking(service, **{"Inctrl-Deadline": "30"})
        until(lambda: service.bench.admission.requests == 2)
    assert (late.status_code, late.json()["code"]) == (503, "busy")
    assert waiting.ended().status_code == patient.ended().status_code == 200


def test_an_image_in_tiles_waits_as_so_many(service: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    with service.client() as client:
        client.create_set("tiled", SHOTS, tiles=2)
        client.detect([picture(5)], set="tiled")
    monkeypatch.setattr(service.bench.engine, "pace", 2.0)  # seconds a look
    with service.blocked():
        waiting = Asking(service)
        until(lambda: service.bench.admission.requests == 1)
        late = Asking(service, set="tiled").ended()  # 4 looks, and that of the one before
        assert service.bench.admission.images == 1
        patient = Asking(service, set="tiled", **{"Inctrl-Deadline": "30"})
        until(lambda: service.bench.admission.images == 5)
    assert (late.status_code, late.json()["code"]) == (503, "busy")
    assert waiting.ended().status_code == patient.ended().status_code == 200
    until(lambda: service.bench.admission.requests == service.bench.admission.images == 0)


def test_at_its_deadline_a_request_is_answered_and_dropped_before_it_is_computed(
    service: Live,
) -> None:
    encoded = service.backbone.encoded
    with service.blocked():
        started = time.monotonic()
        reply = Asking(service, seed=71, **{"Inctrl-Deadline": "0.3"}).ended()
        assert 0.3 <= time.monotonic() - started < 5  # with the model still at other work
    assert (reply.status_code, reply.json()["code"]) == (504, "deadline")
    assert int(reply.headers["retry-after"]) >= 1
    with service.client() as client:
        client.detect([picture(5)], set="part")
    assert service.backbone.encoded == encoded + 1  # that of the query after it
    until(lambda: service.bench.admission.requests == service.bench.admission.images == 0)


@pytest.mark.parametrize("deadline", ["0", "-1", "61", "nan", "inf", "soon", ""])
def test_a_deadline_that_is_none_is_refused(service: Live, deadline: str) -> None:
    with service.http() as http:
        reply = http.post("/v1/detect", headers={"Inctrl-Deadline": deadline})
    assert (reply.status_code, reply.json()["code"]) == (422, "unusable_request")
    assert "(0, 60]" in reply.json()["detail"]


def test_the_client_waits_as_it_is_told_and_then_gives_up(
    service: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr("inctrl.client.transport.time.sleep", slept.append)
    with service.blocked(), Client(service.url, retries=2) as client:
        waiting = [Asking(service), Asking(service)]
        while service.bench.admission.requests < 2:
            pass
        with pytest.raises(Busy, match="under way") as caught:
            client.detect([picture(5)], set="part")
    assert len(slept) == 2
    assert all(seconds >= caught.value.retry_after >= 1 for seconds in slept)
    for one in waiting:
        one.ended()


def test_work_of_a_client_that_has_gone_is_dropped_before_it_is_computed(
    service: Live, caplog: pytest.LogCaptureFixture
) -> None:
    encoded = service.backbone.encoded
    boundary = "b" * 16
    part = f'--{boundary}\r\nContent-Disposition: form-data; name="{{}}"{{}}\r\n\r\n'
    body = part.format("set", "").encode() + b"part\r\n"
    body += part.format("queries", '; filename="q.png"').encode() + png(72) + b"\r\n"
    body += f"--{boundary}--\r\n".encode()
    head = (
        f"POST /v1/detect HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n"
        f"Content-Type: multipart/form-data; boundary={boundary}\r\n\r\n"
    )
    with service.blocked():
        with socket.create_connection(("127.0.0.1", service.port)) as connection:
            connection.sendall(head.encode() + body)
            until(lambda: len(service.bench.engine) == 1)
        until(lambda: service.bench.admission.requests == 0)  # within the blocked time
    with service.client() as client:
        client.detect([picture(5)], set="part")
    assert service.backbone.encoded == encoded + 1  # that of the query after it
    assert "bug" not in caplog.text
    assert "Exception" not in caplog.text


def test_work_is_cancelled_with_its_client() -> None:
    async def check() -> bool:
        cancelled = False

        async def work() -> None:
            nonlocal cancelled
            try:
                await asyncio.sleep(30)
            except asyncio.CancelledError:
                cancelled = True
                raise

        class Gone:
            async def receive(self) -> dict[str, str]:
                await asyncio.sleep(0.01)
                return {"type": "http.disconnect"}

        with pytest.raises(ClientGone):
            await while_connected(Gone(), work())  # type: ignore[arg-type]
        await asyncio.sleep(0)
        return cancelled

    assert asyncio.run(check())


def test_queries_that_wait_are_encoded_together(service: Live, tmp_path: Path) -> None:
    with live(tmp_path) as running, running.client() as client:
        client.create_set("part", SHOTS)
        client.detect([picture(5)], set="part")
        sizes: list[int] = []
        encode = running.backbone.encode_images

        def noted(pixels: Tensor) -> Features:
            sizes.append(len(pixels))
            return encode(pixels)

        running.backbone.encode_images = noted
        with running.blocked():
            asking = [Asking(running, seed) for seed in range(6)]
            until(lambda: len(running.bench.engine) == 6)
        assert [one.ended().status_code for one in asking] == [200] * 6
    assert sizes == [6]
