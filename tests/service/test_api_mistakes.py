"""What people send by mistake is told with what to send instead, and never ignored."""

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from live import SHOTS, Live, files, finished_job, idle_jobs, live, png

JOB = {"kind": "folder", "data": "parts", "set": "part"}
QUERY = files("query", png(1))
QUERIES = files("queries", png(1))
IMAGES = files("images", png(1))
IMAGE = files("image", png(1))
PLAIN = {"set": "part"}
FORMS = {
    "/v1/detect": (PLAIN, QUERIES),
    "/v1/maps": (PLAIN, QUERY),
    "/v1/sets": ({"name": "new"}, IMAGES),
    "/v1/sets/part/images": ({}, IMAGES),
    "/v1/feedback": ({"set": "part", "kind": "defect"}, IMAGE),
    "/v1/imports": ({}, files("archive", b"PK")),
}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("mistakes")
    (folder / "data" / "parts").mkdir(parents=True)
    with idle_jobs(folder / "store"), live(folder / "store", data_root=folder / "data") as running:
        with running.client() as client:
            client.create_set("part", SHOTS)
            client.create_set("magnetic_tile", SHOTS)
        yield running


def told(reply: httpx2.Response, status: int = 422) -> str:
    problem = reply.json()
    assert (reply.status_code, problem["status"]) == (status, status), reply.text
    assert reply.headers["content-type"] == "application/problem+json"
    return str(problem["detail"])


# Fields of forms


@pytest.mark.parametrize(
    ("path", "field"),
    [("/v1/detect", "queries"), ("/v1/detect", "shots"), ("/v1/maps", "query"),
     ("/v1/sets", "images"), ("/v1/sets/part/images", "images"), ("/v1/feedback", "image"),
     ("/v1/imports", "archive")],
)  # fmt: skip
def test_a_forgotten_at_sign_is_told_with_the_way_to_write_it(
    http: httpx2.Client, path: str, field: str
) -> None:
    form, sent = FORMS[path]
    others = [one for one in sent if one[0] != field] or files("shots", png(2))
    said = told(http.post(path, data={**form, field: "part.png"}, files=others))
    wanted = f"{field}: got the text 'part.png', not a file; with curl write -F {field}=@part.png"
    assert wanted in said


def test_an_address_in_place_of_a_file_is_not_fetched_and_no_example(http: httpx2.Client) -> None:
    form = {**PLAIN, "query": "http://127.0.0.1:1/x.png"}
    said = told(http.post("/v1/maps", data=form))
    assert "not a file; with curl write -F query=@part.png" in said


def test_a_file_in_place_of_a_text_is_told(http: httpx2.Client) -> None:
    said = told(http.post("/v1/maps", files=[*QUERY, *files("set", b"part", name="{}.txt")]))
    assert said == "set: got the file '0.txt', not a text; with curl write -F set=TEXT"


@pytest.mark.parametrize("path", FORMS)
def test_an_unknown_field_is_refused_with_those_that_are_known(
    http: httpx2.Client, path: str
) -> None:
    form, sent = FORMS[path]
    reply = http.post(path, data={**form, "threshold": "0.9"}, files=sent)
    assert "threshold: unknown field (known: " in told(reply)
    assert reply.json()["errors"][0]["field"] == "body.threshold"
    assert reply.json()["code"] == "invalid_request"


@pytest.mark.parametrize(
    ("written", "meant"),
    [("quary", "query"), ("Query", "query"), ("query[]", "query"), ("detecter", "detector"),
     ("Set", "set"), ("shot", "shots")],
)  # fmt: skip
def test_a_misspelt_field_is_told_with_the_one_that_was_meant(
    http: httpx2.Client, written: str, meant: str
) -> None:
    said = told(http.post("/v1/maps", data=PLAIN, files=files(written, png(1))))
    assert f"{written}: unknown field; did you mean {meant!r}? (known: " in said


