"""The guards hold for the routes of Gradio, which has none of its own."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from served import Server, head

CORS = re.compile(rb"access-control-", re.IGNORECASE)
GRADIO_POSTS = [
    "/gradio_api/upload",
    "/gradio_api/queue/join",
    "/gradio_api/run/same",
    "/gradio_api/call/same",
    "/gradio_api/reset",
    "/gradio_api/cancel",
    "/gradio_api/stream/x",
]


@pytest.fixture(scope="module")
def gradio():
    """In a process of its own: importing Gradio leaves event loops and sockets open."""
    quiet = {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, str(Path(__file__).parent.parent / "served_gradio.py")]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, env=os.environ | quiet) as process:
        yield Server(int(process.stdout.readline()))


def upload(size, *lines, host="localhost", path="/gradio_api/upload"):
    """Head and body of a form with a file."""
    part = b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
    body = part + b"x" * size + b"\r\n--b--\r\n"
    kind = "Content-Type: multipart/form-data; boundary=b"
    return head("POST", path, kind, f"Content-Length: {len(body)}", *lines, host=host), body


def test_gradio_takes_an_upload_of_its_own_page(gradio):
    own = f"localhost:{gradio.port}"
    answer = gradio.talk(*upload(10, f"Origin: http://{own}", host=own))
    assert answer.status == 200
    assert not CORS.search(answer.raw)


@pytest.mark.parametrize("path", GRADIO_POSTS)
@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://localhost:1"])
def test_gradio_takes_nothing_from_a_foreign_origin(gradio, path, origin):
    answer = gradio.talk(*upload(10, f"Origin: {origin}", path=path))
    assert (answer.status, answer.json["code"]) == (403, "foreign_origin")


@pytest.mark.parametrize("path", [*GRADIO_POSTS, "/", "/config", "/gradio_api/info"])
def test_gradio_is_not_reached_under_a_foreign_host(gradio, path):
    method = "POST" if path in GRADIO_POSTS else "GET"
    answer = gradio.talk(head(method, path, host="evil.example"))
    assert (answer.status, answer.json["code"]) == (400, "bad_host")


def test_gradio_takes_no_upload_over_the_limit(gradio):
    answer = gradio.talk(*upload(100_000))
    assert (answer.status, answer.json["code"]) == (413, "too_large")
    start, body = upload(100_000)
    start = re.sub(rb"Content-Length: \d+", b"Transfer-Encoding: chunked", start)
    chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    answer = gradio.talk(start, chunked)
    assert (answer.status, answer.json["code"]) == (413, "too_large")


def test_gradio_answers_no_preflight(gradio):
    lines = ["Origin: http://localhost:1", "Access-Control-Request-Method: POST"]
    answer = gradio.talk(head("OPTIONS", "/gradio_api/queue/join", *lines))
    assert not CORS.search(answer.raw)


def test_gradios_page_has_the_policy_of_a_page(gradio):
    answer = gradio.ask("/")
    assert answer.status == 200
    assert "connect-src 'self'" in answer.headers["content-security-policy"]
