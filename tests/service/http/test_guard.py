"""Who may talk to the service, and what each reply carries."""

import asyncio
import re

import pytest
from served import serving
from starlette.applications import Starlette
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient, WebSocketDenialResponse

from inctrl.errors import UsageError
from inctrl.service.http.drain import Drain
from inctrl.service.http.guard import Guard
from inctrl.service.http.layers import protected
from inctrl.service.http.limits import Limits

METHODS = ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "PROPFIND"]
UNSAFE = METHODS[3:]


async def page(request):
    headers = {"server": "leaky", "access-control-allow-origin": "*"}
    return HTMLResponse("<p>hello", headers=headers)


async def forwarded(request):
    return JSONResponse({"url": str(request.url), "sent": sorted(request.headers)})


async def crash(request):
    raise RuntimeError("/root/secret/place broke")


async def policy(request):
    return Response("x", headers={"content-security-policy": "own", "cache-control": "max-age=9"})


async def script(request):
    return Response("x", media_type=request.query_params["type"])


async def chat(websocket):
    await websocket.accept()
    await websocket.send_text("in")
    await websocket.close()


ROUTES = [
    Route("/", page, methods=METHODS),
    Route("/crash", crash),
    Route("/forwarded", forwarded),
    Route("/v1/policy", policy),
    Route("/{rest:path}", script),
    WebSocketRoute("/ws", chat),
]
HOSTS = ["localhost", "127.0.0.1", "::1", "only.example:8000"]
KNOWN_HOSTS = "localhost LOCALHOST:1 127.0.0.1:8 [::1] [::1]:80 [0:0::0:1]:80 only.example:8000"
FOREIGN_HOSTS = """
evil.example localhost.evil.example localhost. 127.0.0.1.nip.io 0.0.0.0 127.1 user@localhost
localhost: localhost:0 localhost:99999 localhost:80:80 localhost:8a localhost/ localhost,evil
::1 [::1 [::2] [::1%25lo] only.example only.example:8001
"""
FOREIGN_ORIGINS = """
null http://evil.example https://evil.example http://localhost http://localhost:1
http://127.0.0.1:7860 http://localhost:7860.evil.example http://localhost:7860/ localhost:7860
file://localhost:7860 chrome-extension://localhost:7860 http://user@localhost:7860
"""


def client(host="localhost:7860", origins=()):
    app = protected(
        Starlette(routes=ROUTES), limits=Limits(), drain=Drain(), hosts=HOSTS, origins=origins
    )
    return TestClient(app, headers={"host": host}, raise_server_exceptions=False)


@pytest.mark.parametrize("host", KNOWN_HOSTS.split())
def test_a_host_on_the_list_is_served(host):
    assert client(host).get("/").status_code == 200


@pytest.mark.parametrize("host", ["", *FOREIGN_HOSTS.split()])
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_any_other_host_is_refused_400(host, method):
    reply = client(host).request(method, "/")
    assert (reply.status_code, reply.json()["code"]) == (400, "bad_host")
    assert "--allow-host" in reply.json()["detail"]


@pytest.mark.parametrize(
    "hosts", [[], [b"localhost", b"localhost"], [b"localhost", b"evil.example"]]
)
def test_a_missing_or_doubled_host_is_refused(hosts):
    sent = asyncio.run(guarded([(b"host", host) for host in hosts]))
    assert sent[0]["status"] == 400


def test_a_missing_host_is_refused_on_the_wire_too():
    with serving() as served:
        assert served.talk(b"GET / HTTP/1.0\r\n\r\n").json["code"] == "bad_host"


