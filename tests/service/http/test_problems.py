"""Errors are problems of RFC 9457, and tell nothing of the machine."""

import asyncio
import json

import pytest
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.testclient import TestClient

from inctrl.service.http.headers import ReplyHeaders
from inctrl.service.http.problems import problem, send_problem, spoken


def body_of(reply):
    return json.loads(reply.body)


def test_a_problem_has_the_members_of_the_rfc_and_ours():
    reply = problem(413, "too_large", "send less", headers={"Retry-After": "3"})
    assert reply.status_code == 413
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.headers["retry-after"] == "3"
    assert body_of(reply) == {
        "type": "about:blank",
        "title": "Content Too Large",
        "status": 413,
        "detail": "send less",
        "code": "too_large",
    }


def test_path_and_request_id_are_filled_in_when_it_is_sent():
    async def route(request):
        return problem(404, "not_found", "no such set", errors=[{"field": "name"}])

    app = ReplyHeaders(Starlette(routes=[Route("/v1/sets/{name}", route)]))
    reply = TestClient(app).get("/v1/sets/ü?token=1", headers={"X-Request-Id": "abc-1"})
    assert reply.json()["instance"] == "/v1/sets/ü"
    assert reply.json()["request_id"] == "abc-1"
    assert reply.json()["errors"] == [{"field": "name"}]
    assert int(reply.headers["content-length"]) == len(reply.content)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("'/home/anna/my shots/a.png' is no image", "'a.png' is no image"),
        ("cannot write /var/lib/inctrl/store.sqlite3: full", "cannot write store.sqlite3: full"),
        (r"C:\Users\anna\a.png is no image", "a.png is no image"),
        (r"'C:\Users\anna b\a.png' is no image", "'a.png' is no image"),
        ("see /v1/sets/bottle", "see /v1/sets/bottle"),
        ("see https://example.org/a/b", "see https://example.org/a/b"),
        ("8/10 and 1/2 are fine", "8/10 and 1/2 are fine"),
        ("one\r\nSet-Cookie: two\x1b[31m\x00", "one Set-Cookie: two [31m"),
        ("no\u2028line", "no line"),
        ('it broke\nTraceback (most recent call last):\n  File "x.py"', "it broke"),
        ("", "no details"),
    ],
)
def test_no_path_traceback_or_control_character_is_told(text, told):
    assert spoken(text) == told
    assert body_of(problem(400, "x", text))["detail"] == told
    errors = body_of(problem(400, "x", "", errors=[{"loc": ["a", 1], "msg": text}]))["errors"]
    assert errors == [{"loc": ["a", 1], "msg": told}]


def test_values_that_json_does_not_know_do_not_break_a_problem():
    reply = problem(422, "x", "\udcff", errors=[{"input": ValueError("odd"), "n": 1.5}])
    assert body_of(reply)["errors"] == [{"input": "ValueError('odd')", "n": 1.5}]


@pytest.mark.parametrize(
    ("extensions", "types"),
    [
        ({}, ["websocket.close"]),
        (
            {"websocket.http.response": {}},
            ["websocket.http.response.start", "websocket.http.response.body"],
        ),
    ],
)
def test_a_websocket_is_refused_in_the_way_that_its_server_knows(extensions, types):
    sent = []

    async def send(message):
        sent.append(message)

    scope = {"type": "websocket", "path": "/", "extensions": extensions}
    asyncio.run(send_problem(scope, send, 403, "foreign_origin", "no"))
    assert [message["type"] for message in sent] == types
    assert sent[0].get("status", 403) == 403
