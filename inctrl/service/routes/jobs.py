"""Jobs: folders, adapter training and evaluation, in the background of the service."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Body, Depends, Query, Request
from fastapi import Path as PathParameter
from starlette.responses import Response

from inctrl.service.answers import WholeFile
from inctrl.service.fields import JobId, PageSize
from inctrl.service.http.strict import StrictRoute
from inctrl.service.jobs.runner import JobRunner, JobView
from inctrl.service.jobs.specs import FolderJob, JobSpec, read_spec
from inctrl.service.requests import Bench, IdempotencyKey, json_response, once
from inctrl.service.schemas import DataReply, JobPage, JobReply
from inctrl.service.workbench import Workbench
from inctrl.store import JobState

router = APIRouter(prefix="/v1", tags=["jobs"], route_class=StrictRoute)
FILE_TYPES = {".html": "text/html", ".json": "application/json", ".csv": "text/csv"}
"""Everything else is handed out as bytes to be saved."""
REPORT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; "
    "frame-ancestors 'none'; sandbox allow-scripts"
)
"""A report is self-contained; sandboxed, nothing in it can act in the service's name."""


def runner_of(request: Request) -> JobRunner:
    """The service's job runner."""
    runner: JobRunner = request.app.state.runner
    return runner


Runner = Annotated[JobRunner, Depends(runner_of)]


@router.get("/data")
def list_data(runner: Runner) -> DataReply:
    """The data sets that jobs may name: those below the server's data root."""
    return runner.data_sets()


@router.post("/jobs", status_code=202, response_model=JobReply)
async def submit_job(
    bench: Bench,
    runner: Runner,
    spec: Annotated[JobSpec, Body()],
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Queue a job; `GET /v1/jobs/{id}` tells how it goes.

    A set without a version means its latest one at this moment; a folder without detector and
    adapter is inspected by those of the service, as in `POST /v1/detect`.
    """

    def commit() -> Response:
        row = runner.submit(_pinned(bench, spec))
        return json_response(job_reply(runner.view(row.id)), 202, Location=f"/v1/jobs/{row.id}")

    return await once(bench, idempotency_key, ("job", spec.model_dump(mode="json")), commit)


@router.get("/jobs")
def list_jobs(
    bench: Bench,
    state: JobState | None = None,
    after: Annotated[str | None, Query(max_length=64)] = None,
    limit: PageSize = 50,
) -> JobPage:
    """The newest first."""
    return JobPage.of(bench.store.jobs.list(state, after, limit + 1), limit)


@router.get("/jobs/{id}")
def show_job(runner: Runner, id: JobId) -> JobReply:
    """Progress, the last lines of the log, rows for curves and tables, and the files."""
    return job_reply(runner.view(id))


@router.post("/jobs/{id}/cancel")
async def cancel_job(runner: Runner, id: JobId) -> JobReply:
    """End a job, within 5 s where it runs."""
    await asyncio.to_thread(runner.cancel, id)
    await runner.wait(id)
    return job_reply(await asyncio.to_thread(runner.view, id))


@router.post("/jobs/{id}/resume")
def resume_job(runner: Runner, id: JobId) -> JobReply:
    """Queue an interrupted job again; it goes on from its checkpoint."""
    runner.resume(id)
    return job_reply(runner.view(id))


@router.get(
    "/jobs/{id}/files/{name:path}",
    response_class=Response,
    responses={
        200: {"content": {kind: {} for kind in ("application/octet-stream", *FILE_TYPES.values())}}
    },
)
def result_file(
    runner: Runner, id: JobId, name: Annotated[str, PathParameter(max_length=512)]
) -> Response:
    """A file of the result."""
    path = runner.result_file(id, name)
    kind = FILE_TYPES.get(path.suffix, "application/octet-stream")
    return WholeFile(
        path,
        media_type=kind,
        headers={"Content-Security-Policy": REPORT_POLICY},
        filename=path.name,
        content_disposition_type="inline" if kind == "text/html" else "attachment",
    )


@router.get(
    "/jobs/{id}/adapter",
    response_class=Response,
    responses={200: {"content": {"application/zip": {}}}},
)
def adapter_archive(runner: Runner, id: JobId) -> Response:
    """The adapter that a training made, as a zip of its folder."""
    data = runner.adapter_zip(id)
    headers = {"Content-Disposition": f'attachment; filename="adapter-{id[:16]}.zip"'}
    return Response(data, 200, headers, "application/zip")


def job_reply(view: JobView) -> JobReply:
    seen = vars(view.seen)
    return JobReply.made_of(view.row, **seen, log=view.log, files=view.files)


def _pinned(bench: Workbench, spec: JobSpec) -> JobSpec:
    """The spec with all that a detection would fill in, so that the row tells what was run."""
    if not isinstance(spec, FolderJob):
        return spec
    settings, filled = bench.settings, dict[str, object]()
    if "@" not in spec.set:
        filled["set"] = f"{spec.set}@{bench.store.sets.get(spec.set).version}"
    if spec.detector is None and spec.adapter is None:
        filled |= {"detector": settings.detector, "adapter": settings.adapter}
    if spec.alpha is None:
        filled["alpha"] = settings.alpha
    return read_spec({**spec.model_dump(), **filled})
