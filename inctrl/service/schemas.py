"""What the service says, as the OpenAPI document describes it and `inctrl.Client` returns it.

Sizes are pixels of the original image, right and bottom excluded; times are ISO 8601 in UTC; a
number that does not exist (a limit without shots) is null. Nothing names a path of the server.
"""

import math
from collections.abc import Sequence
from typing import Annotated, Any, Generic, Literal, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict

from inctrl.views import Orientation, Tiles

T = TypeVar("T")
C = TypeVar("C", str, int)


def finite(value: float | None) -> float | None:
    """JSON has no infinity: a limit that does not exist is null."""
    return value if value is not None and math.isfinite(value) else None


Finite = Annotated[float | None, BeforeValidator(finite)]


class Schema(BaseModel):
    """Base of all: replies are values, made of keywords or of an object that has their fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", from_attributes=True)

    @classmethod
    def made_of(cls, value: object, **others: Any) -> Self:
        """Of others, and of what a value has under the names of fields."""
        names = [name for name in cls.model_fields if name not in others and hasattr(value, name)]
        return cls.model_validate({name: getattr(value, name) for name in names} | others)


class Page(Schema, Generic[T, C]):
    """Some of many."""

    items: list[T]
    next_cursor: C | None

    @classmethod
    def of(cls, rows: Sequence[object], limit: int, cursor: str = "id") -> Self:
        """The first of rows, of which one more than `limit` was asked for."""
        following = getattr(rows[limit - 1], cursor) if len(rows) > limit else None
        return cls.model_validate({"items": rows[:limit], "next_cursor": following})


class Problem(Schema):
    """An error (RFC 9457)."""

    model_config = ConfigDict(frozen=True, extra="allow")

    type: str
    title: str
    status: int
    detail: str
    code: str
    instance: str | None = None
    request_id: str | None = None
    errors: list[dict[str, Any]] = []


class Refused(Schema):
    """A file that was left out, and why."""

    name: str
    error: str


class ShotReply(Schema):
    """A normal image of a set; `sha256` is that of its pixels."""

    sha256: str
    name: str
    height: int
    width: int


class SetReply(Schema):
    """A version of a normal set. Versions never change.

    `digest` is over item, shots and how they are seen: `orientation` ("any": the parts lie any way
    round) and `tiles` along the longer side of an image.
    """

    name: str
    version: int
    item: str
    shots: list[ShotReply]
    created: str
    note: str
    origin: str
    digest: str
    orientation: Orientation
    tiles: Tiles
    refused: list[Refused] = []


class SetSummary(Schema):
    """A set by its latest version."""

    name: str
    item: str
    version: int
    shots: int
    created: str
    changed: str
    orientation: Orientation
    tiles: Tiles


class SetPage(Page[SetSummary, str]):
    """Sets by name; `next_cursor` is the `after` of the next page, null at the end."""


class VersionSummary(Schema):
    """A version by the number of its shots."""

    version: int
    shots: int
    created: str
    note: str
    origin: str
    digest: str
    orientation: Orientation
    tiles: Tiles


class VersionPage(Page[VersionSummary, int]):
    """Versions of a set, newest first; `next_cursor` is the `after` of the next page."""


class DifferenceReply(Schema):
    """What changed between two versions."""

    name: str
    before: int
    after: int
    added: list[ShotReply]
    removed: list[ShotReply]
    kept: list[ShotReply]


class FeedbackReply(Schema):
    """What a remark on an image did.

    A false alarm makes `version_after`; a confirmed defect leaves the version and may lower the
    threshold. `words` says it in a sentence.
    """

    id: str
    kind: Literal["false_alarm", "defect"]
    set: str
    sha256: str
    created: str
    undone: Annotated[bool, BeforeValidator(bool)]
    version_before: int | None
    version_after: int | None
    threshold_before: Finite = None
    threshold_after: Finite = None
    words: str = ""


class FeedbackPage(Page[FeedbackReply, str]):
    """Feedback on a set, newest first."""


class FindingReply(Schema):
    kind: str
    what: str
    detail: str


class VerifyReply(Schema):
    """`faults` is empty where nothing is damaged; `orphans` are files that nothing refers to."""

    clean: bool
    faults: list[FindingReply]
    orphans: list[FindingReply]


class LimitsReply(Schema):
    """What the service takes.

    `tiles` along the longer side of an image, `looks` at the shots of one request: in each of their
    turns, tile by tile.
    """

    file_bytes: int
    request_bytes: int
    images: int
    pixels: int
    tiles: int
    looks: int
    queue: int
    deadline_seconds: float
    longest_deadline_seconds: float
    formats: list[str]
    map_formats: list[str]


class ModelsReply(Schema):
    """What may be asked for in `detector` and `adapter`."""

    backbone: str
    detector: str
    detectors: list[str]
    adapters: list[str]


class Health(Schema):
    status: Literal["alive", "ready", "starting", "draining"]


class DataSetReply(Schema):
    """A set; `left_out` are lines on what lies in it and is not used.

    Both are null where that was not looked for.
    """

    name: str
    layout: str
    categories: int | None = None
    left_out: list[str] | None = None


class DataReply(Schema):
    """Data sets below the server's data root; `complete` is false where there were too many.

    `left_out` are lines on what was not looked into.
    """

    sets: list[DataSetReply]
    complete: bool
    left_out: list[str] = []


class JobProgress(Schema):
    """So many of all are done of what is going on."""

    what: str
    done: int
    total: int
    share: float
    eta_seconds: float | None


class JobFile(Schema):
    name: str
    bytes: int


class JobSummary(Schema):
    """A job; `spec` is what was asked for."""

    id: str
    kind: str
    spec: dict[str, Any]
    state: Literal["queued", "running", "succeeded", "failed", "cancelled", "interrupted"]
    created: str
    started: str | None
    finished: str | None
    attempts: int
    error: str


class JobReply(JobSummary):
    """A job as it goes: `rows` are a training's losses, `cells` those of an evaluation.

    `warnings` are what it was warned of, such as data that it leaves out.
    """

    progress: JobProgress | None
    rows: list[dict[str, Any]]
    cells: list[dict[str, Any]]
    warnings: list[str] = []
    log: str
    files: list[JobFile]


class JobPage(Page[JobSummary, str]):
    """Jobs, the newest first."""
