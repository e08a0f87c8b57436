"""Normal sets: named, versioned, immutable."""

from typing import Annotated

from fastapi import APIRouter, Form, Header, Query, Request
from starlette.responses import Response

from inctrl.service.answers import set_reply, shown_png
from inctrl.service.error_replies import Outdated
from inctrl.service.fields import Digest, PageSize, SetName, VersionNumber
from inctrl.service.http.forms import FormRoute
from inctrl.service.requests import (
    Bench,
    Files,
    IdempotencyKey,
    Item,
    Note,
    TileCount,
    WayRound,
    Which,
    contents,
    json_response,
    once,
    uploads,
    while_connected,
)
from inctrl.service.schemas import DifferenceReply, SetPage, SetReply, VersionPage
from inctrl.store import SetVersion
from inctrl.types import Failure
from inctrl.views import Views

router = APIRouter(prefix="/v1/sets", tags=["sets"], route_class=FormRoute)
UNCHANGING = "private, max-age=31536000, immutable"
"""A version never changes, and its number is never given again."""
IfMatch = Annotated[str | None, Header(max_length=200)]


@router.get("")
def list_sets(
    bench: Bench, after: Annotated[str, Query(max_length=64)] = "", limit: PageSize = 50
) -> SetPage:
    """The sets by name, each by its latest version."""
    return SetPage.of(bench.store.sets.list(after, limit + 1), limit, "name")


@router.post("", status_code=201, response_model=SetReply)
async def create_set(
    request: Request,
    bench: Bench,
    name: Annotated[SetName, Form()],
    images: Files,
    item: Item = "object",
    note: Note = "",
    orientation: WayRound = None,
    tiles: TileCount = None,
    frame: Which = "all",
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """A new set of normal images. Unreadable ones are left out and named in `refused`."""
    views = Views(orientation or "fixed", tiles or 1)
    sent = await uploads(images, bench.settings.limits, frame)
    kept, refused = await while_connected(request, bench.normals(sent))

    def commit() -> Response:
        version = bench.store.sets.create(name, kept, item=item, note=note, views=views)
        return _reply(version, refused, 201)

    parts = ("create", name, item, note, vars(views), contents(sent))
    return await once(bench, idempotency_key, parts, commit)


@router.get("/{name}", response_model=SetReply)
def show_set(bench: Bench, name: SetName) -> Response:
    """The latest version of a set."""
    return _reply(bench.store.sets.get(name))


@router.patch(
    "/{name}",
    status_code=201,
    response_model=SetReply,
    responses={200: {"model": SetReply, "description": "it is seen so already"}},
)
def change_set(
    bench: Bench,
    name: SetName,
    orientation: WayRound = None,
    tiles: TileCount = None,
    note: Note = "",
    if_match: IfMatch = None,
) -> Response:
    """A new version of the same images, seen in another way; what is left out stays as it is.

    200 where nothing changes. `If-Match` as for new images.
    """
    with bench.store.database.transaction():
        latest = _matched(bench.store.sets.get(name), if_match)
        version = bench.store.sets.change(name, orientation=orientation, tiles=tiles, note=note)
    return _reply(version, status=200 if version == latest else 201)


@router.delete("/{name}", status_code=204)
def remove_set(bench: Bench, name: SetName) -> None:
    """Remove a set with all versions; scores of the history stay."""
    bench.store.sets.remove(name)


@router.post(
    "/{name}/images",
    status_code=201,
    response_model=SetReply,
    responses={200: {"model": SetReply, "description": "all of them are known"}},
)
async def add_images(
    request: Request,
    bench: Bench,
    name: SetName,
    images: Files,
    note: Note = "",
    frame: Which = "all",
    if_match: IfMatch = None,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """A new version with further normal images; 200 where all of them are known already.

    With `If-Match` (the ETag of the latest version) only if nobody else has changed the set; else
    412.
    """
    sent = await uploads(images, bench.settings.limits, frame)
    kept, refused = await while_connected(request, bench.normals(sent))

    def commit() -> Response:
        with bench.store.database.transaction():
            latest = _matched(bench.store.sets.get(name), if_match)
            version = bench.store.sets.add(name, kept, note=note)
        return _reply(version, refused, 200 if version == latest else 201)

    parts = ("add", name, note, if_match, contents(sent))
    return await once(bench, idempotency_key, parts, commit)


@router.get("/{name}/versions")
def list_versions(
    bench: Bench, name: SetName, after: VersionNumber | None = None, limit: PageSize = 50
) -> VersionPage:
    """The versions without their shots, the newest first."""
    return VersionPage.of(bench.store.sets.log(name, after, limit + 1), limit, "version")


@router.get("/{name}/versions/{version}", response_model=SetReply)
def show_version(bench: Bench, name: SetName, version: VersionNumber) -> Response:
    """One version; it never changes."""
    return _reply(bench.store.sets.get(name, version))


@router.delete("/{name}/versions/{version}/images/{sha256}", response_model=SetReply)
def drop_image(
    bench: Bench, name: SetName, version: VersionNumber, sha256: Digest, note: str = ""
) -> Response:
    """A new version without an image of the latest one, which must be `version`."""
    return _reply(bench.store.sets.drop(name, [sha256], note=note[:2000], base=version))


@router.get(
    "/{name}/versions/{version}/images/{sha256}",
    response_class=Response,
    responses={200: {"content": {"image/png": {}}}},
)
async def show_image(
    bench: Bench,
    name: SetName,
    version: VersionNumber,
    sha256: Digest,
    size: Annotated[int | None, Query(ge=16, le=4096, description="longest side")] = None,
) -> Response:
    """A shot as PNG, drawn anew from its pixels; more than 8 bits in the window of the set.

    With `size` it is reduced to so many pixels on its longest side.
    """
    data = await bench.shot(name, version, sha256, lambda image: shown_png(image, size))
    headers = {
        "Content-Disposition": f'inline; filename="{sha256[:16]}.png"',
        "ETag": f'"{sha256}-{size}"' if size else f'"{sha256}"',
        "Cache-Control": UNCHANGING,
    }
    return Response(data, 200, headers, "image/png")


@router.get("/{name}/diff")
def difference(
    bench: Bench, name: SetName, before: VersionNumber, after: VersionNumber
) -> DifferenceReply:
    """What changed between two versions."""
    found = bench.store.sets.diff(name, before, after)
    return DifferenceReply.made_of(found, name=name, before=before, after=after)


def _matched(latest: SetVersion, if_match: str | None) -> SetVersion:
    known = {"*", f'"{latest.digest}"'}
    if if_match is not None and known.isdisjoint(tag.strip() for tag in if_match.split(",")):
        raise Outdated(
            f"set {latest.name!r} is at version {latest.version} by now; look at it again"
        )
    return latest


def _reply(version: SetVersion, refused: tuple[Failure, ...] = (), status: int = 200) -> Response:
    headers = {"ETag": f'"{version.digest}"'}
    if status == 201:
        headers["Location"] = f"/v1/sets/{version.name}/versions/{version.version}"
    return json_response(set_reply(version, refused), status, **headers)
