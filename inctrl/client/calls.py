"""What is asked of a service: one request each, and the pieces they are made of."""

import io
import re
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypedDict
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from inctrl.client.uploads import Image, upload, uploads
from inctrl.errors import Busy, NotStored, ServiceFailed, UsageError
from inctrl.files import names
from inctrl.frames import Frame
from inctrl.registry import unknown
from inctrl.service.schemas import JobReply, SetReply
from inctrl.views import Orientation, Tiles

ENDED = ("succeeded", "failed", "cancelled", "interrupted")
SLOW = 600.0
"""Seconds for what reads a whole store or archive."""
ID = re.compile(names.JOB)
File = tuple[str, tuple[str, bytes]]
Form = Mapping[str, str | float | None]


@dataclass(frozen=True)
class Call:
    """One request of the API.

    files        field, name and bytes of each
    repeatable   whether twice does no more than once, so that a lost reply may be asked for again
    timeout      seconds, where it takes longer than others
    deadline     seconds in which it is to be answered, however often it is sent
    """

    method: str
    path: str
    query: Mapping[str, str | int | None] = field(default_factory=dict)
    form: Form = field(default_factory=dict)
    files: Sequence[File] = ()
    json: object = None
    headers: Mapping[str, str | None] = field(default_factory=dict)
    repeatable: bool = True
    timeout: float = 0.0
    deadline: float | None = None


class Compared(TypedDict, total=False):
    """What queries are compared with, and by which detector; see `Client.detect`."""

    set: str | None
    shots: Iterable[Image] | None
    item: str | None
    detector: str | None
    adapter: str | None
    alpha: float | None
    orientation: Orientation | None
    tiles: Tiles | None
    frame: Frame | None


def comparison(compared: Compared) -> tuple[Form, list[File]]:
    """The fields and files of a form that say so; UsageError for both a set and shots.

    Also for a name that is none of them, which would else be left out in silence.
    """
    for name in compared:
        if name not in Compared.__annotations__:
            raise unknown(name, Compared.__annotations__, "argument")
    fields = ("set", "item", "detector", "adapter", "alpha", "orientation", "tiles", "frame")
    form = {name: compared.get(name) for name in fields}
    shots = compared.get("shots")
    if shots is not None and form["set"] is not None:
        raise UsageError("give a set or shots, not both")
    files = [("shots", one) for one in uploads(() if shots is None else shots, "shot")]
    return form, files  # type: ignore[return-value]  # by the names of a TypedDict


def detection(
    queries: Iterable[Image], compared: Compared, maps: str | None, deadline: float | None
) -> Call:
    """The scores of queries."""
    form, shots = comparison(compared)
    files = [*(("queries", one) for one in uploads(queries, "query")), *shots]
    return Call("POST", "/v1/detect", form={**form, "maps": maps}, files=files, deadline=deadline)


def drawing(query: Image, compared: Compared, format: str, deadline: float | None) -> Call:
    """The map of a query."""
    form, shots = comparison(compared)
    files = [("query", upload(query, "query")), *shots]
    return Call("POST", "/v1/maps", form={**form, "format": format}, files=files, deadline=deadline)


def normals(path: str, images: Iterable[Image], form: Form, base: SetReply | None = None) -> Call:
    """Normal images for a set."""
    files = [("images", one) for one in uploads(images, "image")]
    return Call("POST", path, form=form, files=files, headers={**once(), **matching(base)})


def matching(base: SetReply | None) -> dict[str, str | None]:
    """A header under which a set is changed only where `base` is its latest version."""
    return {"If-Match": f'"{base.digest}"' if base else None}


def remark(form: Form, image: Image) -> Call:
    """Feedback on an image."""
    files = [("image", upload(image, "image"))]
    return Call("POST", "/v1/feedback", form=form, files=files, headers=once())


def once() -> dict[str, str | None]:
    """A header under which a service does a thing once, however often it is sent."""
    return {"Idempotency-Key": uuid.uuid4().hex}


def set_path(name: str, *below: object) -> str:
    """The path of a set; UsageError for what no set is called, so that no path is ever made up."""
    if not re.fullmatch(names.SET, name):
        raise UsageError(f"{name[:80]!a} is no name of a set, such as 'bottle-cap'")
    return "/".join(["/v1/sets", name, *(quote(str(part), safe="") for part in below)])


def shot_path(name: str, version: int, sha256: str) -> str:
    return set_path(name, "versions", int(version), "images", known(sha256))


def known(id: str) -> str:
    """An id as services give them; NotStored for anything else."""
    if not ID.fullmatch(id):
        raise NotStored(f"{id[:80]!a} is not an id of a service")
    return id


def file_path(id: str, name: str) -> str:
    """The path of a file of a job."""
    if not {"", ".", ".."}.isdisjoint(name.split("/")):
        raise NotStored(f"{name[:80]!a} is no file of a job; `job(id).files` names those there are")
    return f"/v1/jobs/{known(id)}/files/{quote(name)}"


def map_values(data: bytes) -> NDArray[np.float32]:
    """The array of a map that came as npz."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            values: NDArray[np.float32] = arrays["anomaly_map"]
    except Exception as error:  # numpy and zipfile raise almost anything
        raise ServiceFailed(f"the map is not an npz file ({type(error).__name__})") from None
    return values


def until_ended(
    look: Callable[[], JobReply],
    on_change: Callable[[JobReply], object],
    every: float,
    timeout: float | None,
) -> JobReply:
    """A job once it has ended, looked at `every` seconds; Busy where that takes over `timeout`."""
    until = None if timeout is None else time.monotonic() + timeout
    before = None
    while True:
        job = look()
        if job != before:
            on_change(job)
        if job.state in ENDED:
            return job
        if until is not None and time.monotonic() >= until:
            raise Busy(f"job {job.id} is {job.state} after {timeout:g} s; wait longer", every)
        before = job
        time.sleep(every)
