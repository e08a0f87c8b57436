"""The end of the service: what was taken on is finished, and whoever comes later is told."""

import asyncio
import contextlib
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from served import Server, head, read_all, read_reply

from inctrl.service.http.drain import Drain, InFlight, _refuse_handshakes

PROGRAM = str(Path(__file__).parents[2] / "served.py")


class Process:
    """A server in a process of its own."""

    def __init__(self, drain_seconds: float) -> None:
        command = [sys.executable, PROGRAM, str(drain_seconds)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE)
        self.server = Server(int(self.process.stdout.readline()))
        assert self.server.ask().status == 200

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def end(self) -> tuple[int, float]:
        """The exit code, and the seconds until it was there."""
        started = time.monotonic()
        return self.process.wait(30), time.monotonic() - started


@contextlib.contextmanager
def process(drain_seconds=10.0):
    started = Process(drain_seconds)
    try:
        yield started
    finally:
        started.process.kill()
        started.process.wait()
        started.process.stdout.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_work_in_flight_is_finished_and_new_work_is_told(number):
    with process() as run, run.server.connect() as slow, run.server.connect() as kept:
        kept.sendall(head("GET", "/", close=False))
        read_reply(kept)
        slow.sendall(head("GET", "/slow?0.8", close=False))
        time.sleep(0.1)
        run.signal(number)
        time.sleep(0.1)
        refused = run.server.ask("/", close=False)
        assert (refused.status, refused.json["code"]) == (503, "draining")
        assert refused.headers["retry-after"] == "5"
        assert refused.headers["connection"] == "close"
        assert run.server.ask("/livez").status == 200
        assert run.server.ask("/metrics").status == 200
        kept.sendall(head("POST", "/", "Content-Length: 100000", close=False) + b"x" * 100_000)
        assert read_all(kept).status == 503
        answer = read_all(slow)
        assert answer.json == {"size": 0}
        assert answer.headers["connection"] == "close"
        code, seconds = run.end()
    assert code == 0
    assert seconds < 2.0


def test_without_work_the_end_is_quick_even_with_idle_and_silent_connections():
    with process() as run, run.server.connect() as kept, run.server.connect():
        kept.sendall(head("GET", "/", close=False))
        read_reply(kept)
        run.signal(signal.SIGTERM)
        assert read_all(kept).raw == b""
        code, seconds = run.end()
    assert code == 0
    assert 0.2 < seconds < 2.0


def test_a_page_that_listens_holds_nothing_up():
    with process() as run, run.server.connect() as page:
        page.sendall(head("GET", "/gradio_api/heartbeat/x"))
        seen = b""
        while b"alive" not in seen:
            seen += page.recv(10_000) or pytest.fail(f"closed after {seen!r}")
        run.signal(signal.SIGTERM)
        code, seconds = run.end()
    assert code == 0
    assert seconds < 2.0


def test_work_over_the_time_is_cut_and_the_exit_code_says_so():
    with process(drain_seconds=0.5) as run, run.server.connect() as slow:
        slow.sendall(head("GET", "/slow?20"))
        time.sleep(0.1)
        run.signal(signal.SIGTERM)
        code, seconds = run.end()
    assert code == 1
    assert 0.5 < seconds < 3.0


def test_a_second_signal_ends_at_once():
    with process() as run, run.server.connect() as slow:
        slow.sendall(head("GET", "/slow?20"))
        time.sleep(0.1)
        run.signal(signal.SIGTERM)
        time.sleep(0.3)
        assert run.process.poll() is None
        run.signal(signal.SIGTERM)
        code, seconds = run.end()
    assert code == -signal.SIGTERM
    assert seconds < 0.3


def test_a_head_that_has_begun_is_still_answered():
    with process() as run, run.server.connect() as connection:
        connection.sendall(head("GET", "/")[:20])
        time.sleep(0.1)
        run.signal(signal.SIGTERM)
        time.sleep(0.6)
        connection.sendall(head("GET", "/")[20:])
        assert read_all(connection).status == 503
        assert run.end()[0] == 0