@pytest.mark.parametrize("method", UNSAFE)
@pytest.mark.parametrize("origin", ["", "http://localhost:7860 null", *FOREIGN_ORIGINS.split()])
def test_a_foreign_origin_changes_nothing(method, origin):
    reply = client().request(method, "/", headers={"origin": origin})
    assert (reply.status_code, reply.json()["code"]) == (403, "foreign_origin")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("localhost:7860", None),
        ("localhost:7860", "http://localhost:7860"),
        ("localhost:7860", "HTTP://LocalHost:7860"),
        ("localhost", "http://localhost"),
        ("localhost", "http://localhost:80"),
        ("localhost:443", "https://localhost"),
        ("localhost", "https://localhost"),
        ("[::1]:7860", "http://[::1]:7860"),
        ("localhost:7860", "https://lab.example"),
    ],
)
def test_the_own_page_programs_and_listed_origins_may_post(method, host, origin):
    headers = {} if origin is None else {"origin": origin}
    reply = client(host, origins=["https://lab.example"]).request(method, "/", headers=headers)
    assert reply.status_code == 200


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_safe_methods_may_come_from_anywhere_but_are_not_shared(method):
    reply = client().request(method, "/", headers={"origin": "http://evil.example"})
    assert reply.status_code == 200
    assert not [name for name in reply.headers if name.startswith("access-control-")]


@pytest.mark.parametrize(
    ("site", "origin", "status"),
    [
        ("cross-site", None, 403),
        ("same-site", None, 403),
        ("same-origin", None, 200),
        ("none", None, 200),
        ("cross-site", "https://lab.example", 200),
        ("cross-site", "http://evil.example", 403),
    ],
)
def test_a_browser_that_hides_the_origin_still_tells_the_site(site, origin, status):
    headers = {"sec-fetch-site": site} | ({} if origin is None else {"origin": origin})
    reply = client(origins=["https://lab.example"]).post("/", headers=headers)
    assert reply.status_code == status


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("site", "origin", "status"),
    [
        ("cross-site", None, 403),
        ("same-site", None, 403),
        ("cross-site", "http://evil.example", 403),
        (None, "http://evil.example", 403),
        (None, "null", 403),
        (None, None, 200),
        ("none", None, 200),
        ("same-origin", None, 200),
        (None, "http://localhost:7860", 200),
        ("cross-site", "https://lab.example", 200),
    ],
)
def test_a_foreign_page_cannot_keep_the_api_at_work(method, site, origin, status):
    headers = {"sec-fetch-site": site, "origin": origin}
    headers = {name: value for name, value in headers.items() if value is not None}
    one = client(origins=["https://lab.example"])
    assert one.request(method, "/v1/verify?type=a/b", headers=headers).status_code == status
    if origin is None:  # a link on another page may lead to the page of the service
        assert one.request(method, "/", headers=headers).status_code == 200


def test_two_origins_are_none():
    pairs = [(b"host", b"localhost"), (b"origin", b"http://localhost")]
    assert asyncio.run(guarded(pairs, "POST"))[0]["status"] == 200
    assert asyncio.run(guarded([*pairs, pairs[1]], "POST"))[0]["status"] == 403


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("localhost", None, 101),
        ("localhost", "http://localhost", 101),
        ("localhost", "http://evil.example", 403),
        ("localhost", "null", 403),
        ("evil.example", None, 400),
    ],
)
def test_websockets_are_guarded(host, origin, status):
    headers = {"host": host} | ({} if origin is None else {"origin": origin})
    if status == 101:
        with client().websocket_connect("/ws", headers=headers) as websocket:
            assert websocket.receive_text() == "in"
        return
    with (
        pytest.raises(WebSocketDenialResponse) as refusal,
        client().websocket_connect("/ws", headers=headers),
    ):
        pass
    assert refusal.value.status_code == status


def test_a_proxys_word_does_not_reach_the_app():
    names = ["x-forwarded-host", "x-forwarded-proto", "forwarded", "x-gradio-server"]
    reply = client().get("/forwarded", headers=dict.fromkeys(names, "evil.example"))
    assert not set(names) & set(reply.json()["sent"])
    assert "host" in reply.json()["sent"]


@pytest.mark.parametrize("wrong", ["http://localhost", "a b", "", "localhost:0"])
def test_a_host_that_cannot_be_meant_is_a_usage_error(wrong):
    with pytest.raises(UsageError, match="is not a host"):
        Guard(page, hosts=[wrong])


