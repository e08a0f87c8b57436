"""Who is let in: a bearer token, or the session of somebody who logged in with one."""

import asyncio
import logging
import re
import threading
import time

import anyio
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient, WebSocketDenialResponse

from inctrl.service.http.access import Attempts, Tokens, TooManyAttempts
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


def test_a_right_token_is_checked_once():
    checked = []
    browser = client(lambda token: checked.append(token) or token == TOKEN)
    for _ in range(3):
        assert browser.get("/v1/x", headers=bearer()).status_code == 200
    assert checked == [TOKEN]


def test_whoever_guesses_has_to_wait_but_known_tokens_and_other_clients_do_not():
    checked = []

    async def guess():
        attempts = Attempts(lambda token: checked.append(token) or token == TOKEN, tries=3, per=0.3)
        assert await attempts.verify(TOKEN, "a")
        for number in range(3):
            assert not await attempts.verify(f"wrong{number}", "a")
        with pytest.raises(TooManyAttempts) as refusal:
            await attempts.verify("wrong", "a")
        assert 0 < refusal.value.retry_after <= 0.3
        assert len(checked) == 4
        assert await attempts.verify(TOKEN, "a")
        assert not await attempts.verify("wrong", "b")
        await anyio.sleep(0.31)
        assert not await attempts.verify("wrong", "a")

    asyncio.run(guess())


def test_guesses_at_once_count_before_they_are_checked():
    async def guess():
        attempts = Attempts(str.isspace, tries=3)
        tries = [attempts.verify(str(number), "a") for number in range(20)]
        return await asyncio.gather(*tries, return_exceptions=True)

    outcomes = asyncio.run(guess())
    assert outcomes.count(False) == 3
    assert sum(isinstance(outcome, TooManyAttempts) for outcome in outcomes) == 17


def test_tokens_are_checked_off_the_loop_one_at_a_time():
    threads, at_once, most = set(), 0, 0

    def check(token):
        nonlocal at_once, most
        threads.add(threading.current_thread())
        at_once += 1
        most = max(most, at_once)
        time.sleep(0.02)
        at_once -= 1
        return False

    async def guess():
        attempts = Attempts(check)
        await asyncio.gather(*(attempts.verify("x", str(number)) for number in range(5)))

    asyncio.run(guess())
    assert threading.main_thread() not in threads
    assert most == 1


def test_guessing_is_answered_429_on_both_ways():
    browser = client()
    for _ in range(5):
        assert browser.get("/v1/x", headers=bearer("wrong")).status_code == 401
    reply = browser.get("/v1/x", headers=bearer("wrong"))
    assert (reply.status_code, reply.json()["code"]) == (429, "too_many_attempts")
    assert 1 <= int(reply.headers["retry-after"]) <= 60
    page = browser.post("/login", data={"token": "wrong"})
    assert page.status_code == 429
    assert 'role="alert"' in page.text
    assert 1 <= int(page.headers["retry-after"]) <= 61


@pytest.mark.parametrize(
    ("first", "second", "shared"),
    [
        ("2001:db8::1", "2001:db8::2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("10.0.0.1", "10.0.0.2", False),
    ],
)
def test_an_ipv6_network_is_one_client(first, second, shared):
    app = Tokens(Starlette(routes=ROUTES), TOKEN.__eq__)
    for address, status in ((first, 429), (second, 429 if shared else 401)):
        browser = TestClient(app, client=(address, 1))
        for _ in range(6 if address == first else 1):
            reply = browser.get("/v1/x", headers=bearer("wrong"))
        assert reply.status_code == status


def test_the_token_is_never_logged(caplog, tmp_path):
    path = tmp_path / "tokens"
    token = write_token_file(path)
    browser = client(TokenFile.read(path).check)
    with caplog.at_level(logging.DEBUG):
        assert browser.get("/v1/x", headers=bearer(token)).status_code == 200
        assert browser.post("/login", data={"token": token}).status_code == 303
        browser.get("/v1/x", headers=bearer(token[:-1]))
    assert token[:-1] not in caplog.text
