"""The page as it is served: programs that talk to it, and what is not let through."""

import json
import shutil
import urllib.error
import urllib.request
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import awkward
import pytest
from paged import Served

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    from gradio_client import Client, handle_file
    from gradio_client.exceptions import AppError

from inctrl.client import Client as RestClient
from inctrl.page.boundary import Foreign, is_upload, refuse_foreign


def connected(url: str) -> Client:
    """A client that asks no hub who it is called by, as huggingface_hub does once in a process."""
    with mock.patch("huggingface_hub.constants.HF_HUB_OFFLINE", True):
        return Client(url, verbose=False, analytics_enabled=False)


@pytest.fixture(scope="module")
def client(served: Served) -> Iterator[Client]:
    found = connected(served.url)
    yield found
    found.close()


def detection(client: Client, shots: list[Path], queries: list[Path], name: str = "") -> Any:
    return client.predict(
        [handle_file(path) for path in shots],
        [handle_file(path) for path in queries],
        name,
        "field",
        api_name="/inspect",
    )


def test_inspect_says_what_rest_says(
    served: Served, client: Client, shots: list[Path], queries: list[Path]
) -> None:
    found = detection(client, shots, queries)
    with RestClient(served.url.rstrip("/")) as rest:
        reply = rest.detect(queries, shots=shots, item="field").model_dump(mode="json")
    assert [one["score"] for one in found["results"]] == pytest.approx(
        [one["score"] for one in reply["results"]], abs=1e-6
    )
    for mine, theirs in zip(found["results"], reply["results"], strict=True):
        for one in (mine, theirs):
            del one["score"], one["id"], one["timing"], one["p_value"]
        assert mine["evidence"].pop("distance") == pytest.approx(
            theirs["evidence"].pop("distance"), abs=1e-6
        )
    assert [one["verdict"] for one in found["results"]] == ["normal", "anomalous"]
    assert found["model"] == reply["model"]
    assert found["shots"] == reply["shots"]
    assert found["limit"]["threshold"] == pytest.approx(reply["limit"]["threshold"], abs=1e-6)


def test_awkward_files_score_as_over_rest(served: Served, client: Client, tmp_path: Path) -> None:
    """Stacks, animations, turned, inverted, clear and unreadable files: `tests/awkward.py`."""
    shots, queries = awkward.normals(tmp_path / "normal"), awkward.queries(tmp_path / "query")
    found = detection(client, shots, queries)["results"]
    with RestClient(served.url.rstrip("/")) as rest:
        reply = rest.detect(queries, shots=shots, item="field").model_dump(mode="json")["results"]
    assert [one["name"] for one in found] == list(awkward.NAMES)
    assert [one["name"] for one in reply] == list(awkward.NAMES)
    assert [one.get("score", -1) for one in found] == pytest.approx(
        [one.get("score", -1) for one in reply], abs=1e-6
    )
    assert found[-1]["error"] == reply[-1]["error"]


def test_only_inspect_is_offered_to_programs(client: Client) -> None:
    info = client.view_api(print_info=False, return_format="dict")
    assert list(info["named_endpoints"]) == ["/inspect"]
    assert info["unnamed_endpoints"] == {}


def test_a_refusal_is_one_line_without_a_path(client: Client, queries: list[Path]) -> None:
    with pytest.raises(AppError, match="no set") as refused:
        detection(client, [], queries, "no-such")
    assert "\n" not in str(refused.value)
    with pytest.raises(AppError, match="no query was sent"):
        detection(client, queries, [])


@pytest.mark.parametrize("as_list", [True, False])
def test_one_file_is_taken_as_a_list_of_one(
    client: Client, shots: list[Path], queries: list[Path], as_list: bool
) -> None:
    one, query = handle_file(shots[0]), handle_file(queries[0])
    sent = ([one], [query]) if as_list else (one, query)
    found = client.predict(*sent, "", "field", api_name="/inspect")
    assert (len(found["results"]), len(found["shots"])) == (1, 1)


def test_shots_and_set_are_both_left_to_choice(
    served: Served, client: Client, shots: list[Path], queries: list[Path]
) -> None:
    info = client.view_api(print_info=False, return_format="dict")
    (endpoint,) = info["named_endpoints"].values()
    optional = {
        one["parameter_name"] for one in endpoint["parameters"] if one["parameter_has_default"]
    }
    assert {"shots", "set", "item"} <= optional
    with RestClient(served.url) as rest:
        rest.create_set("chosen", shots)
    query = handle_file(queries[1])
    by_set = client.predict(queries=query, set="chosen", api_name="/inspect")
    by_shots = client.predict(
        queries=query, shots=[handle_file(path) for path in shots], api_name="/inspect"
    )
    assert by_set["results"][0]["score"] == pytest.approx(by_shots["results"][0]["score"], abs=1e-6)
    with pytest.raises(AppError, match="give one of them"):
        client.predict(queries=query, set="chosen", shots=query, api_name="/inspect")
    with pytest.raises(AppError, match="name a set or send shots"):
        client.predict(queries=query, api_name="/inspect")
    with pytest.raises(AppError, match="no query was sent"):
        client.predict(set="chosen", api_name="/inspect")
    with RestClient(served.url) as rest:
        rest.remove_set("chosen")