@pytest.mark.parametrize("wrong", ["null", "*", "localhost", "http://a/b"])
def test_an_origin_that_cannot_be_meant_is_a_usage_error(wrong):
    with pytest.raises(UsageError, match="is not an origin"):
        Guard(page, hosts=["localhost"], origins=[wrong])


@pytest.mark.parametrize(
    ("host", "method", "path", "status"),
    [
        ("localhost", "GET", "/", 200),
        ("localhost", "POST", "/v1/none", 405),
        ("evil.example", "GET", "/", 400),
        ("localhost", "GET", "/crash", 500),
    ],
)
def test_every_reply_binds_the_browser(host, method, path, status):
    reply = client(host).request(method, path)
    assert reply.status_code == status
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["x-frame-options"] == "DENY"
    assert reply.headers["referrer-policy"] == "same-origin"
    assert reply.headers["cross-origin-opener-policy"] == "same-origin"
    assert reply.headers["cross-origin-resource-policy"] == "same-origin"
    assert "camera=()" in reply.headers["permissions-policy"]
    assert "frame-ancestors 'none'" in reply.headers["content-security-policy"]
    assert re.fullmatch("[0-9a-f]{32}", reply.headers["x-request-id"])
    assert "server" not in reply.headers
    assert "access-control-allow-origin" not in reply.headers


def test_a_crash_is_a_problem_that_tells_nothing(caplog):
    async def broken(scope, receive, send):
        raise RuntimeError("/root/secret/place broke")

    app = protected(broken, limits=Limits(), drain=Drain(), hosts=HOSTS)
    reply = TestClient(app, headers={"host": "localhost", "x-request-id": "id-7"}).get("/")
    assert (reply.status_code, reply.json()["code"]) == (500, "bug")
    assert "secret" not in reply.text
    assert reply.json()["request_id"] == "id-7"
    assert "id-7" in caplog.text


@pytest.mark.parametrize("given", ["abc", "A.b_c-9", "x" * 64])
def test_a_sane_request_id_is_kept(given):
    reply = client().get("/", headers={"x-request-id": given})
    assert reply.headers["x-request-id"] == given


@pytest.mark.parametrize("given", ["", "x" * 65, "a b", "a\tb", "<script>", "ü"])
def test_an_odd_request_id_is_replaced(given):
    reply = client().get("/", headers={"x-request-id": given.encode()})
    assert re.fullmatch("[0-9a-f]{32}", reply.headers["x-request-id"])


@pytest.mark.parametrize(
    ("path", "kind", "is_page"),
    [
        ("/", "text/html; charset=utf-8", True),
        ("/x", "TEXT/HTML", True),
        ("/v1/report", "text/html", False),
        ("/gradio_api/file=/tmp/evil.html", "text/html", False),
        ("/demo/gradio_api/file=/tmp/evil.html", "text/html", False),
        ("/picture", "image/svg+xml", False),
        ("/v1/x", "application/json", False),
    ],
)
def test_only_pages_have_the_rights_of_a_page(path, kind, is_page):
    found = client().get(path, params={"type": kind}).headers["content-security-policy"]
    assert ("script-src 'self'" in found) == is_page
    assert found.startswith("default-src 'none'")
    assert "http:" not in found
    assert "https:" not in found
    assert "*" not in found


def test_replies_of_the_api_are_not_stored_and_own_rules_of_a_route_are_kept():
    assert client().get("/v1/x?type=a/b").headers["cache-control"] == "no-store"
    assert "cache-control" not in client().get("/x?type=a/b").headers
    own = client().get("/v1/policy").headers
    assert own["content-security-policy"] == "own"
    assert own["cache-control"] == "max-age=9"


async def guarded(pairs, method="GET"):
    sent = []

    async def send(message):
        sent.append(message)

    async def app(scope, receive, send):
        await Response()(scope, receive, send)

    scope = {"type": "http", "method": method, "path": "/", "headers": pairs}
    await Guard(app, hosts=["localhost"])(scope, None, send)
    return sent
