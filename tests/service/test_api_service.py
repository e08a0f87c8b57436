"""The service as a whole: health, figures, errors, headers, its description, and what it hides."""

import json
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import httpx2
import pytest
from fakes import FakeBackbone
from live import SHOTS, Live, files, finished_job, idle_jobs, live, picture, png
from prometheus_client.parser import text_string_to_metric_families

from inctrl import Client
from inctrl.errors import Unauthorised
from inctrl.service import openapi
from inctrl.service.http.drain import Drain
from inctrl.service.http.tokens import write_token_file

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("service")
    (folder / "data" / "parts").mkdir(parents=True)
    with idle_jobs(folder / "store"), live(folder / "store", data_root=folder / "data") as running:
        with running.client() as client:
            client.create_set("part", SHOTS)
        yield running


# Health


def test_it_is_alive_before_it_is_ready_and_ready_once_the_model_is_loaded(tmp_path: Path) -> None:
    go_on = threading.Event()

    def slow(*_: object, **__: object) -> FakeBackbone:
        go_on.wait(30)
        return FakeBackbone()

    with (
        mock.patch("inctrl.service.inspectors.load_backbone", slow),
        live(tmp_path, backbone="tiny", ready=False) as service,
        service.http() as http,
    ):
        assert http.get("/livez").json() == {"status": "alive"}
        reply = http.get("/readyz")
        assert (reply.status_code, reply.json()) == (503, {"status": "starting"})
        assert gauge(http, "inctrl_model_loaded") == 0
        go_on.set()
        service.wait_ready()
        assert http.get("/readyz").json() == {"status": "ready"}
        assert gauge(http, "inctrl_model_loaded") == 1


def test_while_draining_it_is_alive_not_ready_and_takes_nothing_new(
    service: Live, http: httpx2.Client
) -> None:
    drain: Drain = service.app.state.drain
    drain.draining = True
    try:
        assert http.get("/livez").status_code == 200
        reply = http.get("/readyz")
        assert (reply.status_code, reply.json()) == (503, {"status": "draining"})
        refused = http.get("/v1/sets")
        assert (refused.status_code, refused.json()["code"]) == (503, "draining")
        assert int(refused.headers["retry-after"]) > 0
    finally:
        drain.draining = False


def test_a_model_that_cannot_be_loaded_leaves_it_alive_and_unready(tmp_path: Path) -> None:
    fault = OSError("no weights")
    with (
        mock.patch("inctrl.service.inspectors.load_backbone", side_effect=fault),
        live(tmp_path, backbone="tiny", ready=False) as service,
        service.http() as http,
    ):
        time.sleep(0.2)
        assert http.get("/livez").status_code == 200
        assert http.get("/readyz").status_code == 503
        assert http.get("/v1/sets").status_code == 200


def test_a_token_is_wanted_where_the_service_has_any(tmp_path: Path) -> None:
    token = write_token_file(tmp_path / "tokens")
    with live(tmp_path / "store", tokens=tmp_path / "tokens") as service:
        with service.client(token=token) as client:
            assert list(client.sets()) == []
        for wrong in (None, "inctrl_wrong"):
            with service.client(token=wrong) as client:
                assert client.ready()  # health is open
                with pytest.raises(Unauthorised, match="token"):
                    list(client.sets())


# Figures


