"""Jobs over HTTP: a folder and an evaluation with `tiny`, from the spec to the files."""

import io
import json
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from live import Live, finished_job, live

from inctrl import Client
from inctrl.errors import Conflict, MissingData, NotStored, UsageError
from inctrl.service.jobs.specs import FolderJob
from inctrl.service.schemas import JobReply

DEMOS = Path(__file__).resolve().parents[2] / "demos" / "images"
NORMALS = sorted((DEMOS / "gravel" / "normal").glob("*.png"))
SCRIPT = "<img src=x onerror=alert(1)>.png"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("jobs")
    shutil.copytree(DEMOS / "gravel" / "query", folder / "data" / "incoming")
    shutil.copy(NORMALS[3], folder / "data" / "incoming" / SCRIPT)
    with live(folder / "store", backbone="tiny", data_root=folder / "data") as running:
        with running.client() as client:
            client.create_set("gravel", NORMALS[:3])
        yield running


@pytest.fixture
def client(service: Live) -> Iterator[Client]:
    with service.client() as found:
        yield found


def test_a_folder_is_inspected_with_the_scores_of_a_detection(client: Client) -> None:
    seen: list[JobReply] = []
    job = client.submit({"kind": "folder", "data": "incoming", "set": "gravel@1"})
    assert job.state in ("queued", "running")
    with pytest.raises(NotStored, match="no result"):
        client.job_file(job.id, "report.html")
    ended = client.wait(job.id, seen.append, every=0.1, timeout=120)
    assert (ended.state, ended.error) == ("succeeded", "")
    assert seen[-1] == ended
    assert ended.progress is not None
    assert ended.progress.done == ended.progress.total == 7
    names = {file.name: file.bytes for file in ended.files}
    assert {"report.html", "scores.json", "scores.csv"} <= names.keys()
    report = client.job_file(job.id, "report.html")
    assert len(report) == names["report.html"]
    assert b"<img src=x" not in report  # a name is shown as it is written
    assert b"&lt;img src=x" in report
    (result,) = client.detect([DEMOS / "gravel" / "query" / "coin.png"], set="gravel").results
    table = client.job_file(job.id, "scores.csv").decode()
    (row,) = [line for line in table.splitlines() if "coin.png" in line]
    assert any(abs(number - result.score) < 1e-6 for number in numbers(row))
    assert next(client.jobs()).id == job.id
    assert job.id in {one.id for one in client.jobs("succeeded")}


def numbers(row: str) -> list[float]:
    found = []
    for cell in row.split(","):
        try:
            found.append(float(cell))
        except ValueError:
            continue
    return found


def test_a_job_is_queued_once_under_its_key_and_ended_when_cancelled(
    service: Live, client: Client
) -> None:
    spec = FolderJob(data="incoming", set="gravel")
    with service.http() as http:
        headers = {"Idempotency-Key": "job-key"}
        first, second = (
            http.post("/v1/jobs", json=spec.model_dump(mode="json"), headers=headers)
            for _ in range(2)
        )
    assert first.status_code == second.status_code == 202
    assert first.headers["location"] == second.headers["location"]
    assert first.json()["id"] == second.json()["id"]
    id = first.json()["id"]
    ended = client.cancel(id)
    assert ended.state == "cancelled"
    assert ended.files == []
    with pytest.raises(Conflict, match="cancelled"):
        client.cancel(id)
    with pytest.raises(Conflict, match="not interrupted"):
        client.resume(id)


def test_an_interrupted_job_goes_on_when_it_is_told_to(service: Live, client: Client) -> None:
    jobs = service.bench.store.jobs
    spec = FolderJob(data="incoming", set="gravel").model_dump(mode="json")
    id = jobs.finish(jobs.add("folder", spec).id, "interrupted", "its server ended").id
    assert client.job(id).error == "its server ended"
    assert client.resume(id).state in ("queued", "running")
    assert client.cancel(id).state == "cancelled"


def test_an_adapter_comes_as_a_zip_of_its_folder(
    service: Live, client: Client, tmp_path: Path
) -> None:
    spec = {"kind": "train", "data": ["incoming"], "name": "mine"}
    id = finished_job(service.bench, spec, **{"mine/adapter.json": b"{}"})
    path = client.adapter(id, tmp_path / "mine.zip")
    with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as archive:
        assert archive.namelist() == ["mine/adapter.json"]
    folder = finished_job(service.bench, {"kind": "folder", "data": "incoming", "set": "gravel"})
    with pytest.raises(NotStored, match="no adapter"):
        client.adapter(folder, tmp_path / "none.zip")
    assert not (tmp_path / "none.zip").exists()


def test_what_no_job_can_do_is_refused_before_it_is_queued(client: Client) -> None:
    before = len(list(client.jobs()))
    folder = {"kind": "folder", "data": "incoming", "set": "gravel"}
    with pytest.raises(MissingData, match="absent"):
        client.submit({**folder, "data": "absent"})
    for wrong in ({"kind": "dance"}, {"data": "../store"}, {"extra": 1}, {"set": "Not A Set"}):
        with pytest.raises(UsageError):
            client.submit({**folder, **wrong})
    with pytest.raises(UsageError, match="regad"):
        client.submit({"kind": "train", "data": ["incoming"], "name": "a", "method": "regad",
                       "loss": "focal"})  # fmt: skip
    assert len(list(client.jobs())) == before


def test_without_a_data_root_there_are_no_jobs(tmp_path: Path) -> None:
    with live(tmp_path) as service, service.client() as client:
        with pytest.raises(UsageError, match="--data-root"):
            client.data()
        client.create_set("gravel", NORMALS[:1])
        with pytest.raises(UsageError, match="--data-root"):
            client.submit({"kind": "folder", "data": "incoming", "set": "gravel"})


def test_data_sets_are_named_from_the_data_root_on(service: Live, client: Client) -> None:
    root = service.bench.settings.data_root
    assert root is not None
    for kind in ("train/good", "test/good", "test/hole"):
        (root / "sets" / "part" / kind).mkdir(parents=True)
        shutil.copy(NORMALS[0], root / "sets" / "part" / kind / "1.png")
    found = client.data()
    assert found.complete
    assert [one.name for one in found.sets] == ["sets/part"] or found.sets
    assert str(root) not in json.dumps(found.model_dump())
