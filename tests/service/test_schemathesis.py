"""The API against its own description: no 5xx, no undescribed reply, over all operations."""

import contextlib
import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import strategies as st
from live import Live, finished_job, idle_jobs, live, picture, png
from schemathesis.config import (
    ChecksConfig,
    NotAServerErrorConfig,
    PhasesConfig,
    PositiveDataAcceptanceConfig,
    ProjectConfig,
    ProjectsConfig,
    SchemathesisConfig,
)
from schemathesis.engine import events, from_schema
from schemathesis.generation.meta import TestPhase
from schemathesis.transport.serialization import Binary

from inctrl.errors import Conflict
from inctrl.images import Picture

SEED = 14
IMAGES = [png(1), png(2), png(3), png(4, spot=True), b"no image"]
NAMES = ("bottle", "cap")
MADE = ("/v1/jobs/{id}/adapter", "/v1/jobs/{id}/files/{name}")
FILE = '"contentMediaType":"application/octet-stream"'
CONTENT = ("unusable_request", "unreadable_image", "missing_data", "missing_model", "key_reused")
"""Codes of 422 for what no schema can say: an image that is none, a cursor that was made up."""


@dataclass
class Seen:
    """What a run came to."""

    cases: int = 0
    failures: list[str] = field(default_factory=list)
    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)

    @property
    def reached(self) -> set[str]:
        """The operations that have succeeded at least once."""
        return {label for label, status in self.statuses if status < 300}


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Live]:
    data = tmp_path / "data" / "parts"
    data.mkdir(parents=True)
    with (
        idle_jobs(tmp_path / "store"),
        live(tmp_path / "store", data_root=data.parent) as running,
    ):
        yield running


def explore(service: Live, *, examples: int, stateful: bool) -> Seen:
    """Run all phases with all checks."""
    checks = ChecksConfig(
        # A busy service and a deadline that has passed are replies like others.
        not_a_server_error=NotAServerErrorConfig(
            expected_statuses=["2xx", "3xx", "4xx", "503", "504", "507"]
        ),
        positive_data_acceptance=PositiveDataAcceptanceConfig(
            expected_statuses=["2xx", "401", "403", "404", "409", "412", "429", "5xx"]
        ),
    )
    project = ProjectConfig(
        checks=checks, continue_on_failure=True, phases=PhasesConfig(), request_timeout=30
    )
    project.generation.deterministic = True
    project.generation.database = "none"
    project.generation.max_examples = examples
    project.phases.stateful.enabled = stateful
    config = SchemathesisConfig(projects=ProjectsConfig(default=project), seed=SEED)
    project.base_url = service.url
    schema = schemathesis.openapi.from_dict(described(service), config=config)
    known = Known(service)
    files = st.sampled_from([*IMAGES, known.archive]).map(Binary)
    schemathesis.openapi.format("binary", files)

    def before_call(context: object, case: schemathesis.Case, kwargs: object) -> None:
        known.name(case)

    seen = Seen()
    schemathesis.hook(before_call)  # there are no hooks of a single schema at this place
    try:
        for event in from_schema(schema).execute():
            _note(seen, event)
    finally:
        schemathesis.hooks.unregister(before_call)
    return seen


def described(service: Live) -> dict[str, Any]:
    """What the service says of itself, in words that lead schemathesis to files and sets."""
    with service.http() as http:
        text = http.get("/v1/openapi.json").text
    document: dict[str, Any] = json.loads(text.replace(FILE, '"format":"binary"'))
    for schema in document["components"]["schemas"].values():
        if "format" in json.dumps(schema) and "set" in (form := schema.get("properties", {})):
            form["set"] = {"anyOf": [form["set"], {"enum": list(NAMES)}]}
    return document


