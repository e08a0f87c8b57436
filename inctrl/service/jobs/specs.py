"""What a job is to do, as checked values, and the command line that does it.

A command is made of names that fit a pattern, of numbers in a range and of paths in the data root
(`dataroot`). Every option carries its value behind `=`, so that none can be taken for a flag.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from inctrl.errors import UsageError
from inctrl.registry import listed, meant
from inctrl.service.fields import (
    Adapter,
    AdapterName,
    Alpha,
    OrientationField,
    Reference,
    TilesField,
)
from inctrl.service.jobs.dataroot import inside, inside_with_layout

_DETECTOR = "(anomalib:)?[a-z][a-z0-9_-]{0,31}"
_OPTION = "[a-z][a-z0-9_]{0,31}=[A-Za-z0-9._+-]{1,32}"
_TEXT = r"[^\x00-\x1f\x7f-]"


def _text(pattern: str, longest: int = 200) -> Any:
    return StringConstraints(pattern=f"^{pattern}$", max_length=longest)


Data = Annotated[str, _text(rf"{_TEXT}[^\x00-\x1f\x7f]*", 1024)]
Word = Annotated[str, _text(rf"{_TEXT}[^\x00-\x1f\x7f]*")]
Title = Annotated[str, _text(rf"({_TEXT}[^\x00-\x1f\x7f]*)?", 100)]
Detector = Annotated[str, _text(_DETECTOR)]
Contender = Annotated[str, _text(f"{_DETECTOR}(:{_OPTION}(,{_OPTION}){{0,7}})?", 400)]
Fit = Literal["squash", "crop", "pad"]
Shots = Annotated[int, Field(ge=0, le=64)]
DataSets = Annotated[tuple[Data, ...], Field(min_length=1, max_length=32)]
Words = Annotated[tuple[Word, ...], Field(max_length=200)]


class _Spec(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _names_what_is_unknown(cls, values: Any) -> Any:
        """With the field that was meant, which pydantic does not look for."""
        known = sorted(cls.model_fields)
        unknown = values.keys() - known if isinstance(values, Mapping) else ()
        faults = [
            InitErrorDetails(
                type=PydanticCustomError(
                    "unknown_field",
                    "unknown field{meant} (known: {known})",
                    {"meant": meant(str(name), known), "known": listed(known)},
                ),
                loc=(str(name),),
                input=None,
            )
            for name in sorted(map(str, unknown))
        ]
        if faults:
            raise ValidationError.from_exception_data(cls.__name__, faults)
        return values


class FolderJob(_Spec):
    """Inspect the images of a folder against a registered set.

    data     name of the folder in the data root
    set      NAME or NAME@VERSION
    adapter  a trained one by name, or that of a training here as job:ID
    """

    kind: Literal["folder"] = "folder"
    data: Data
    set: Reference
    recursive: bool = False
    detector: Detector | None = None
    adapter: Adapter | None = None
    alpha: Alpha | None = None
    name: Title = ""


class TrainJob(_Spec):
    """Train an adapter; what is left out is as the command line has it.

    data   names of data sets in the data root, each with LAYOUT: in front where it is wanted
    name   what the adapter will be called
    """

    kind: Literal["train"] = "train"
    data: DataSets
    name: AdapterName
    method: Literal["inctrl", "coop", "regad"] = "inctrl"
    exclude: Words = ()
    seed: int | None = Field(None, ge=0, lt=2**31)
    fit: Fit | None = None
    epochs: int | None = Field(None, ge=1, le=10_000)
    shots: Annotated[tuple[Shots, ...], Field(max_length=16)] | None = None
    batch: int | None = Field(None, ge=1, le=1024)
    rate: float | None = Field(None, gt=0, le=1, allow_inf_nan=False)
    steps: int | None = Field(None, ge=1, le=100_000)
    loss: Literal["released", "focal", "bce"] | None = None
    hold_out: Word | None = None
    patience: int | None = Field(None, ge=0, le=10_000)
    pixels: float | None = Field(None, ge=0, le=1000, allow_inf_nan=False)
    synthetic: Literal["auto", "all", "none"] | None = None

    @model_validator(mode="after")
    def _of_its_method(self) -> "TrainJob":
        for name in _TRAINING["inctrl"]:
            if getattr(self, name) is not None and name not in _TRAINING[self.method]:
                raise ValueError(f"{name} is no setting of the method {self.method}")
        if self.method == "regad" and self.shots is not None and len(self.shots) != 1:
            raise ValueError("shots is one number for the method regad")
        return self


class EvaluateJob(_Spec):
    """Measure detectors on labelled data; they and trained adapters are the contenders."""

    kind: Literal["evaluate"] = "evaluate"
    data: DataSets
    detectors: Annotated[tuple[Contender, ...], Field(max_length=16)] = ()
    adapters: Annotated[tuple[Adapter, ...], Field(max_length=16)] = ()
    shots: Annotated[tuple[Shots, ...], Field(max_length=16)] = ()
    seeds: int | None = Field(None, ge=1, le=100)
    only: Words = ()
    exclude: Words = ()
    alpha: Alpha | None = None
    fit: Fit | None = None
    orientation: OrientationField | None = None
    tiles: TilesField | None = None
    group_by: Literal["group"] | None = None
    name: Title = ""


JobSpec = Annotated[FolderJob | TrainJob | EvaluateJob, Field(discriminator="kind")]
_ANY: TypeAdapter[JobSpec] = TypeAdapter(JobSpec)
_TRAINING = {
    "inctrl": (
        *("epochs", "shots", "batch", "rate", "steps", "loss", "hold_out", "patience", "pixels"),
        "synthetic",
    ),
    "coop": ("epochs",),
    "regad": ("epochs", "shots", "batch", "rate"),
}
"""What can be set of each method, besides what all have."""


@dataclass(frozen=True)
class Places:
    """Where a command reads and writes.

    data     the data root, in which the command runs
    result   folder that it makes
    trained  id of a training -> folder of its adapter
    """

    data: Path | None
    store: Path
    result: Path
    trained: Callable[[str], Path]


def read_spec(values: Mapping[str, Any]) -> JobSpec:
    """The spec that `model_dump` gave; UsageError in one line for anything else."""
    try:
        return _ANY.validate_python(dict(values))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "job"
        raise UsageError(f"{where}: {first['msg']}") from None


def command(spec: JobSpec, places: Places) -> list[str]:
    """The arguments of `inctrl`; it must run in the data root."""
    if isinstance(spec, FolderJob):
        flags = _flags(
            set=spec.set,
            store=places.store,
            out=places.result,
            detector=spec.detector,
            adapter=spec.adapter and _adapter(spec.adapter, places),
            alpha=spec.alpha,
            recursive=spec.recursive,
        )
        return ["detect", *flags, "--", inside(places.data, spec.data)]
    data = tuple(inside_with_layout(places.data, name) for name in spec.data)
    both = {"data": data, "exclude": spec.exclude, "fit": spec.fit, "shots": spec.shots}
    if isinstance(spec, TrainJob):
        own = {name: getattr(spec, name) for name in ("seed", *_TRAINING[spec.method])}
        out = adapter_folder(spec, places.result)
        return ["train", spec.method, *_flags(out=out, **both | own)]
    return [
        "evaluate",
        *_flags(
            **both,
            out=places.result,
            detector=spec.detectors,
            adapter=tuple(_adapter(name, places) for name in spec.adapters),
            seeds=spec.seeds,
            only=spec.only,
            alpha=spec.alpha,
            orientation=spec.orientation,
            tiles=spec.tiles,
            group_by=spec.group_by,
        ),
    ]


def detectors_of(spec: JobSpec) -> list[str]:
    """The detectors that a job names, without their options."""
    if isinstance(spec, FolderJob):
        return [spec.detector] if spec.detector else []
    named = spec.detectors if isinstance(spec, EvaluateJob) else ()
    return [match[0] for one in named if (match := re.match(_DETECTOR, one))]


def adapter_folder(spec: TrainJob, result: Path) -> Path:
    """Where a training leaves its adapter."""
    return result / spec.name


def _adapter(name: str, places: Places) -> str:
    id = name.removeprefix("job:")
    return name if id == name else str(places.trained(id))


def _flags(**values: object) -> list[str]:
    """Options by their names: one for each of several words, and numbers after theirs."""
    flags = list[str]()
    for name, value in values.items():
        flag = f"--{name.replace('_', '-')}"
        if value is True:
            flags.append(flag)
        elif isinstance(value, tuple) and all(isinstance(one, int) for one in value):
            flags += [flag, *map(str, value)] if value else []  # from 0 on they are no flags
        elif isinstance(value, tuple):
            flags += [f"{flag}={one}" for one in value]
        elif value is not None and value is not False:
            flags.append(f"{flag}={value}")
    return flags