def test_all_that_is_wrong_with_a_form_is_told_at_once(http: httpx2.Client) -> None:
    reply = http.post("/v1/sets", data={"nme": "x", "images": "a.png"})
    assert {one["field"] for one in reply.json()["errors"]} == {
        "body.nme", "body.images", "body.name",
    }  # fmt: skip


def test_a_field_that_comes_twice_where_one_is_taken_is_refused(http: httpx2.Client) -> None:
    twice = told(http.post("/v1/maps", data=PLAIN, files=[*QUERY, *QUERY]))
    assert twice == "query: came 2 times; send it once"
    doubled = told(http.post("/v1/maps", data={"set": ["part", "magnetic_tile"]}, files=QUERY))
    assert doubled == "set: came 2 times; send it once"
    assert http.post("/v1/detect", data=PLAIN, files=[*QUERIES, *QUERIES]).status_code == 200
    assert told(http.get("/v1/sets?limit=1&limit=2")) == "limit: came 2 times; send it once"
    assert told(http.get("/v1/sets?limit=0,5")) == "limit: '0,5' is no whole number"


def test_no_file_at_all_is_told_with_the_way_to_send_one(http: httpx2.Client) -> None:
    for path, field in (("/v1/detect", "queries"), ("/v1/maps", "query")):
        for sent in ({"data": PLAIN}, {"files": files("shots", png(1))}):
            said = told(http.post(path, **sent))  # type: ignore[arg-type]
            assert f"{field}: no file came; with curl write -F {field}=@part.png" in said


def test_a_form_of_a_browser_where_no_file_was_chosen_lacks_the_file(http: httpx2.Client) -> None:
    kind = {"Content-Type": "multipart/form-data; boundary=x"}

    def part(name: str, more: str = "", body: bytes = b"") -> bytes:
        head = f'--x\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'
        return head.encode() + body + b"\r\n"

    unchosen = '; filename=""\r\nContent-Type: application/octet-stream'
    query = part("query", '; filename="q.png"', png(1))
    body = query + part("set", body=b"part") + part("shots", unchosen) + b"--x--\r\n"
    assert http.post("/v1/maps", content=body, headers=kind).status_code == 200
    body = part("query", unchosen) + part("set", body=b"part") + b"--x--\r\n"
    assert "query: no file came" in told(http.post("/v1/maps", content=body, headers=kind))


def test_an_empty_file_is_named(http: httpx2.Client) -> None:
    reply = http.post("/v1/detect", data=PLAIN, files=files("queries", b"", name="q{}.png"))
    (result,) = reply.json()["results"]
    assert result["status"] == "unreadable"
    assert "q0.png" in result["error"]
    assert "empty" in result["error"]


@pytest.mark.parametrize(
    ("form", "says"),
    [
        ({"alpha": "0,05"}, "alpha: '0,05' is no number; write a point: 0.05"),
        ({"alpha": "5 %"}, "alpha: '5 %' is no number; write 0.05"),
        ({"alpha": "5"}, "alpha: 5 is not in (0, 0.5]; for 5 % write 0.05"),
        ({"alpha": "much"}, "alpha: 'much' is no number"),
        ({"frame": "frist"}, "frame: 'frist' is not 'all', 'first' or a number from 1; did you"),
        ({"frame": "0"}, "frame: '0' is not 'all', 'first' or a number from 1"),
        ({"set": "Magnetic Tile"}, "set: 'Magnetic Tile' is no name of a set"),
        ({"set": "magnetic_tle"}, "no set 'magnetic_tle'; did you mean 'magnetic_tile'?"),
        ({"detector": "patchcor"}, "unknown detector 'patchcor'; did you mean 'patchcore'?"),
        ({"adapter": "nothing"}, "unknown adapter 'nothing'"),
        ({"set": ""}, "name a set or send shots"),
    ],
)
def test_a_value_that_does_not_fit_is_told_with_one_that_does(
    http: httpx2.Client, form: dict[str, str], says: str
) -> None:
    reply = http.post("/v1/detect", data={**PLAIN, **form}, files=QUERIES)
    assert says in told(reply, 404 if "no set" in says else 422)


