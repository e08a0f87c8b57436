"""The store as a whole: taking sets along, bringing them in, and checking every byte."""

from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Form, UploadFile
from starlette.background import BackgroundTask
from starlette.responses import Response

from inctrl.service.answers import WholeFile, set_reply
from inctrl.service.fields import SetName
from inctrl.service.housekeeping import scratch
from inctrl.service.http.forms import ArchiveRoute
from inctrl.service.requests import Bench, json_response
from inctrl.service.schemas import SetReply, VerifyReply
from inctrl.store.transfer import export_set

router = APIRouter(prefix="/v1", tags=["store"], route_class=ArchiveRoute)


@router.get(
    "/sets/{name}/export",
    response_class=Response,
    responses={200: {"content": {"application/zip": {}}}},
)
def export(bench: Bench, name: SetName) -> Response:
    """A set with all versions, images and feedback as a zip that `POST /v1/imports` reads."""
    folder = scratch(bench.store)
    try:
        path = Path(folder.name, f"{name}.zip")
        export_set(bench.store, name, path)
    except BaseException:
        folder.cleanup()
        raise
    return WholeFile(
        path,
        media_type="application/zip",
        filename=path.name,
        background=BackgroundTask(folder.cleanup),
    )


@router.post("/imports", status_code=201, response_model=SetReply)
async def import_archive(
    bench: Bench,
    archive: UploadFile,
    name: Annotated[SetName | None, Form()] = None,
) -> Response:
    """Bring in what an export holds, under its name or another; nothing of it where any is bad."""
    version = await bench.importer.bring(archive, name)
    location = f"/v1/sets/{version.name}/versions/{version.version}"
    return json_response(set_reply(version), 201, Location=location)


@router.get("/verify")
async def verify_store(bench: Bench) -> VerifyReply:
    """Read every row and every file of the store, for one caller at a time.

    This takes time where there is much.
    """
    faults, loose = await bench.verifier.verify()
    return VerifyReply.model_validate({"clean": not faults, "faults": faults, "orphans": loose})
