"""Whether images are of one kind: proportions, size, depth and colour, on which a score rests.

What differs is told: of the shots as warnings, of a query as notes. Nothing is refused.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from inctrl.images import Image
from inctrl.types import Fit

WIDER = 1.3
"""Ratio of two proportions from which good images rose towards the limit; 4:3 to 3:2 is 1.13."""
SHARPER = 2.0
"""Ratio of the sides that a backbone can tell apart, from which one image is blurred."""
TINGE, COLOURED, GRAY = 12, 0.02, 0.001
"""Levels between two channels that are a colour; the share of pixels that makes an image so."""
SAMPLED = 100_000
"""Pixels of an image looked at for colours."""
NAMED = 4
"""Shots named in a warning; of others their number is told."""
DISTORTED: dict[Fit, str] = {
    "squash": "squashing to a square distorts them differently",
    "crop": "the fit 'crop' cuts other parts off them",
    "pad": "the fit 'pad' adds other bars to them",
}
"""What becomes of images of unlike proportions."""


@dataclass(frozen=True)
class Kind:
    """What an image is like, for a backbone that sees squares of some side.

    proportion   width over height
    seen         pixels of its shorter side, as far as the backbone can tell them apart
    coloured     True: it has colours; False: it is gray; None: it hardly has any
    """

    name: str
    size: str
    proportion: float
    seen: int
    coloured: bool | None
    deep: bool


def kind_of(image: Image, side: int) -> Kind:
    """The kind of an image for a backbone that sees side x side pixels."""
    height, width = image.size
    red, green, blue = image.rgb.reshape(-1, 3)[:: max(1, height * width // SAMPLED)].T
    # A channel at a time: over an axis of three numpy takes ten times as long.
    highest = np.maximum(np.maximum(red, green), blue)
    lowest = np.minimum(np.minimum(red, green), blue)
    tinged = float((highest - lowest > TINGE).mean())
    gray = image.deep or tinged <= GRAY
    return Kind(
        name=image.name,
        size=f"{width} x {height}",
        proportion=width / height,
        seen=min(width, height, side),
        coloured=False if gray else (tinged >= COLOURED or None),
        deep=image.deep,
    )


def unlike_shots(shots: Sequence[Kind], fit: Fit) -> tuple[str, ...]:
    """Warnings about shots of several kinds, and what that does to the limit."""
    if not shots:
        return ()
    found = []
    usual, odd = _apart(shots, lambda a, b: _ratio(a.proportion, b.proportion) <= WIDER)
    if odd:
        found.append(
            f"shots {_sized(odd)} have other proportions than {_sized([usual])}: {DISTORTED[fit]}"
        )
    usual, odd = _apart(shots, lambda a, b: _ratio(a.seen, b.seen) <= SHARPER)
    if odd:
        found.append(
            f"shots {_sized(odd)} are of another size than {_sized([usual])}: the smaller ones are "
            "enlarged, and blurred"
        )
    usual, odd = _apart(shots, lambda a, b: a.deep == b.deep)
    if odd:
        theirs = "8 bits" if usual.deep else "more than 8 bits"
        found.append(
            f"shots {_named(odd)} have {theirs} a pixel, unlike {usual.name!r}: their brightness "
            "cannot be compared"
        )
    usual, odd = _apart(shots, lambda a, b: {a.coloured, b.coloured} != {True, False})
    if odd:
        theirs = "are gray" if usual.coloured else "have colours"
        found.append(f"shots {_named(odd)} {theirs}, unlike {usual.name!r}")
    return tuple(f"{said}, so that the limit is loose; give shots of one kind" for said in found)


def unlike_query(query: Kind, shots: Sequence[Kind], fit: Fit) -> tuple[str, ...]:
    """Notes on a query of another kind than all shots, and what that does to its score."""
    if not shots:
        return ()
    notes = []
    near = min(shots, key=lambda shot: _ratio(shot.proportion, query.proportion))
    if _ratio(near.proportion, query.proportion) > WIDER:
        notes.append(
            f"its proportions ({query.size}) are not those of the shots ({near.size}): "
            f"{DISTORTED[fit]}, which alone raises the score"
        )
    near = max(shots, key=lambda shot: shot.seen)  # of a smaller query looks.py tells
    if query.seen > SHARPER * near.seen:
        notes.append(
            f"its size ({query.size}) is far from that of the shots ({near.size}): those are "
            "enlarged, and blurred, which alone changes the score"
        )
    if query.coloured is not None and all(s.coloured is (not query.coloured) for s in shots):
        differs = (
            "it has colours and the shots are gray"
            if query.coloured
            else "it is gray and the shots have colours"
        )
        notes.append(f"{differs}, which alone raises the score")
    return tuple(notes)


def _apart(shots: Sequence[Kind], alike: Callable[[Kind, Kind], bool]) -> tuple[Kind, list[Kind]]:
    """The shot that most are like, and those that are not like it."""
    usual = max(shots, key=lambda shot: sum(alike(shot, other) for other in shots))
    return usual, [shot for shot in shots if not alike(usual, shot)]


def _ratio(first: float, second: float) -> float:
    """How many times the larger one is the smaller."""
    return max(first, second) / min(first, second)


def _named(shots: Sequence[Kind]) -> str:
    return listed([repr(shot.name) for shot in shots])


def _sized(shots: Sequence[Kind]) -> str:
    return listed([f"{shot.name!r} ({shot.size})" for shot in shots])


def listed(words: Sequence[str]) -> str:
    """'a', 'b' and 3 more."""
    shown = ", ".join(words[:NAMED])
    return shown if len(words) <= NAMED else f"{shown} and {len(words) - NAMED} more"
