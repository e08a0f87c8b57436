"""More load than a service can carry, in small: each is answered or told, and nothing stays behind.

`benchmarks/load.py` and `benchmarks/draining.py` measure the same on the real model, for longer.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import FakeBackbone
from live import SECONDS, Live, files, live, picture, png

from benchmarks.draining import Written, end_under_load, faults_of
from benchmarks.open_load import Answer, Load, form, request
from benchmarks.service import Service
from inctrl.service.http.limits import Limits
from inctrl.store import open_store

BODY = form({"set": "part"}, [("queries", "q.png", png(6))])


class Slow(FakeBackbone):
    """Takes a while for each image, or for as long as it is held."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds
        self.free, self.begun = threading.Event(), threading.Event()
        self.free.set()

    def encode_images(self, pixels: Any) -> Any:
        self.begun.set()
        time.sleep(self.seconds * len(pixels))
        assert self.free.wait(SECONDS)
        return super().encode_images(pixels)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Live]:
    limits = replace(Limits(), queue=4)
    with live(tmp_path, backbone=Slow(0.02), limits=limits) as running:
        with running.client() as client:
            client.create_set("part", [picture(seed) for seed in range(3)])
            client.detect([picture(5)], set="part")  # so that the set is in memory
        yield running


def detect(id: str) -> bytes:
    return request("POST", "/v1/detect", id, *BODY)


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)


def nothing_is_left(service: Live) -> bool:
    held = service.bench.admission
    with service.http() as http:
        told = "inctrl_queue_depth 0.0" in http.get("/metrics").text
    return told and (held.requests, held.images, len(service.bench.engine)) == (0, 0, 0)


def test_more_than_can_be_done_is_answered_or_told_to_come_again(service: Live) -> None:
    answers = Load(service.port, detect, bodies=True).open(rate=300, seconds=1.5, seed=0)
    by_status = Counter(answer.status for answer in answers)
    assert len(answers) > 300
    assert set(by_status) <= {200, 503, 504}, Counter(answer.error for answer in answers)
    assert by_status[200] > 5
    assert by_status[503] > 5
    for answer in answers:
        assert answer.status == 200 or b"\nretry-after: " in answer.head.lower()
    until(lambda: nothing_is_left(service))
    with service.client() as client:
        assert client.detect([picture(5)], set="part")


def test_who_is_told_to_come_again_hears_it_while_the_model_is_at_work(service: Live) -> None:
    with service.blocked():
        load, refused = Load(service.port, detect), list[Answer]()
        first = threading.Thread(target=lambda: Load(service.port, detect).closed(4, 0.01))
        first.start()
        until(lambda: service.bench.admission.requests == 4)
        refused = [load.ask(time.perf_counter()) for _ in range(20)]
        assert {answer.status for answer in refused} == {503}
        with service.http() as http:
            assert http.get("/livez").status_code == 200
    first.join(SECONDS)
    until(lambda: nothing_is_left(service))


def test_the_deadline_holds_also_for_work_that_has_begun(service: Live) -> None:
    backbone = service.backbone
    backbone.free.clear()
    backbone.begun.clear()
    try:
        with service.http() as http:
            reply = http.post(
                "/v1/detect",
                data={"set": "part"},
                files=files("queries", png(7)),
                headers={"Inctrl-Deadline": "0.5"},
            )
        assert backbone.begun.is_set()
    finally:
        backbone.free.set()
    assert (reply.status_code, reply.json()["code"]) == (504, "deadline")
    assert int(reply.headers["retry-after"]) >= 1
    until(lambda: nothing_is_left(service))


def test_clients_that_go_away_free_their_places(service: Live) -> None:
    with service.blocked():
        for _ in range(3):
            # Nobody waits longer than this: the connections are closed with work under way.
            load = Load(service.port, detect, patience=0.5)
            gone = load.closed(4, 0.01)
            assert {answer.error for answer in gone} == {"ETIMEDOUT"}
            until(lambda: service.bench.admission.requests == 0)  # while the model is busy
    until(lambda: nothing_is_left(service))


def test_nothing_that_was_accepted_is_lost_when_the_service_is_told_to_stop(tmp_path: Path) -> None:
    random, written = np.random.default_rng(0), Written()
    with Service(tmp_path / "store", 1) as service:
        service.register("part", 2, random)
        end = end_under_load(service, 20.0, "test", random)
    assert [fault for fault in faults_of(end) if "/readyz" not in fault] == []  # no clock here
    assert end.code == 0
    written.note(end.answers)
    assert written.sets or written.scores
    with open_store(tmp_path / "store") as store:
        for name, version in written.sets.items():
            assert store.sets.get(name).version == version
        for id in written.scores:
            assert store.history.get(id).set == "part"