class Known:
    """Names and ids that exist: with made-up ones alone, hardly a request would get anywhere."""

    def __init__(self, service: Live) -> None:
        self.service = service
        self.calls = 0
        with service.client() as client:
            for name in (*NAMES, "gone"):
                self.restore(name)
            path = client.export_set("gone", service.bench.store.folder / "gone.zip")
            self.archive = path.read_bytes()
            client.remove_set("gone")
            client.detect([picture(3)], set=NAMES[0])
            client.false_alarm(NAMES[0], picture(3))
        folder = {"kind": "folder", "data": "parts", "set": NAMES[0]}
        train = {"kind": "train", "data": ["parts"], "name": "mine"}
        self.jobs = (
            finished_job(service.bench, folder, **{"report.html": b"<p>", "scores.csv": b"a,b"}),
            finished_job(service.bench, train, **{"mine/adapter.json": b"{}"}),
        )

    def name(self, case: schemathesis.Case) -> None:
        """In two of three cases that mean well, name what is there."""
        self.calls += 1
        meta = case.meta
        if meta is None or not meta.generation.mode.is_positive or not self.calls % 3:
            return
        if meta.phase.name is not TestPhase.STATEFUL:  # there it matters what is gone
            self.restore(NAMES[self.calls % 2])
        values = self._values(case.operation.path)
        for place in (case.path_parameters, case.query):
            for name in values.keys() & set(place or ()):
                place[name] = values[name]
        if isinstance(case.body, dict) and case.operation.path == "/v1/jobs":
            case.body["data"] = "parts" if isinstance(case.body["data"], str) else ["parts"]
        if "Inctrl-Deadline" in (case.headers or {}):
            case.headers["Inctrl-Deadline"] = "5"

    def restore(self, name: str) -> None:
        """Make a set unless it is there."""
        with contextlib.suppress(Conflict):
            pictures = [Picture(picture(seed), f"{seed}.png") for seed in (1, 2)]
            self.service.bench.store.sets.create(name, pictures, item="part")

    def _job(self, path: str) -> str:
        """One that can be cancelled, has files, or an adapter."""
        store = self.service.bench.store
        if path.endswith("/cancel") and (queued := store.jobs.list("queued")):
            return queued[0].id
        if path.endswith("/resume"):
            row = store.jobs.add("folder", store.jobs.get(self.jobs[0]).spec)
            return store.jobs.finish(row.id, "interrupted").id
        return self.jobs[path.endswith("/adapter")]

    def _values(self, path: str) -> dict[str, object]:
        store = self.service.bench.store
        name = NAMES[self.calls % 2]
        values: dict[str, object] = {"name": name, "set": name}
        if path.startswith("/v1/jobs"):
            return {"id": self._job(path), "name": "report.html"}
        if path.startswith("/v1/scores"):
            values["id"] = store.history.list().records[0].id
        if any(one.name == name for one in store.sets.list()):
            latest = store.sets.get(name)
            values |= {"version": latest.version, "sha256": latest.shots[0].sha256}
            values |= {"before": latest.version, "after": latest.version}
            if path.startswith("/v1/feedback") and (rows := store.feedback.list(name)):
                values["id"] = rows[-1].id
        return values


def _note(seen: Seen, event: events.EngineEvent) -> None:
    if isinstance(event, events.NonFatalError | events.FatalError):
        seen.failures.append(str(getattr(event, "info", None) or event.exception))
    if not isinstance(event, events.ScenarioFinished):
        return
    recorder = event.recorder
    for id, interaction in recorder.interactions.items():
        seen.cases += 1
        label = recorder.cases[id].value.operation.label
        if interaction.response is None:
            seen.failures.append(f"{label}: no reply")
            continue
        seen.statuses[label, interaction.response.status_code] += 1
    for id, nodes in recorder.checks.items():
        for node in nodes:
            if node.failure_info is not None and not _about_content(recorder, id, node.name):
                if "became array" in node.failure_info.failure.message:
                    continue  # a form has no arrays: a field that comes twice, or not at all
                label, info = recorder.cases[id].value.operation.label, node.failure_info
                seen.failures.append(f"{label} {node.name}: {info.failure} {info.code_sample}")


def _about_content(recorder: events.ScenarioRecorder, id: str, check: str) -> bool:
    """Whether a reply has reasons that a schema cannot say."""
    reply = recorder.interactions[id].response
    if check == "ensure_resource_availability":  # a job is created here, and not what it makes
        return recorder.cases[id].value.operation.path in MADE
    if check != "positive_data_acceptance" or reply is None:
        return False
    return reply.status_code == 422 and json.loads(reply.content)["code"] in CONTENT


def test_every_reply_is_as_the_description_says(service: Live) -> None:
    seen = explore(service, examples=6, stateful=False)
    assert seen.failures == []
    assert seen.cases > 500


@pytest.mark.slow
def test_every_reply_is_as_the_description_says_in_500_cases_and_in_sequences(
    service: Live,
) -> None:
    examples = int(os.environ.get("INCTRL_EXAMPLES", "500"))
    seen = explore(service, examples=examples, stateful=True)
    assert seen.failures == []
    print(seen.cases, "cases;", len(seen.reached), "operations reached")  # noqa: T201
