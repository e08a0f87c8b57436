"""What the fields of forms, queries, paths and jobs may hold, whoever reads them."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, StringConstraints

from inctrl.errors import UsageError
from inctrl.files import names
from inctrl.frames import Frame, frame_of
from inctrl.registry import meant


def _frame(text: str | int) -> Frame:
    try:
        return frame_of(text)
    except UsageError as error:  # pydantic takes a ValueError for the fault of a field
        near = meant(str(text), ("all", "first"))
        raise ValueError(str(error).removeprefix("frame ") + near) from None


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
    Annotated[int, Field(ge=1)] | Literal["all", "first"], BeforeValidator(_frame)
]
"""Which images of a file that holds several: each as one of its own, or one of them."""
VersionNumber = Annotated[int, Field(ge=1, le=999_999_999)]
PageSize = Annotated[int, Field(ge=1, le=200)]