def gauge(http: httpx2.Client, name: str, **labels: str) -> float:
    families = text_string_to_metric_families(http.get("/metrics").text)
    return sum(
        sample.value
        for family in families
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def test_the_figures_count_what_happens(client: Client, http: httpx2.Client) -> None:
    route = {"route": "/v1/detect", "code": "200"}
    before = gauge(http, "inctrl_requests_total", **route)
    verdicts = gauge(http, "inctrl_verdicts_total")
    client.detect([picture(7), picture(9, spot=True), b"no image"], set="part")
    assert gauge(http, "inctrl_requests_total", **route) == before + 1
    assert gauge(http, "inctrl_verdicts_total") == verdicts + 2
    assert gauge(http, "inctrl_queue_depth") == 0
    assert gauge(http, "inctrl_request_duration_seconds_count", route="/v1/detect") >= 1
    assert gauge(http, "inctrl_stage_duration_seconds_count", stage="encode") >= 2
    assert gauge(http, "inctrl_build_info") == 1
    kept = http.get("/metrics")
    assert kept.headers["content-type"].startswith("text/plain; version=0.0.4")


def test_the_figures_hold_no_word_of_a_user(http: httpx2.Client) -> None:
    word = "sesame"
    http.get(f"/v1/sets/{word}")
    http.get(f"/{word}", headers={"X-Request-Id": word, "User-Agent": word})
    http.get(f"/v1/{word}?{word}={word}")
    http.request(word.upper(), "/v1/sets")
    http.post("/v1/sets", data={"name": word}, files=files("images", png(1), name=word + "{}"))
    http.post("/v1/detect", data={"set": word}, files=files("queries", png(1)))
    assert word not in http.get("/metrics").text.lower()


def test_jobs_are_counted_by_state(service: Live, http: httpx2.Client) -> None:
    before = gauge(http, "inctrl_jobs", state="succeeded")
    finished_job(service.bench, {"kind": "folder", "data": "parts", "set": "part"})
    assert gauge(http, "inctrl_jobs", state="succeeded") == before + 1


# Errors and headers


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/nothing", 404, "not_found"),
        ("GET", "/nothing", 404, "not_found"),
        ("PUT", "/v1/sets", 405, "method_not_allowed"),
        ("PUT", "/v1/sets/part", 405, "method_not_allowed"),
        ("GET", "/v1/sets/absent", 404, "not_found"),
        ("GET", "/v1/sets/UPPER", 422, "invalid_request"),
        ("GET", "/v1/sets?limit=0", 422, "invalid_request"),
        ("GET", "/v1/sets/part/versions/zero", 422, "invalid_request"),
        ("POST", "/v1/jobs", 422, "invalid_request"),
    ],
)
def test_every_error_is_a_problem(
    http: httpx2.Client, method: str, path: str, status: int, code: str
) -> None:
    reply = http.request(method, path, headers={"X-Request-Id": "mine-1"})
    problem = reply.json()
    assert reply.headers["content-type"] == "application/problem+json"
    assert (reply.status_code, problem["status"], problem["code"]) == (status, status, code)
    assert problem["request_id"] == "mine-1" == reply.headers["x-request-id"]
    assert problem["instance"] == path.split("?")[0]
    assert {"type", "title", "detail"} <= problem.keys()
    if code == "invalid_request":
        assert all(one["field"] and one["message"] for one in problem["errors"])


def test_a_refused_method_is_told_all_that_are_allowed(http: httpx2.Client) -> None:
    assert http.put("/v1/sets").headers["allow"] == "GET, POST"
    assert http.put("/v1/sets/part").headers["allow"] == "DELETE, GET, PATCH"


def test_a_body_that_cannot_be_read_is_a_problem(http: httpx2.Client) -> None:
    kind = {"Content-Type": "multipart/form-data"}  # and no boundary
    broken = http.post("/v1/sets", content=b"--x", headers=kind)
    assert (broken.status_code, broken.json()["code"]) == (400, "bad_request")
    json_kind = {"Content-Type": "application/json"}
    for body in (b"{", b'{"kind": "folder", "data": "\\ud800", "set": "part"}', b"\xff", b"null"):
        reply = http.post("/v1/jobs", content=body, headers=json_kind)
        assert reply.status_code in (400, 422), body
        assert reply.headers["content-type"] == "application/problem+json"


def test_a_fault_of_the_service_is_a_problem_without_its_reasons(
    service: Live, caplog: pytest.LogCaptureFixture
) -> None:
    fault = RuntimeError("secret at /root/place")
    with (
        mock.patch.object(service.bench.store.sets, "get", side_effect=fault),
        service.http() as http,
    ):
        reply = http.get("/v1/sets/part")
    assert (reply.status_code, reply.json()["code"]) == (500, "bug")
    assert "secret" not in reply.text
    assert "secret" in caplog.text