def test_who_asked_nothing_in_time_is_told_before_the_end():
    with process() as run, run.server.connect() as connection:
        run.signal(signal.SIGTERM)
        assert run.end()[0] == 0
        connection.sendall(head("GET", "/"))
        answer = read_all(connection)
    assert (answer.status, answer.json["code"]) == (503, "draining")
    assert answer.headers["retry-after"] == "5"


@pytest.mark.skipif(sys.platform != "linux", reason="needs TCP_DEFER_ACCEPT")
def test_a_handshake_that_ends_after_the_door_was_shut_makes_a_connection_that_is_heard():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        # The kernel ends the handshake with the first data, and not before.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 5)
        with socket.create_connection(listener.getsockname()) as client:
            _refuse_handshakes(listener)
            client.sendall(b"one ")
            with listener.accept()[0] as connection:
                connection.settimeout(5)
                seen = connection.recv(10)
                client.sendall(b"two")
                assert seen + connection.recv(10) == b"one two"
        with socket.socket() as late:
            late.settimeout(0.1)
            with pytest.raises(TimeoutError):
                late.connect(listener.getsockname())


def test_what_waits_in_the_backlog_and_in_buffers_is_answered():
    with process() as run, contextlib.ExitStack() as stack:
        kept = [stack.enter_context(run.server.connect()) for _ in range(20)]
        for connection in kept:
            connection.sendall(head("GET", "/", close=False))
            read_reply(connection)
        run.signal(signal.SIGSTOP)
        for connection in kept:
            connection.sendall(head("GET", "/"))
        waiting = [stack.enter_context(run.server.connect()) for _ in range(60)]
        for connection in waiting:
            connection.sendall(head("GET", "/"))
        run.signal(signal.SIGTERM)
        run.signal(signal.SIGCONT)
        answers = [read_all(connection).status for connection in (*kept, *waiting)]
        assert run.end()[0] == 0
    assert set(answers) <= {200, 503}


def test_no_connection_that_was_made_goes_without_an_answer():
    outcomes, ready = [], threading.Event()

    def ask_on(server):
        while True:
            try:
                connection = server.connect()
            except ConnectionRefusedError:
                return
            with connection:
                try:
                    connection.sendall(head("GET", "/slow?0.01"))
                    outcomes.append(read_all(connection).status)
                except OSError as error:
                    outcomes.append(repr(error))
            if len(outcomes) > 50:
                ready.set()

    for _ in range(3):
        outcomes.clear()
        ready.clear()
        with process() as run:
            threads = [threading.Thread(target=ask_on, args=[run.server]) for _ in range(12)]
            for thread in threads:
                thread.start()
            ready.wait(10)
            run.signal(signal.SIGTERM)
            assert run.end()[0] == 0
            for thread in threads:
                thread.join(10)
        assert set(outcomes) == {200, 503}


@pytest.mark.parametrize("path", ["/livez", "/gradio_api/queue/data"])
def test_health_and_the_results_of_earlier_work_pass_while_draining(path):
    drain = Drain()
    drain.draining = True
    assert asyncio.run(status_of(drain, path)) == 200
    assert asyncio.run(status_of(drain, "/v1/sets")) == 503
    assert asyncio.run(status_of(drain, "/gradio_api/queue/join")) == 503


@pytest.mark.parametrize(
    ("path", "counted"),
    [("/v1/x", 1), ("/gradio_api/queue/data", 1), ("/livez", 0), ("/gradio_api/heartbeat/x", 0)],
)
def test_requests_are_counted_while_they_last(path, counted):
    drain, seen = Drain(), []
    assert asyncio.run(status_of(drain, path, lambda: seen.append(drain.in_flight))) == 200
    assert seen == [counted]
    assert drain.in_flight == 0


def test_a_request_that_fails_is_not_in_flight_for_ever():
    drain = Drain()

    def fail():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        asyncio.run(status_of(drain, "/v1/x", fail))
    assert drain.in_flight == 0


async def status_of(drain, path, during=lambda: None):
    sent = []

    async def app(scope, receive, send):
        during()
        await send({"type": "http.response.start", "status": 200})

    async def send(message):
        sent.append(message)

    await InFlight(app, drain)({"type": "http", "path": path}, None, send)
    return sent[0]["status"]
