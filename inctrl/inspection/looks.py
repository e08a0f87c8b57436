"""Whether a query looks unlike the shots as a photograph: noise, blur, exposure, JPEG, size.

All of them raise scores, and none of them is a defect: results say so beside the verdict, which
they do not change.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import PIL.Image

from inctrl.images import Image
from inctrl.inspection.inputs import SHOWN
from inctrl.inspection.likeness import Kind, kind_of
from inctrl.maths.appearance import blockiness, brightness, noise, sharpness, usual_range
from inctrl.maths.geometry import View
from inctrl.preprocessing import Preprocessing

MOST_SHOTS = 32
"""Shots that are looked at; more would cost time and add little."""
SPREADS = {"noise": 0.25, "sharpness": 0.25, "brightness": 0.15, "blockiness": 0.15}
"""How far the figures of images of one kind are assumed to vary, as far as few do not tell.

About the median of sixteen sets, and less of the last two, of which less alarms."""
SMALLER = 0.75
"""Of what the least detailed shot shows: with less, a query is smaller than the shots."""
WORDS = {
    "noise": ("", "noisier"),
    "sharpness": ("blurrier", ""),
    "brightness": ("darker", "brighter"),
    "blockiness": ("", "more compressed"),
    "detail": ("smaller", ""),
}
"""Below and above the usual range; a cleaner or sharper image is nothing to warn of."""


@dataclass(frozen=True, eq=False)
class Looks:
    """The shots as photographs, looked at when the first query is; images as the tower sees them.

    view   where the tower looks in an image
    """

    shots: tuple[Image, ...]
    preprocessing: Preprocessing
    view: Callable[[Image], View]

    def note(self, image: Image) -> tuple[str, ...]:
        """What distinguishes a query from the shots, in one sentence, or nothing."""
        if not self.shots:
            return ()
        found = self.unlike(self.figures(image))
        if not found:
            return ()
        return (f"{_listed(found)} than the shots: its score may be higher for that alone",)

    def unlike(self, figures: Mapping[str, float]) -> list[str]:
        """In which figures an image lies outside the usual range, as words."""
        found = []
        for name, (low, high) in self._usual.items():
            below, above = WORDS[name]
            found.append(below if figures[name] < low else above if figures[name] > high else "")
        return [word for word in found if word]

    def figures(self, image: Image) -> dict[str, float]:
        """Those that WORDS has words for, of the image as the tower sees it.

        noise       of its own pixels where the tower enlarges it, which smooths noise away
        blockiness  of its own pixels; of one that is too large to be kept as a shot it is not told
        detail      pixels a side, as a share of those of the tower; what is beyond it is not seen
        """
        side, (height, width) = self.preprocessing.size, image.size
        picture = PIL.Image.fromarray(image.rgb)
        factor = min(image.size) // (4 * side)
        if factor > 1:  # a large photograph takes less time so, and looks the same
            picture = picture.reduce(factor)
        seen = np.asarray(self.preprocessing.place(picture, self.view(image)))
        detail = min(1.0, math.sqrt(height * width) / side)
        return {
            "noise": noise(image.rgb if detail < 1 else seen),
            "sharpness": sharpness(seen),
            "brightness": brightness(seen),
            "blockiness": blockiness(image.rgb) if height * width <= SHOWN else 0.0,
            "detail": detail,
        }

    @cached_property
    def kinds(self) -> tuple[Kind, ...]:
        """Proportions, size and colours of every shot."""
        return tuple(kind_of(shot, self.preprocessing.size) for shot in self.shots)

    @cached_property
    def _usual(self) -> dict[str, tuple[float, float]]:
        known = [self.figures(shot) for shot in self.shots[:MOST_SHOTS]]
        found = {
            name: usual_range([one[name] for one in known], spread)
            for name, spread in SPREADS.items()
        }
        least = SMALLER * min(one["detail"] for one in known)
        return found | {"detail": (least, math.inf)}


def _listed(words: list[str]) -> str:
    """'noisier', 'noisier and darker', 'noisier, darker and smaller'."""
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last