def test_every_reply_binds_the_browser(http: httpx2.Client) -> None:
    for path in ("/livez", "/metrics", "/v1/sets", "/v1/nothing", "/v1/openapi.json"):
        headers = http.get(path).headers
        assert headers["x-content-type-options"] == "nosniff", path
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "same-origin"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert re.fullmatch("[0-9a-f]{32}", headers["x-request-id"])
        assert "server" not in headers
        assert not [name for name in headers if name.startswith("access-control-")]
    assert http.get("/v1/sets").headers["cache-control"] == "no-store"


def test_no_reply_names_a_place_of_this_machine(
    service: Live, client: Client, http: httpx2.Client
) -> None:
    store = service.bench.store
    job = finished_job(
        service.bench, {"kind": "folder", "data": "parts", "set": "part"}, **{"r.csv": b"a"}
    )
    log = store.jobs_folder / job / "log.txt"
    log.write_text(f"wrote {store.folder}/jobs/{job}/result/r.csv and /root/other/place.txt\n")
    id = client.detect([picture(7)], set="part").results[0].id
    alarm = client.confirm_defect("part", picture(9, spot=True)).id
    zip_form = {"files": [("archive", ("a.zip", b"PK\3\4 no zip"))]}
    image = files("images", b"no image", name="/etc/{}/passwd")
    replies = [
        *(http.get(path) for path in (
            "/v1/sets", "/v1/sets/part", "/v1/sets/absent", "/v1/sets/part/versions", "/v1/verify",
            "/v1/data", "/v1/models", "/v1/limits", "/v1/openapi.json", "/metrics", "/v1/jobs",
            f"/v1/jobs/{job}", f"/v1/jobs/{job}/files/absent", f"/v1/jobs/{job}/adapter",
            f"/v1/scores/{id}", "/v1/scores", "/v1/scores?after=x", f"/v1/feedback/{alarm}",
        )),
        http.post("/v1/imports", **zip_form),
        http.post("/v1/sets", data={"name": "bad"}, files=image),
        http.post("/v1/jobs", json={"kind": "folder", "data": "absent", "set": "part"}),
        http.post("/v1/jobs", json={"kind": "folder", "data": "../..", "set": "part"}),
        http.post("/v1/detect", data={"set": "part", "adapter": "x"}, files=files("queries", b"")),
    ]  # fmt: skip
    hidden = [str(store.folder), str(store.folder.parent), "/tmp/", "/root/", str(ROOT)]  # noqa: S108
    for reply in replies:
        assert reply.content, reply.url
        for place in hidden:
            assert place not in reply.text, reply.url
    assert "wrote" in http.get(f"/v1/jobs/{job}").json()["log"]


# What it takes, and its description


def test_limits_and_models_are_told(client: Client) -> None:
    limits = client.limits()
    assert (limits.file_bytes, limits.request_bytes, limits.images) == (20_000_000, 64_000_000, 64)
    assert {"png", "jpeg", "tiff", "bmp", "webp"} <= set(limits.formats)
    models = client.models()
    assert (models.backbone, models.detector) == ("fake", "incontext")
    assert {"incontext", "patchcore", "padim"} <= set(models.detectors)


def test_the_description_in_the_repository_is_that_of_the_service(http: httpx2.Client) -> None:
    written = (ROOT / "docs" / "openapi.json").read_text(encoding="utf-8")
    served = http.get("/v1/openapi.json").json()
    assert written == openapi.text(served), "python -m inctrl.service.openapi > docs/openapi.json"


def test_the_description_names_every_reply(http: httpx2.Client) -> None:
    document = http.get("/v1/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            where = f"{method} {path}"
            assert operation.get("description"), where
            problem = {"schema": {"$ref": "#/components/schemas/Problem"}}
            assert operation["responses"]["4XX"]["content"]["application/problem+json"] == problem
            assert any(status.startswith("2") for status in operation["responses"]), where
    assert "HTTPValidationError" not in json.dumps(document)
