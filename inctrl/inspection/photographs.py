"""Shots that are one photograph, saved more than once: they show nothing of how parts vary."""

from collections import deque
from collections.abc import Sequence

import numpy as np
import PIL.Image

from inctrl.images import Image
from inctrl.inspection.likeness import listed
from inctrl.maths.copies import SIDE, Bands, bands, same_photograph

NEIGHBOURS = 50
"""Shots before it that a shot is compared with: copies are named alike, and lie together."""


def photographs(shots: Sequence[Image]) -> list[list[int]]:
    """The numbers of the shots by the photograph that they show, in their order."""
    group = list(range(len(shots)))
    before: deque[Bands] = deque(maxlen=NEIGHBOURS)  # each takes half a megabyte or more
    for later, shot in enumerate(shots):
        own = _bands(shot)
        for earlier, other in enumerate(before, start=later - len(before)):
            first, joined = group[earlier], group[later]
            if first != joined and same_photograph(other, own):
                group = [min(first, joined) if g in (first, joined) else g for g in group]
        before.append(own)
    return [[i for i, g in enumerate(group) if g == first] for first in sorted(set(group))]


def copies_told(groups: Sequence[Sequence[int]], names: Sequence[str]) -> tuple[str, ...]:
    """A warning for each photograph that several shots show."""
    return tuple(
        f"shots {listed([repr(names[i]) for i in others])} are nearly copies of {names[first]!r}: "
        "they count as one for the limit, since they do not show how normal images vary; "
        "give shots of different parts"
        for first, *others in groups
        if others
    )


def _bands(image: Image) -> Bands:
    gray = PIL.Image.fromarray(image.rgb).convert("L")
    sizes = [(SIDE, SIDE), (SIDE // 2, SIDE // 2)]
    resized = (gray.resize(size, PIL.Image.Resampling.BICUBIC) for size in sizes)
    return bands(*(np.asarray(one, dtype=np.float32) for one in (*resized, gray)))
