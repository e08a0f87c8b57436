"""What the service says, as the OpenAPI document describes it and `inctrl.Client` returns it.

Sizes are pixels of the original image, right and bottom excluded; times are ISO 8601 in UTC; a
number that does not exist (a limit without shots) is null. Nothing names a path of the server.
"""

import math
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

Verdict = Literal["normal", "anomalous", "undecided"]
MapFormat = Literal["png", "npz", "overlay"]


def finite(value: float | None) -> float | None:
    """JSON has no infinity: a limit that does not exist is null."""
    return value if value is not None and math.isfinite(value) else None


Finite = Annotated[float | None, BeforeValidator(finite)]


class Schema(BaseModel):
    """Base of all: replies are values, made of keywords or of an object that has their fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", from_attributes=True)


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
    """A version of a normal set. Versions never change; `digest` is over item and shots."""

    name: str
    version: int
    item: str
    shots: list[ShotReply]
    created: str
    note: str
    origin: str
    digest: str
    refused: list[Refused] = []


class SetSummary(Schema):
    """A set by its latest version."""

    name: str
    item: str
    version: int
    shots: int
    created: str
    changed: str


class SetPage(Schema):
    """Sets by name; `next_cursor` is the `after` of the next page, null at the end."""

    items: list[SetSummary]
    next_cursor: str | None


class VersionSummary(Schema):
    """A version by the number of its shots."""

    version: int
    shots: int
    created: str
    note: str
    origin: str
    digest: str


class VersionPage(Schema):
    """Versions of a set, newest first; `next_cursor` is the `after` of the next page."""

    items: list[VersionSummary]
    next_cursor: int | None


class DifferenceReply(Schema):
    """What changed between two versions."""

    name: str
    before: int
    after: int
    added: list[ShotReply]
    removed: list[ShotReply]
    kept: list[ShotReply]


class BoxReply(Schema):
    left: int
    top: int
    right: int
    bottom: int


class RegionReply(Schema):
    """A connected part of the map above the pixel limit; `area` as a share of the image."""

    box: BoxReply
    peak: float
    area: float


class EvidenceReply(Schema):
    """The worst place, and the normal patch nearest to it among the shots."""

    query_box: BoxReply
    shot: int
    shot_name: str
    shot_sha256: str
    shot_box: BoxReply
    distance: float
    normal_distance: float


class Scored(Schema):
    """The answer for one query.

    `id` names it in the score history (null where none is kept). `map` is base64 of the format
    that was asked for.
    """

    index: int
    name: str
    status: Literal["scored"] = "scored"
    id: str | None
    sha256: str
    height: int
    width: int
    score: float
    threshold: Finite
    p_value: float
    p_floor: float
    verdict: Verdict
    pixel_limit: Finite
    regions: list[RegionReply]
    evidence: EvidenceReply | None
    notes: list[str]
    timing: dict[str, float]
    map: str | None = None


class Unreadable(Schema):
    """A query that could not be scored; the others of the request are."""

    index: int
    name: str
    status: Literal["unreadable"] = "unreadable"
    error: str


Outcome = Annotated[Scored | Unreadable, Field(discriminator="status")]


class LimitReply(Schema):
    """The limit, and how it came about.

    `calibrated` is the limit that follows from the shots alone; `threshold` is lower where
    confirmed defects say so. `low` and `high` are the ends of the colour scale of the maps,
    `pixel` the map value from which a place counts as anomalous.
    """

    threshold: Finite
    calibrated: Finite
    alpha: float
    method: str
    words: str
    p_floor: float
    shots: int
    normal_scores: list[float]
    defect_scores: list[float]
    low: float
    pixel: Finite
    high: float
    warnings: list[str]


class ModelReply(Schema):
    """The identity of all that makes a score."""

    inctrl: str
    backbone: str
    fingerprint: str
    image_size: int
    layers: list[str]
    detector: str
    options: dict[str, float | int | str | bool]
    adapter: str | None
    adapter_sha256: str | None
    fit: str
    text_prior: str
    text_sha256: str | None = None
    text_weight: float | None


class Detection(Schema):
    """Outcomes of the queries in their order; `set` is null where shots came with the request."""

    set: str | None
    item: str
    shots: list[str]
    refused_shots: list[Refused]
    limit: LimitReply
    model: ModelReply
    results: list[Outcome]


class ScoreReply(Schema):
    """A score of the history, with all that is needed to explain it."""

    id: str
    created: str
    set: str | None
    version: int | None
    item: str
    query_sha256: str
    query_name: str
    score: Finite
    threshold: Finite
    p_value: Finite
    verdict: Verdict
    identity: dict[str, Any]
    calibration: dict[str, Any]


class ScorePage(Schema):
    """Scores, newest first."""

    items: list[ScoreReply]
    next_cursor: str | None


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
    threshold_before: float | None = None
    threshold_after: float | None = None
    words: str = ""


class FeedbackPage(Schema):
    """Feedback on a set, newest first."""

    items: list[FeedbackReply]
    next_cursor: str | None


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
    """What the service takes."""

    file_bytes: int
    request_bytes: int
    images: int
    pixels: int
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
    name: str
    layout: str


class DataReply(Schema):
    """Data sets below the server's data root; `complete` is false where there were too many."""

    sets: list[DataSetReply]
    complete: bool


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
    """A job as it goes: `rows` are a training's losses, `cells` those of an evaluation."""

    progress: JobProgress | None
    rows: list[dict[str, Any]]
    cells: list[dict[str, Any]]
    log: str
    files: list[JobFile]


class JobPage(Schema):
    """Jobs, the newest first."""

    items: list[JobSummary]
    next_cursor: str | None
