"""Who is let in: a bearer token, or the session of somebody who logged in with one."""

import logging
import re
import time

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient, WebSocketDenialResponse

from inctrl.service.http.access import Tokens
from inctrl.service.http.login import Sessions
from inctrl.service.http.tokens import TokenFile, write_token_file

TOKEN = "inctrl_right"  # noqa: S105


async def route(request):
    return PlainTextResponse("in")


async def chat(websocket):
    await websocket.accept()
    await websocket.close()


ROUTES = [WebSocketRoute("/ws", chat), Route("/{rest:path}", route, methods=["GET", "POST"])]


def client(verify=TOKEN.__eq__):
    app = Tokens(Starlette(routes=ROUTES), verify)
    return TestClient(app, follow_redirects=False)


def bearer(token=TOKEN):
    return {"authorization": f"Bearer {token}"}


def test_without_a_verifier_everybody_is_let_in():
    assert client(None).get("/v1/sets").text == "in"


def test_the_api_needs_the_token():
    assert client().get("/v1/sets", headers=bearer()).text == "in"
    assert client().post("/v1/sets", headers={"authorization": f"bearer  {TOKEN}"}).text == "in"


@pytest.mark.parametrize("path", ["/v1/sets", "/metrics", "/gradio_api/upload", "/openapi.json"])
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "HEAD"])
def test_without_the_token_the_answer_is_401(path, method):
    reply = client().request(method, path)
    assert reply.status_code == 401
    assert reply.headers["www-authenticate"] == 'Bearer realm="inctrl"'
    assert reply.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "value", ["Bearer wrong", "Bearer", "", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN} x"]
)
def test_a_wrong_authorization_is_401_even_for_a_page_or_with_a_session(value):
    browser = client()
    browser.post("/login", data={"token": TOKEN})
    reply = browser.get("/", headers={"authorization": value, "accept": "text/html"})
    assert reply.status_code == 401
    assert 'error="invalid_token"' in reply.headers["www-authenticate"]


def test_a_token_in_the_url_is_worth_nothing():
    for query in (f"?token={TOKEN}", f"?access_token={TOKEN}", f"?authorization=Bearer%20{TOKEN}"):
        assert client().get("/v1/sets" + query).status_code == 401
        assert client().get("/login" + query).status_code == 200


def test_health_is_open_and_nothing_that_looks_like_it():
    for path in ("/livez", "/readyz"):
        assert client().get(path).text == "in"
    for path in ("/livez/", "/livez/x", "/LIVEZ", "/%2e/livez", "//livez"):
        assert client().get(path).status_code == 401


def test_a_browser_is_sent_to_the_login_page():
    page = {"accept": "text/html,*/*"}
    reply = client().get("/?next=http://evil.example", headers=page)
    assert (reply.status_code, reply.headers["location"]) == (303, "/login")
    assert client().post("/", headers=page).status_code == 401
    assert client().get("/v1/sets", headers=page).status_code == 401
    assert client().get("/").status_code == 401


def test_the_login_page_needs_nothing_but_itself():
    reply = client().get("/login")
    assert reply.status_code == 200
    assert not re.search(r"src=|href=|url\(|<script|//", reply.text)
    assert 'name="viewport"' in reply.text
    assert '<label for="token">' in reply.text
    assert reply.headers["content-security-policy"].startswith("default-src 'none'")
    assert reply.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("where", ["", "?next=http://evil.example", "?next=//evil.example"])
def test_logging_in_opens_a_session_and_leads_home(where):
    browser = client()
    form = {"token": f" {TOKEN}\n", "next": "http://evil.example"}
    reply = browser.post("/login" + where, data=form)
    assert (reply.status_code, reply.headers["location"]) == (303, "/")
    cookie = reply.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Path=/;" in cookie
    assert "Max-Age=43200" in cookie
    assert TOKEN not in cookie
    assert browser.get("/").text == "in"
    assert browser.post("/gradio_api/upload").text == "in"


def test_over_tls_the_cookie_stays_on_tls():
    browser = TestClient(
        Tokens(Starlette(routes=ROUTES), TOKEN.__eq__),
        base_url="https://testserver",
        follow_redirects=False,
    )
    assert "Secure" in browser.post("/login", data={"token": TOKEN}).headers["set-cookie"]
    assert "Secure" not in client().post("/login", data={"token": TOKEN}).headers["set-cookie"]


@pytest.mark.parametrize(
    "body",
    [
        *[b"", b"token=", b"token=wrong", b"token=inctrl_right&token=inctrl_right"],
        *[b"\xff\x00=&&", b"token=" + b"x" * 5000, b"&".join([b"a=b"] * 20)],
    ],
)
def test_a_wrong_login_opens_nothing_and_says_so(body):
    browser = client()
    kind = {"content-type": "application/x-www-form-urlencoded"}
    reply = browser.post("/login", content=body, headers=kind)
    assert reply.status_code == 401
    assert 'role="alert"' in reply.text
    assert "set-cookie" not in reply.headers
    assert browser.get("/").status_code == 401


def test_logging_out_ends_the_session():
    browser = client()
    cookie = browser.post("/login", data={"token": TOKEN}).cookies["inctrl_session"]
    assert browser.get("/logout").status_code == 405
    assert browser.get("/").text == "in"
    assert browser.post("/logout").headers["location"] == "/login"
    assert client().get("/", headers={"cookie": f"inctrl_session={cookie}"}).status_code == 401
    browser.cookies.set("inctrl_session", cookie)
    assert browser.get("/").status_code == 401


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_login_knows_two_methods(method):
    assert client().request(method, "/login").status_code == 405


@pytest.mark.parametrize("cookie", ["", "x", "inctrl_session=", "inctrl_session=\xff; a=b"])
def test_an_unknown_session_is_none(cookie):
    assert client().get("/", headers={"cookie": cookie.encode("latin-1")}).status_code == 401


def test_sessions_end_and_are_bounded(monkeypatch):
    sessions = Sessions(seconds=0.05)
    identity = sessions.open()
    assert len(identity) == 43
    assert sessions.holds(identity)
    assert not sessions.holds(identity[:-1])
    time.sleep(0.06)
    assert not sessions.holds(identity)
    monkeypatch.setattr("inctrl.service.http.login.MOST", 2)
    many = Sessions()
    identities = [many.open() for _ in range(3)]
    assert [many.holds(identity) for identity in identities] == [False, True, True]


def test_websockets_need_the_token_or_the_session():
    browser = client()
    with pytest.raises(WebSocketDenialResponse) as refusal, browser.websocket_connect("/ws"):
        pass
    assert refusal.value.status_code == 401
    with browser.websocket_connect("/ws", headers=bearer()):
        pass
    browser.post("/login", data={"token": TOKEN})
    with browser.websocket_connect("/ws"):
        pass


def test_the_token_is_never_logged(caplog, tmp_path):
    path = tmp_path / "tokens"
    token = write_token_file(path)
    browser = client(TokenFile.read(path).check)
    with caplog.at_level(logging.DEBUG):
        assert browser.get("/v1/x", headers=bearer(token)).status_code == 200
        assert browser.post("/login", data={"token": token}).status_code == 303
        browser.get("/v1/x", headers=bearer(token[:-1]))
    assert token[:-1] not in caplog.text
