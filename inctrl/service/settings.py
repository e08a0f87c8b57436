"""How a service is set up; the command line fills this in."""

from dataclasses import dataclass, field
from pathlib import Path

from inctrl.resources import DEFAULT_BACKBONE
from inctrl.service.http.limits import Limits

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


@dataclass(frozen=True)
class Settings:
    """Everything that is chosen when a service starts.

    store       folder of sets, scores and jobs; None: the user's data folder
    data_root   folder whose data sets jobs may read; None: no jobs
    hosts       names by which the service may be called, without ports
    origins     pages elsewhere that may call it, such as https://lines.example
    tokens      file of hashed tokens; None: nobody is asked (loopback only)
    history     whether scores are kept
    keep_days   after which scores are forgotten
    threads     of the model's arithmetic; None: torch's own choice
    """

    store: Path | None = None
    data_root: Path | None = None
    host: str = "127.0.0.1"
    port: int = 8000
    hosts: tuple[str, ...] = LOOPBACK
    origins: tuple[str, ...] = ()
    tokens: Path | None = None
    backbone: str = DEFAULT_BACKBONE
    detector: str = "incontext"
    adapter: str | None = None
    image_size: int | None = None
    precision: str | None = None
    device: str = "auto"
    alpha: float = 0.05
    batch: int = 8
    allow_network: bool = False
    history: bool = True
    keep_days: float = 365.0
    threads: int | None = None
    limits: Limits = field(default_factory=Limits)

    @property
    def of_jobs(self) -> dict[str, str]:
        """The environment in which a job is given the same model."""
        values = {"INCTRL_BACKBONE": self.backbone, "INCTRL_DEVICE": self.device}
        values["INCTRL_FIT"] = ""  # the service's own comes from its adapter, never from outside
        if self.image_size:
            values["INCTRL_IMAGE_SIZE"] = str(self.image_size)
        if self.precision:
            values["INCTRL_PRECISION"] = self.precision
        if not self.history:
            values["INCTRL_CACHE"] = "off"  # features tell of the images that they were made of
        return values
