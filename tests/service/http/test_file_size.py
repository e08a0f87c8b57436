"""A file over the limit is 413, however it comes: part or whole body, of a told length or not."""

from collections.abc import Iterator

import pytest
from live import Live, files, live, png
from served import Answer, Server, head

from inctrl.service.http.limits import Limits

LIMIT = 10_000
LARGE = png(1) + b"\0" * LIMIT
PATHS = {
    "/v1/detect": "queries",
    "/v1/maps": "query",
    "/v1/sets": "images",
    "/v1/sets/part/images": "images",
    "/v1/feedback": "image",
}
KINDS = {"part": "multipart/form-data; boundary=x", "whole body": "image/png"}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    limits = Limits(file_bytes=LIMIT, request_bytes=50_000, body_seconds=1.0)
    with live(tmp_path_factory.mktemp("sizes"), limits=limits) as running:
        yield running


def sent(path: str, kind: str, data: bytes) -> bytes:
    """What is sent of a body, and nothing behind the file: neither its end nor another field."""
    if kind == "whole body":
        return data
    part = (
        f'--x\r\nContent-Disposition: form-data; name="{PATHS[path]}"; filename="big.png"\r\n\r\n'
    )
    return part.encode() + data


def is_too_large(answer: Answer) -> bool:
    assert answer.headers["content-type"] == "application/problem+json"
    return (answer.status, answer.json["code"]) == (413, "too_large")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_file_over_the_limit_is_413_with_a_length(service: Live, path: str, kind: str) -> None:
    body = sent(path, kind, LARGE) + (b"\r\n--x--\r\n" if kind == "part" else b"")
    lines = f"Content-Type: {KINDS[kind]}", f"Content-Length: {len(body)}"
    assert is_too_large(Server(service.port).talk(head("POST", path, *lines), body))


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_file_over_the_limit_is_413_in_chunks_that_do_not_end(
    service: Live, path: str, kind: str
) -> None:
    body = sent(path, kind, LARGE)
    lines = f"Content-Type: {KINDS[kind]}", "Transfer-Encoding: chunked"
    chunk = b"%x\r\n%s\r\n" % (len(body), body)
    assert is_too_large(Server(service.port).talk(head("POST", path, *lines), chunk))


def test_the_refusal_names_the_file_and_the_limit(service: Live) -> None:
    with service.http() as http:
        reply = http.post("/v1/detect", files=files("queries", LARGE))
        assert reply.json()["detail"] == "'0.png' has more than 0.01 MB, the limit: scale it down"
        small = http.post("/v1/sets", data={"name": "small"}, files=files("images", png(1)))
        assert small.status_code == 201
        body = http.post("/v1/detect", content=png(1), headers={"Content-Type": "image/png"})
        assert (body.status_code, body.json()["code"]) == (415, "unsupported_media_type")
