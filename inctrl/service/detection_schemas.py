"""What the service says of images and their scores; the rest of its replies is in `schemas`."""

from typing import Annotated, Any, Literal

from pydantic import Field

from inctrl.service.schemas import Finite, Page, Refused, Schema
from inctrl.views import Orientation, Tiles

Verdict = Literal["normal", "anomalous", "undecided"]
MapFormat = Literal["png", "npz", "overlay"]


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

    `index` is that of its file among those sent: one that holds several images has an answer for
    each, named FILE#1, FILE#2. `id` names it in the score history (null where none is kept). `map`
    is base64 of the format that was asked for.
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
    precision: str = "float32"
    detector: str
    options: dict[str, float | int | str | bool]
    adapter: str | None
    adapter_sha256: str | None
    fit: str
    text_prior: str
    text_sha256: str | None = None
    text_weight: float | None
    orientation: Orientation
    tiles: Tiles


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


class ScorePage(Page[ScoreReply, str]):
    """Scores, newest first."""
