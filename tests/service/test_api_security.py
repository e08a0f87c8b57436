"""What an attacker may try over HTTP; a named test for each."""

import io
import pickle
import re
import socket
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from live import SHOTS, Live, files, finished_job, png, strict

from inctrl import Client
from inctrl.errors import InctrlError, NotStored, UsageError

TRAVERSALS = (
    "..", "../part", "..%2fpart", "%2e%2e/part", "/etc/passwd", "part/../../etc", "C:\\windows",
    "..\\part", "part\0", "~root", "part%00.png", "\u2025/part", "....//part", ".hidden",
)  # fmt: skip


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with strict(tmp_path_factory.mktemp("strict")) as running:
        yield running


def outside(service: Live) -> set[Path]:
    """All files beside the store's own."""
    store = service.bench.store.folder
    return {path for path in store.parent.rglob("*") if store not in path.parents}


# Path traversal


@pytest.mark.parametrize("name", TRAVERSALS)
def test_path_traversal_by_names(service: Live, http: httpx2.Client, name: str) -> None:
    before = outside(service)
    job = finished_job(
        service.bench, {"kind": "folder", "data": "parts", "set": "part"}, **{"a.csv": b"a"}
    )
    replies = [
        http.post("/v1/sets", data={"name": name}, files=files("images", png(1))),
        http.post("/v1/detect", data={"set": name}, files=files("queries", png(1))),
        http.post("/v1/detect", data={"set": "part", "adapter": name},
                  files=files("queries", png(1))),
        http.post("/v1/detect", data={"set": "part", "detector": name},
                  files=files("queries", png(1))),
        http.post("/v1/jobs", json={"kind": "folder", "data": name, "set": "part"}),
        http.post("/v1/jobs", json={"kind": "train", "data": ["parts"], "name": name}),
        http.post("/v1/jobs", json={"kind": "folder", "data": "parts", "set": "part",
                                    "adapter": f"job:{name}"}),
        raw(service, f"/v1/jobs/{job}/files/{name}"),
        raw(service, f"/v1/jobs/{job}/files/../../../../secret.txt"),
        raw(service, f"/v1/jobs/{job}/files/%2e%2e/log.txt"),
        raw(service, f"/v1/sets/{name}"),
        raw(service, f"/v1/sets/part/versions/1/images/{name}"),
        raw(service, f"/v1/scores/{name}"),
    ]  # fmt: skip
    for reply in replies:
        assert 400 <= reply.status_code < 500, (reply.request.url, reply.text)
        assert "sesame" not in reply.text
        assert "root:" not in reply.text
    assert outside(service) == before


def raw(service: Live, path: str) -> httpx2.Response:
    """A request whose path goes out as it is written."""
    target = re.sub("[^!-~]", lambda c: "".join(f"%{b:02X}" for b in c[0].encode()), path)
    with service.http() as http:
        return http.get("/", extensions={"target": target.encode()})


@pytest.mark.parametrize("name", TRAVERSALS)
def test_path_traversal_is_refused_by_the_client_too(client: Client, name: str) -> None:
    for ask in (client.set, client.versions, client.remove_set):
        with pytest.raises((UsageError, NotStored)):
            ask(name)
    for look in (client.score, client.job, client.cancel, client.undo):
        with pytest.raises(NotStored):
            look(name)


def test_path_traversal_by_file_names(client: Client, service: Live, http: httpx2.Client) -> None:
    before = outside(service)
    for number, name in enumerate(TRAVERSALS):
        sent = [("images", (name.replace("\0", "%00"), png(100 + number)))]
        assert http.post("/v1/sets/part/images", files=sent).status_code == 201
        shot = client.set("part").shots[-1]
        assert not set("/\\\0") & set(shot.name)
    assert outside(service) == before


