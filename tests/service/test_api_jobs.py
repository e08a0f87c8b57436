"""Jobs over HTTP: a folder and an evaluation with `tiny`, from the spec to the files."""

import io
import json
import shutil
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import PIL.Image
import pytest
from live import Live, finished_job, idle_jobs, live

from inctrl import Client
from inctrl.errors import Conflict, MissingData, NotStored, UsageError
from inctrl.service.jobs.specs import FolderJob
from inctrl.service.schemas import JobReply
from inctrl.service.settings import Settings

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


@pytest.mark.parametrize(
    "job",
    [
        {"kind": "folder", "data": "incoming", "set": "gravel"},
        {"kind": "evaluate", "data": ["incoming"]},
    ],
)
def test_a_job_takes_no_alpha_that_a_detection_would_refuse(
    service: Live, job: dict[str, object]
) -> None:
    with service.http() as http:
        reply = http.post("/v1/jobs", json={**job, "alpha": 0.7})
    assert (reply.status_code, reply.json()["code"]) == (422, "invalid_request")
    assert reply.json()["detail"].endswith("alpha: 0.7 is not in (0, 0.5]")


def test_a_folder_is_inspected_as_the_service_itself_would(tmp_path: Path) -> None:
    """By its detector and its limit, which the row then tells; a request's own go before them."""
    shutil.copytree(DEMOS / "gravel" / "query", tmp_path / "data" / "incoming")
    chosen = {"detector": "patchcore", "alpha": 0.3, "image_size": 64}
    with (
        live(tmp_path / "store", backbone="tiny", data_root=tmp_path / "data", **chosen) as service,
        service.client() as client,
    ):
        client.create_set("gravel", NORMALS[:3])
        job = client.submit({"kind": "folder", "data": "incoming", "set": "gravel"})
        told = {name: job.spec[name] for name in ("set", "detector", "adapter", "alpha")}
        assert told == {
            "set": "gravel@1", "detector": "patchcore", "adapter": None, "alpha": 0.3
        }  # fmt: skip
        assert client.wait(job.id, every=0.1, timeout=120).state == "succeeded"
        scores = json.loads(client.job_file(job.id, "scores.json"))
        found = client.detect(sorted((tmp_path / "data/incoming").iterdir()), set="gravel")
        other = {"detector": "padim", "alpha": 0.1}
        own = client.submit({"kind": "folder", "data": "incoming", "set": "gravel@1", **other})
        client.cancel(own.id)
    assert own.spec.items() >= other.items()
    assert found.model.detector == "patchcore"
    assert len(scores["results"]) == len(found.results) == 6
    for written, result in zip(scores["results"], found.results, strict=True):
        assert written["name"].endswith(result.name)
        assert written["score"] == pytest.approx(result.score, abs=1e-6)
        assert written["verdict"] == result.verdict
        assert written["threshold"] == pytest.approx(result.threshold, abs=1e-6)


def test_a_job_is_told_all_that_the_service_was(tmp_path: Path) -> None:
    job = {"kind": "folder", "data": "incoming", "set": "gravel@1"}
    (tmp_path / "data" / "incoming").mkdir(parents=True)
    settings = {"adapter": "mine", "history": False, "data_root": tmp_path / "data"}
    with (
        idle_jobs(tmp_path / "store"),
        live(tmp_path / "store", ready=False, **settings) as service,
        service.client() as client,
    ):
        spec = client.submit(job).spec
        assert (spec["detector"], spec["adapter"], spec["alpha"]) == ("incontext", "mine", 0.05)
        own = client.submit({**job, "adapter": "other"}).spec
        assert (own["detector"], own["adapter"]) == (None, "other")  # the adapter names its own
        told = service.bench.settings.of_jobs
    assert told["INCTRL_CACHE"] == "off"  # no feature of a query outlasts it
    assert "INCTRL_CACHE" not in Settings().of_jobs
    assert Settings(image_size=64, precision="float32", device="cpu").of_jobs == {
        "INCTRL_BACKBONE": "tiny", "INCTRL_DEVICE": "cpu", "INCTRL_IMAGE_SIZE": "64",
        "INCTRL_FIT": "", "INCTRL_PRECISION": "float32",
    }  # fmt: skip


def test_jobs_are_queued_at_once_with_and_without_a_key(service: Live) -> None:
    """A key takes the store first, and who has none takes nothing in another order."""
    spec = FolderJob(data="incoming", set="gravel@1").model_dump(mode="json")
    codes: list[int] = []
    seen = threading.Barrier(8)

    def post(number: int) -> None:
        key = {"Idempotency-Key": f"many-{number}"} if number % 2 else {}
        with service.http() as http:
            seen.wait(30)
            for _ in range(2):
                reply = http.post("/v1/jobs", json=spec, headers=key)
                codes.append(reply.status_code)

    before = {row.id for row in service.bench.store.jobs.list(limit=200)}
    started = time.monotonic()
    threads = [threading.Thread(target=post, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert time.monotonic() - started < 15
    assert codes == [202] * 16
    added = [one for one in service.bench.store.jobs.list(limit=200) if one.id not in before]
    for row in added:
        if row.state in ("queued", "running"):
            service.app.state.runner.cancel(row.id)
    assert len(added) == 12  # a key stands for one job


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


def test_what_a_set_leaves_out_is_told_by_the_list_and_by_the_job(
    service: Live, client: Client
) -> None:
    root = service.bench.settings.data_root
    assert root is not None
    part = root / "odds" / "part"
    for kind, count in (("Train/OK", 3), ("Test/OK", 1), ("Test/NG", 1), ("validation", 1)):
        (part / kind).mkdir(parents=True)
        for i in range(count):
            shutil.copy(NORMALS[i], part / kind / f"{i}.png")
    image = PIL.Image.open(NORMALS[3]).rotate(180)
    for kind in ("Test/OK", "Test/NG"):
        image.rotate(len(kind)).save(part / kind / "0.png")
    line = "part/validation: 1 image is not used (0.png)"
    listed = next(one for one in client.data().sets if one.name == "odds")
    assert listed.left_out == [line]
    job = client.submit(
        {"kind": "evaluate", "data": ["odds"], "detectors": ["incontext"], "shots": [2], "seeds": 1}
    )
    ended = client.wait(job.id, every=0.1, timeout=120)
    assert (ended.state, ended.warnings) == ("succeeded", [f"odds: {line}"])
    assert str(root) not in json.dumps(ended.model_dump())
