"""What the fields of forms, queries, paths and jobs may hold, whoever reads them."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StringConstraints

from inctrl.errors import UsageError
from inctrl.files import names
from inctrl.frames import frame_of
from inctrl.registry import meant
from inctrl.views import MOST_TILES, orientation_of, tiles_of


def _read_by(read: Callable[[Any], Any], field: str, *words: str) -> BeforeValidator:
    """What is refused is told without the field's name, and with the one of `words` meant."""

    def value_of(given: str | int) -> Any:
        try:
            return read(given)
        except UsageError as error:  # pydantic takes a ValueError for the fault of a field
            near = meant(str(given), words)
            raise ValueError(str(error).removeprefix(f"{field} ") + near) from None

    return BeforeValidator(value_of)


SetName = Annotated[str, StringConstraints(pattern=f"^{names.SET}$")]
Reference = Annotated[str, StringConstraints(pattern=f"^{names.REFERENCE}$")]
JobId = Annotated[str, StringConstraints(pattern=f"^{names.JOB}$")]
RowId = Annotated[str, StringConstraints(pattern=f"^{names.ID}$")]
Digest = Annotated[str, StringConstraints(pattern=f"^{names.SHA256}$")]
AdapterName = Annotated[str, StringConstraints(pattern=f"^{names.ADAPTER}$", max_length=200)]
Adapter = Annotated[
    str, StringConstraints(pattern=f"^({names.ADAPTER}|job:{names.JOB})$", max_length=200)
]
Alpha = Annotated[float, Field(gt=0, le=0.5, allow_inf_nan=False)]
"""The wanted share of false alarms."""
FrameField = Annotated[
    Annotated[int, Field(ge=1)] | Literal["all", "first"],
    _read_by(frame_of, "frame", "all", "first"),
]
"""Which images of a file that holds several: each as one of its own, or one of them."""
OrientationField = Annotated[
    Literal["fixed", "any"], _read_by(orientation_of, "orientation", "fixed", "any")
]
"""Which way round the parts of the shots lie."""
TilesField = Annotated[
    Annotated[int, Field(ge=1, le=MOST_TILES)] | Literal["auto"],
    _read_by(tiles_of, "tiles", "auto"),
]
"""In how many tiles an image is seen, along its longer side."""
VersionNumber = Annotated[int, Field(ge=1, le=999_999_999)]
PageSize = Annotated[int, Field(ge=1, le=200)]