def archive(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, data in members.items():
            file.writestr(name, data)
    return buffer.getvalue()


def test_path_traversal_by_an_imported_archive(
    client: Client, service: Live, http: httpx2.Client, tmp_path: Path
) -> None:
    client.create_set("carried", SHOTS[:1])
    good = client.export_set("carried", tmp_path / "good.zip").read_bytes()
    before, sets = outside(service), [one.name for one in client.sets()]

    def with_member(name: str, link: bool = False) -> bytes:
        buffer = io.BytesIO(good)
        member = zipfile.ZipInfo(name)
        member.external_attr = (0o120777 if link else 0o100644) << 16
        with zipfile.ZipFile(buffer, "a") as file:
            file.writestr(member, "/etc/passwd")
        return buffer.getvalue()

    bad = {
        "parent": with_member("../../evil.txt"),
        "absolute": with_member("/tmp/evil.txt"),  # noqa: S108
        "windows": with_member("..\\evil.txt"),
        "link": with_member("images/evil", link=True),
        "undeclared": with_member("images/evil.png"),
        "no manifest": archive(**{"images/x.png": png(1)}),
        "flipped": good[:200] + bytes([good[200] ^ 1]) + good[201:],
        "bomb": bomb(),
        "no zip": b"no zip",
    }
    for what, data in bad.items():
        reply = http.post("/v1/imports", data={"name": "evil"},
                          files=[("archive", ("x.zip", data))])  # fmt: skip
        assert 400 <= reply.status_code < 500, (what, reply.text)
        assert reply.headers["content-type"] == "application/problem+json"
        assert "inctrl-import" not in reply.text, what
        assert str(service.bench.store.folder) not in reply.text, what
    assert outside(service) == before
    assert [one.name for one in client.sets()] == sets
    assert not list(Path(service.bench.store.folder).rglob("*evil*"))


def bomb() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("manifest.json", b" " * 50_000_000)
    return buffer.getvalue()


# SSRF


def test_ssrf_no_field_is_ever_followed_as_an_address(
    service: Live, client: Client, http: httpx2.Client
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as trap:
        trap.settimeout(0)
        url = f"http://127.0.0.1:{trap.getsockname()[1]}/x.png"
        dialled: list[object] = []
        port, watching = trap.getsockname()[1], True

        def watch(event: str, args: tuple[Any, ...]) -> None:
            if watching and event in ("socket.connect", "socket.getaddrinfo") and port in args[-1:]:
                dialled.append(args)

        sys.addaudithook(watch)
        fetch = f'<svg xmlns="http://www.w3.org/2000/svg"><image href="{url}"/></svg>'.encode()
        named = [("queries", (url, png(1)))]
        http.post("/v1/detect", data={"set": "part"}, files=named)
        for content in (url.encode(), fetch, f"#EXTM3U\n{url}".encode()):
            for name in ("q.png", "q.svg", url):
                http.post("/v1/detect", data={"set": "part"}, files=[("queries", (name, content))])
            http.post("/v1/sets", data={"name": "ssrf"}, files=[("images", ("i.png", content))])
            http.post("/v1/imports", files=[("archive", (url, content))])
        for field in ("set", "adapter", "detector", "item", "queries", "shots", "maps"):
            form = {"set": "part"} | {field: url}
            http.post("/v1/detect", data=form, files=files("queries", png(1)))
        for spec in (
            {"kind": "folder", "data": url, "set": "part"},
            {"kind": "folder", "data": "parts", "set": "part", "adapter": url},
            {"kind": "train", "data": [url], "name": "a"},
            {"kind": "evaluate", "data": [url], "detectors": [url]},
        ):
            assert http.post("/v1/jobs", json=spec).status_code == 422
        watching = False
        with pytest.raises(BlockingIOError):  # nobody has called
            trap.accept()
    assert dialled == []


# Foreign Origin and Host


def unsafe_routes(service: Live) -> list[tuple[str, str]]:
    """Method and a path of every route that changes something."""
    document: dict[str, Any] = service.app.openapi()["paths"]
    filled = {"name": "absent", "version": "1", "sha256": "0" * 64, "id": "0" * 32}
    return [
        (method.upper(), path.format(**filled))
        for path, operations in document.items()
        for method in operations
        if method not in ("get", "head", "options")
    ]


def test_a_foreign_origin_is_refused_on_every_unsafe_route(
    service: Live, http: httpx2.Client
) -> None:
    routes = unsafe_routes(service)
    assert len(routes) >= 11
    for method, path in routes:
        for origin in ("http://evil.example", "null", "http://127.0.0.1:1", "https://localhost"):
            reply = http.request(method, path, headers={"Origin": origin})
            assert (reply.status_code, reply.json()["code"]) == (403, "foreign_origin"), path
        hidden = http.request(method, path, headers={"Sec-Fetch-Site": "cross-site"})
        assert hidden.status_code == 403, path
        own = http.request(method, path, headers={"Origin": service.url})
        assert own.status_code != 403, path


def test_a_foreign_host_is_refused_on_every_route(service: Live, http: httpx2.Client) -> None:
    routes = [*unsafe_routes(service), ("GET", "/livez"), ("GET", "/v1/sets"), ("GET", "/metrics")]
    for method, path in routes:
        for host in ("evil.example", "127.0.0.1.evil.example", "localhost@evil", ""):
            reply = http.request(method, path, headers={"Host": host})
            assert reply.status_code == 400, (path, host)
    told = http.get("/v1/sets", headers={"Host": f"localhost:{service.port}"})
    assert told.status_code == 200


# Pickle


class Tripwire:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_pickle_tripwire_nothing_sent_is_ever_unpickled(
    service: Live, client: Client, http: httpx2.Client, tmp_path: Path
) -> None:
    wire = tmp_path / "tripped"
    plain = pickle.dumps(Tripwire(wire))
    array = io.BytesIO()
    np.save(array, np.array([Tripwire(wire)], dtype=object), allow_pickle=True)
    packed = io.BytesIO()
    np.savez(packed, anomaly_map=np.array([Tripwire(wire)], dtype=object))
    for content in (plain, array.getvalue(), packed.getvalue(), archive(**{"data.pkl": plain})):
        for name in ("x.png", "x.pt", "x.pkl", "x.npy"):
            http.post("/v1/detect", data={"set": "part"}, files=[("queries", (name, content))])
        http.post("/v1/sets", data={"name": "wired"}, files=[("images", ("x.png", content))])
        http.post("/v1/feedback", data={"kind": "defect", "set": "part"},
                  files=[("image", ("x.png", content))])  # fmt: skip
        http.post("/v1/imports", files=[("archive", ("x.zip", content))])
        with pytest.raises(InctrlError):
            client.map(content, set="part")
    assert not wire.exists()
    Path.touch(wire)  # the wire works
    wire.unlink()
    pickle.loads(plain)  # noqa: S301
    assert wire.exists()


# Oversized and slow multipart


def test_oversized_multipart_is_413_with_and_without_a_length(
    service: Live, http: httpx2.Client
) -> None:
    data = b"x" * 3_000_000
    told = http.post("/v1/sets", data={"name": "big"}, files=[("images", ("b.png", data))])
    assert (told.status_code, told.json()["code"]) == (413, "too_large")
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    part = b'--x\r\nContent-Disposition: form-data; name="images"; filename="b.png"\r\n\r\n'
    chunks = iter([part, *(data[:100_000] for _ in range(40))])
    untold = http.post("/v1/sets", content=chunks, headers=kind)
    assert (untold.status_code, untold.json()["code"]) == (413, "too_large")


def test_slow_multipart_is_cut_off_with_408(service: Live) -> None:
    head = (
        "POST /v1/sets HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n"
        "Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n"
    )
    started = time.monotonic()
    with socket.create_connection(("127.0.0.1", service.port)) as connection:
        connection.settimeout(10)
        connection.sendall(head.encode())
        reply = b""
        while data := connection.recv(65_536):
            reply += data
    assert reply.startswith(b"HTTP/1.1 408")
    assert b'"code": "slow_body"' in reply
    assert time.monotonic() - started < 5