def test_a_refusal_to_a_program_is_plain_text(client: Client, queries: list[Path]) -> None:
    with pytest.raises(AppError) as refused:
        client.predict(queries=handle_file(queries[0]), set="no-<b>&", api_name="/inspect")
    assert "'no-<b>&'" in str(refused.value)
    with pytest.raises(
        AppError, match=r"queries: got the text 'part.png', not a file; .*handle_file"
    ):
        client.predict(queries="part.png", set="x", api_name="/inspect")
    with pytest.raises(AppError, match="queries: got the text '5', not a file"):
        client.predict(queries=5, set="x", api_name="/inspect")


def _call(served: Served, path: str) -> str:
    """What `/inspect` answers where a client names a file that it did not upload."""
    file = {"path": path, "meta": {"_type": "gradio.FileData"}}
    body = json.dumps({"data": [[file], [file], "", "field"], "session_hash": "x", "fn_index": 0})
    url = f"{served.url}gradio_api/call/inspect"
    head = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, body.encode(), head)  # noqa: S310
    with urllib.request.urlopen(request, timeout=30) as reply:  # noqa: S310
        id = json.loads(reply.read())["event_id"]
    return served.get(f"gradio_api/call/inspect/{id}")


@pytest.mark.parametrize("path", ["/etc/hostname", "http://example.org/x.png", "relative.png"])
def test_no_file_but_an_upload_is_read_and_no_address_is_fetched(served: Served, path: str) -> None:
    answer = _call(served, path)
    assert "event: error" in answer
    assert "was not uploaded here" in answer
    assert "Traceback" not in answer


def test_what_names_a_file_is_found_however_deep_it_lies(tmp_path: Path) -> None:
    mine = tmp_path / "a" / "b.png"
    mine.parent.mkdir()
    mine.write_bytes(b"x")
    (tmp_path / "link.png").symlink_to("/etc/hostname")
    refuse_foreign([{"x": [{"path": str(mine)}]}, "text", None, 3], tmp_path)
    for path in (
        *("/etc/hostname", f"{tmp_path}/../x", str(tmp_path / "link.png"), "https://x/y"),
        *("", "b.png", "a\0b"),
    ):
        assert not is_upload(path, tmp_path)
        with pytest.raises(Foreign):
            refuse_foreign({"deep": [[{"value": {"path": path}}]]}, tmp_path)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "v1/nope", 404),
        ("POST", "v1/sets/x/y/z", 404),
        ("DELETE", "v1/detect", 405),
        ("POST", "livez", 405),
        ("GET", "gradio_api/file=/etc/passwd", 404),
        ("GET", "gradio_api/file=https://example.org/", 404),
        ("GET", "gradio_api/proxy=https://example.org/", 404),
        ("GET", "monitoring", 404),
        ("GET", "gradio_api/runs", 404),
        ("POST", "detect", 404),
        ("GET", "sets/part", 404),
        ("POST", "v1/detect/", 404),
    ],
)
def test_what_is_not_there_is_a_problem_and_no_page(
    served: Served, method: str, path: str, status: int
) -> None:
    assert served.status(path, method) == (status, "application/problem+json")


@pytest.mark.parametrize(
    ("path", "allowed"),
    [("v1/detect", "POST"), ("v1/sets", "GET, POST"), ("v1/sets/x", "DELETE, GET, PATCH"),
     ("livez", "GET"), ("v1/openapi.json", "GET, HEAD")],
)  # fmt: skip
def test_beside_the_page_a_refused_method_is_told_those_of_the_api(
    served: Served, path: str, allowed: str
) -> None:
    request = urllib.request.Request(served.url + path, method="PUT")  # noqa: S310
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=30)  # noqa: S310
    with refused.value as reply:
        assert (reply.code, reply.headers["Allow"]) == (405, allowed)


def test_the_routes_of_the_api_answer_as_before(served: Served) -> None:
    assert json.loads(served.get("livez")) == {"status": "alive"}
    assert json.loads(served.get("v1/sets"))["items"] == []
    assert served.status("")[0] == 200
    assert 'name="viewport"' in served.get("")


def test_the_pages_files_are_private_and_go_with_it(tmp_path: Path, queries: list[Path]) -> None:
    service = Served(tmp_path / "store")
    try:
        (folder,) = tmp_path.glob("inctrl-page-*")
        assert folder.stat().st_mode & 0o777 == 0o700
        client = connected(service.url)
        detection(client, queries[:1], queries)
        client.close()
        assert [path.name for path in folder.rglob("*.png")] != []
    finally:
        service.close()
    assert not list(tmp_path.glob("inctrl-page-*"))


def test_without_a_page_there_is_none(tmp_path: Path) -> None:
    service = Served(tmp_path / "store", "--no-page")
    try:
        assert service.status("")[0] == 404
        assert not list(tmp_path.glob("inctrl-page-*"))
    finally:
        service.close()
        shutil.rmtree(tmp_path / "store")
