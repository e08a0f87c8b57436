"""The history over HTTP: each score can be explained, or nothing is kept."""

from pathlib import Path

import pytest
from live import DEFECT, SHOTS, Live, files, live, png

from inctrl import Client
from inctrl.errors import NotStored, UsageError
from inctrl.images import Picture, stored_digest


def test_a_score_is_explained_by_set_version_limit_and_model(client: Client) -> None:
    client.create_set("explained", SHOTS, item="part")
    found = client.detect([DEFECT], set="explained")
    (result,) = found.results
    kept = client.score(result.id)
    assert (kept.set, kept.version, kept.item) == ("explained", 1, "part")
    assert kept.query_sha256 == stored_digest(Picture(DEFECT, "query")) == result.sha256
    assert (kept.score, kept.threshold, kept.p_value, kept.verdict) == (
        result.score, result.threshold, result.p_value, result.verdict,
    )  # fmt: skip
    assert kept.identity.items() >= found.model.model_dump().items()
    assert kept.identity["shots"] == found.shots
    assert kept.calibration["scores"] == found.limit.normal_scores
    assert kept.calibration["alpha"] == found.limit.alpha
    client.add_images("explained", [DEFECT])
    client.remove_set("explained")
    assert client.score(result.id) == kept  # whatever becomes of the set


def test_the_newest_come_first_page_after_page(service: Live, client: Client) -> None:
    client.create_set("many", SHOTS)
    ids = [one.id for n in range(3) for one in client.detect([png(n), DEFECT], set="many").results]
    assert {one.id for one in client.scores("many")} == set(ids)
    with service.http() as http:
        seen, after = [], None
        while True:
            query = {"set": "many", "limit": 4} | ({"after": after} if after else {})
            page = http.get("/v1/scores", params=query).json()
            seen += [one["id"] for one in page["items"]]
            after = page["next_cursor"]
            if after is None:
                break
    assert len(seen) == 6
    assert set(seen[:2]) == set(ids[4:])
    with pytest.raises(UsageError, match="cursor"):
        client._transport.get("/v1/scores", type(client.limits()), {"after": "made up"})


def test_inline_scores_have_no_set(client: Client) -> None:
    (result,) = client.detect([DEFECT], shots=SHOTS).results
    kept = client.score(result.id)
    assert (kept.set, kept.version) == (None, None)


def test_an_unreadable_query_and_a_map_leave_nothing(client: Client) -> None:
    client.create_set("quiet", SHOTS)
    client.detect([b"no image"], set="quiet")
    client.map(DEFECT, set="quiet")
    assert list(client.scores("quiet")) == []
    with pytest.raises(NotStored):
        client.score("0" * 32)


def test_without_history_nothing_of_a_query_is_kept(tmp_path: Path) -> None:
    secret = "patient-4711.png"  # noqa: S105
    with live(tmp_path / "store", history=False) as service, service.client() as client:
        client.create_set("part", SHOTS)
        client.detect([SHOTS[0]], set="part")
        before = files_of(tmp_path)
        with service.http() as http:
            reply = http.post("/v1/detect", data={"set": "part", "maps": "npz"},
                              files=[("queries", (secret, png(9, spot=True)))])  # fmt: skip
        assert reply.json()["results"][0]["id"] is None
        assert list(client.scores()) == []
        assert service.bench.store.history.count() == 0
        assert files_of(tmp_path) == before  # no features and no temporary file of it
        digest = reply.json()["results"][0]["sha256"]
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert secret.encode() not in kept
    assert digest.encode() not in kept


def files_of(folder: Path) -> set[str]:
    """Names of all files but those of the database, and of temporary ones of the service."""
    import tempfile

    temporary = Path(tempfile.gettempdir()).glob("inctrl-[ie]*")
    stored = {str(path) for path in folder.rglob("*") if "sqlite" not in path.name}
    return stored | {str(path) for path in temporary}


def test_with_history_the_features_of_queries_are_still_not_kept(tmp_path: Path) -> None:
    with live(tmp_path) as service, service.client() as client:
        client.create_set("part", SHOTS)
        client.detect([SHOTS[0]], set="part")
        before = files_of(tmp_path)
        client.detect([DEFECT], set="part")
        assert files_of(tmp_path) == before


def test_sent_file_names_are_kept_as_base_names(service: Live, client: Client) -> None:
    client.create_set("bases", SHOTS)
    with service.http() as http:
        sent = files("queries", png(1), name="C:\\shots\\../../etc/\u202epasswd-{}")
        http.post("/v1/detect", data={"set": "bases"}, files=sent)
    (kept,) = client.scores("bases")
    assert kept.query_name == "passwd-0"