def test_set_and_shots_are_told_to_be_one_of_two(http: httpx2.Client) -> None:
    both = http.post("/v1/detect", data=PLAIN, files=[*QUERIES, *files("shots", png(2))])
    assert "a set was named and shots were sent; give one of them" in told(both)
    assert "name a set or send shots" in told(http.post("/v1/detect", files=QUERIES))
    document = http.get("/v1/openapi.json").json()["components"]["schemas"]
    for name in ("Body_detect_v1_detect_post", "Body_draw_map_v1_maps_post"):
        assert not {"set", "shots"} & set(document[name]["required"])
        for field in ("set", "shots"):
            assert "not both" in document[name]["properties"][field]["description"]


# Kinds of bodies


@pytest.mark.parametrize("path", FORMS)
@pytest.mark.parametrize("kind", ["application/json", "image/png", "text/plain", ""])
def test_a_body_of_another_kind_is_told_what_to_send(
    http: httpx2.Client, path: str, kind: str
) -> None:
    reply = http.post(path, content=b'{"set": "part"}', headers={"Content-Type": kind})
    said = told(reply, 415)
    assert repr(kind or "none") in said
    assert "multipart/form-data" in said
    assert f"-F {FORMS[path][1][0][0]}=@part.png" in said


def test_a_file_sent_as_the_whole_body_is_told_to_go_into_a_form(http: httpx2.Client) -> None:
    kind = {"Content-Type": "application/x-www-form-urlencoded"}  # of curl --data-binary @FILE
    said = told(http.post("/v1/detect", content=png(1), headers=kind), 415)
    assert "send a form (multipart/form-data): with curl write -F queries=@part.png" in said


def test_no_refusal_is_longer_than_anybody_reads(http: httpx2.Client) -> None:
    fields = {f"{number}{'x' * 200}": "y" for number in range(500)}
    reply = http.post("/v1/detect", data=fields, files=QUERIES)
    assert len(reply.json()["errors"]) == 20
    assert len(told(reply)) < 1000


def test_a_header_without_a_boundary_is_told_to_be_left_out(http: httpx2.Client) -> None:
    kind = {"Content-Type": "multipart/form-data"}
    said = told(http.post("/v1/detect", content=b"--x", headers=kind), 400)
    assert "no boundary; leave that header" in said


def test_json_under_another_kind_is_told_which_header_is_missing(http: httpx2.Client) -> None:
    for kind in ("application/x-www-form-urlencoded", "text/plain", ""):
        reply = http.post(
            "/v1/jobs",
            content=b'{"kind": "folder", "data": "parts", "set": "part"}',
            headers={"Content-Type": kind},
        )
        assert "-H 'Content-Type: application/json'" in told(reply, 415)
    broken = http.post("/v1/jobs", content=b"{", headers={"Content-Type": "application/json"})
    assert "the body is no JSON" in told(broken)


# Fields of JSON


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"recursve": True}, "recursve: unknown field; did you mean 'recursive'? (known: "),
        ({"threshold": 0.9}, "threshold: unknown field (known: "),
        ({"kind": "foldr"}, "unknown kind 'foldr'; did you mean 'folder'?"),
        ({"kind": None}, "kind"),
        ({"alpha": "0,05"}, "write a point: 0.05"),
        ({"alpha": 5}, "for 5 % write 0.05"),
        ({"set": "magnetic_tle"}, "did you mean 'magnetic_tile'?"),
        ({"data": None}, "data"),
        ({"detector": "patchcor"}, "unknown detector 'patchcor'; did you mean 'patchcore'?"),
        (
            {"kind": "evaluate", "set": None, "data": ["parts"], "detectors": ["spde:k=1"]},
            "unknown detector 'spde'; did you mean 'spade'?",
        ),
        (
            {"kind": "evaluate", "set": None, "data": "parts"},
            'evaluate.data: is no list; write ["parts"]',
        ),
        ({"data": "prats"}, "no data 'prats' in the data root; did you mean 'parts'?"),
        ({"kind": "evaluate", "set": None, "data": ["foldr:parts"]}, "did you mean 'folder'?"),
    ],
)
def test_a_job_that_is_wrong_is_told_where(
    http: httpx2.Client, change: dict[str, Any], says: str
) -> None:
    spec = {name: value for name, value in {**JOB, **change}.items() if value is not None}
    reply = http.post("/v1/jobs", json=spec)
    assert says in told(reply, 404 if change.get("set") else 422)


