"""What the fields of forms, queries, paths and jobs may hold, whoever reads them."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from inctrl.files import names

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
FrameField = Annotated[int, Field(ge=1)] | Literal["all", "first"]
"""Which images of a file that holds several: each as one of its own, or one of them."""
VersionNumber = Annotated[int, Field(ge=1, le=999_999_999)]
PageSize = Annotated[int, Field(ge=1, le=200)]
