"""Map values as colours: one fixed scale for all pictures of a run, in cividis."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from inctrl.inspection.calibration import Calibration

# fmt: off
CIVIDIS = (
    "00224e", "00285b", "002e6a", "043371", "1a386f", "273e6e", "32436d", "3b496c",
    "434e6c", "4b546c", "52596d", "5a5f6e", "61656f", "686a71", "6f7073", "757676",
    "7c7b78", "848179", "8b8778", "938d78", "9b9376", "a39a75", "aba072", "b3a670",
    "bbad6c", "c3b469", "ccba64", "d4c15f", "ddc958", "e6d051", "efd748", "f8df3c",
    "fee838",
)
# fmt: on
"""Every eighth colour of cividis, dark to bright (Nunez, Anderton and Renslow, PLoS ONE 13(7),
2018): equal steps look equal, with and without a colour vision deficiency."""


@dataclass(frozen=True)
class Scale:
    """The map values shown as the first colour, as the limit line and as the last colour.

    low, high   finite; values beyond them get the end colours
    limit       places at or below it are not tinted; infinite where there is none, and then all
                are, the fainter the lower
    """

    low: float
    limit: float
    high: float

    @classmethod
    def of(cls, limits: "Calibration") -> "Scale":
        """The colours of all maps that a calibration judges."""
        return cls(limits.map_low, limits.pixel_limit, limits.map_high)

    @property
    def limited(self) -> bool:
        return math.isfinite(self.limit)

    def share(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Where values lie between low (0) and high (1), of any shape; NaN counts as low."""
        # Identical normals leave no width; then everything above them is as bright as can be.
        width = max(self.high - self.low, 1e-12)
        finite = np.nan_to_num(values, nan=self.low, posinf=self.high, neginf=self.low)
        return np.asarray(np.clip((finite - self.low) / width, 0, 1), dtype=np.float32)


def cividis(shares: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Colours (..., 3) of shares in [0, 1], by linear interpolation between the anchors."""
    anchors = np.array([list(bytes.fromhex(anchor)) for anchor in CIVIDIS], dtype=np.float64)
    at = np.linspace(0, 1, len(anchors))
    channels = [np.interp(shares, at, anchors[:, c]) for c in range(3)]
    return np.rint(np.stack(channels, axis=-1)).astype(np.uint8)