# Queries


@pytest.mark.parametrize(
    "path",
    ["/v1/sets", "/v1/sets/part", "/v1/sets/part/versions", "/v1/scores", "/v1/jobs", "/v1/limits",
     "/v1/models", "/v1/data", "/v1/verify", "/v1/sets/part/export"],
)  # fmt: skip
def test_an_unknown_name_behind_the_question_mark_is_refused(
    http: httpx2.Client, path: str
) -> None:
    assert "threshold: unknown field (known: " in told(http.get(f"{path}?threshold=1"))


def test_a_misspelt_or_misplaced_name_is_told_where_it_belongs(http: httpx2.Client) -> None:
    assert "limi: unknown field; did you mean 'limit'?" in told(http.get("/v1/sets?limi=1"))
    said = told(http.post("/v1/detect?set=part", files=QUERIES))
    assert said == "set: belongs into the form: with curl write -F set=..."


def test_probes_may_ask_as_they_like(http: httpx2.Client) -> None:
    for path in ("/livez", "/readyz", "/metrics"):
        assert http.get(f"{path}?verbose=1").status_code == 200


# Addresses and methods


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("/detect", "/v1/detect"),
        ("/sets", "/v1/sets"),
        ("/v1/detect/", "/v1/detect"),
        ("//v1//detect", "/v1/detect"),
        ("/v1/v1/detect", "/v1/detect"),
        ("/api/v1/sets/part", "/v1/sets/part"),
        ("/v2/jobs", "/v1/jobs"),
        ("/v1/detct", "/v1/detect"),
        ("/v1/set/part", "/v1/sets/part"),
        ("/v1/livez", "/livez"),
        ("/openapi.json", "/v1/openapi.json"),
    ],
)
def test_a_wrong_address_is_told_with_the_one_that_was_meant(
    http: httpx2.Client, path: str, meant: str
) -> None:
    for method in ("GET", "POST"):
        said = told(http.request(method, http.base_url.copy_with(raw_path=path.encode())), 404)
        assert said.endswith(f"did you mean {meant}?")


def test_an_address_that_nothing_is_near_to_is_told_where_all_are(http: httpx2.Client) -> None:
    assert told(http.get("/nowhere"), 404).endswith("GET /v1/openapi.json lists all there is")


def test_a_refused_method_is_told_exactly_those_of_its_path(
    service: Live, http: httpx2.Client
) -> None:
    job = finished_job(service.bench, JOB)
    document = http.get("/v1/openapi.json").json()
    values = {"{name}": "part", "{version}": "1", "{sha256}": "0" * 64, "{id}": job}
    for pattern, operations in document["paths"].items():
        path = pattern
        for name, value in values.items():
            path = path.replace(name, value)
        reply = http.request("TRACE" if "jobs" in path else "PUT", path)
        wanted = sorted(method.upper() for method in operations)
        assert reply.headers["allow"].split(", ") == wanted, path
        assert told(reply, 405) == f"this address takes {', '.join(wanted)}"
        for method in ("GET", "HEAD", "POST", "PUT", "DELETE"):
            if method not in wanted and not (method == "HEAD" and "GET" in wanted):
                assert http.request(method, path).status_code == 405
    assert http.post("/v1/openapi.json").headers["allow"] == "GET, HEAD"
