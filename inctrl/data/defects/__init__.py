"""Synthetic defects: an image of something flawless in, the same damaged and a mask out.

rgb -> place a window (on the object) -> draw a kind in it -> what changed visibly is the mask

Everything random comes from the generator passed in: the same image, kind and generator state
give the same defect.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from inctrl.data.defects.blobs import hole, specks, stain
from inctrl.data.defects.patches import cut, cutpaste, missing, shifted
from inctrl.data.defects.placement import Ground, find_ground, object_matte, place
from inctrl.data.defects.site import Floats, Site, Window, grain, look, scale_of
from inctrl.data.defects.strokes import crack, fibre, scratch
from inctrl.data.defects.surface import dent, perlin_blend, smear
from inctrl.errors import UsageError
from inctrl.registry import lookup

Draw = Callable[[Site, np.random.Generator, float], Floats]
"""Site, generator, contrast (about 0.1..1) -> the damaged window h w 3, about 0..1."""


@dataclass(frozen=True)
class Kind:
    """How a kind is drawn, and its window's smallest and largest side in sides of the image."""

    draw: Draw
    smallest: float
    largest: float
    at_edge: bool = False
    """Placed on the outline of an object rather than anywhere on it."""
    on_surface: bool = True
    """Ends where the object ends; dirt and misplaced pieces may lie over the background."""


TABLE: dict[str, Kind] = {
    "scratch": Kind(scratch, 0.12, 0.7),
    "cut": Kind(cut, 0.12, 0.5),
    "cutpaste": Kind(cutpaste, 0.07, 0.38, on_surface=False),
    "hole": Kind(hole, 0.05, 0.3),
    "stain": Kind(stain, 0.08, 0.42),
    "smear": Kind(smear, 0.12, 0.45),
    "specks": Kind(specks, 0.12, 0.5),
    "perlin": Kind(perlin_blend, 0.12, 0.42),
    "crack": Kind(crack, 0.12, 0.6),
    "dent": Kind(dent, 0.1, 0.4),
    "fibre": Kind(fibre, 0.1, 0.4, on_surface=False),
    "missing": Kind(missing, 0.1, 0.4, at_edge=True, on_surface=False),
    "shifted": Kind(shifted, 0.12, 0.45, on_surface=False),
}
KINDS: tuple[str, ...] = tuple(TABLE)

MIN_SIDE = 16
"""Below this many pixels a side no kind is recognisable."""
VISIBLE = 4
"""Levels of 255 by which a pixel must change, in any channel, to belong to the mask."""
NOTICED = 12
"""Levels by which at least a tenth of the mask must change, or the defect is drawn stronger."""
SHARES = (0.0002, 0.35)
"""Least and largest share of the image in the mask; else the defect is drawn again."""
CONTRASTS = (0.1, 0.6)
"""Faintest and strongest first try, log-uniform; the surface's grain comes on top."""
GROWTH = 1.3
ATTEMPTS = 24


@dataclass(frozen=True, eq=False)
class Damaged:
    """A damaged image: rgb uint8 H W 3; mask bool H W, True where it visibly changed; the kind."""

    rgb: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    kind: str


def damage(
    rgb: NDArray[np.uint8],
    kind: str,
    rng: np.random.Generator,
    *,
    donor: NDArray[np.uint8] | None = None,
) -> Damaged:
    """One defect of this kind in an image (uint8 H W 3), drawn at the image's own size.

    `donor` (uint8 of any size) is where foreign patches come from; default: the image itself.
    """
    entry = lookup(TABLE, kind, "kind of defect")
    _check(rgb, "image")
    if donor is not None:
        _check(donor, "donor")
    ground = find_ground(rgb)
    contrast = float(np.exp(rng.uniform(*np.log(CONTRASTS))))
    for _ in range(ATTEMPTS):
        window, drawn = _draw(rgb, entry, ground, rgb if donor is None else donor, contrast, rng)
        result = _paste(rgb, window, drawn, kind)
        if result is not None:
            return result
        contrast = min(contrast * GROWTH, 1.0)
    raise UsageError(
        f"no visible {kind} could be drawn on an image of {rgb.shape[1]} x {rgb.shape[0]} pixels "
        f"in {ATTEMPTS} attempts; use another kind or a larger image"
    )


def damage_any(
    rgb: NDArray[np.uint8],
    rng: np.random.Generator,
    kinds: Sequence[str] = KINDS,
    donor: NDArray[np.uint8] | None = None,
) -> Damaged:
    """One defect of a kind drawn from `kinds`, all equally likely."""
    if not kinds:
        raise UsageError("no kinds of defects given; name at least one of " + ", ".join(KINDS))
    return damage(rgb, kinds[int(rng.integers(len(kinds)))], rng, donor=donor)


def _draw(
    rgb: NDArray[np.uint8],
    kind: Kind,
    ground: Ground | None,
    donor: NDArray[np.uint8],
    contrast: float,
    rng: np.random.Generator,
) -> tuple[Window, Floats]:
    size = rgb.shape[0], rgb.shape[1]
    scale = scale_of(size)
    extent = np.exp(rng.uniform(np.log(kind.smallest), np.log(kind.largest)))
    side = max(8, round(float(extent) * scale))
    window = place(size, side, ground, kind.at_edge, rng)
    own_ground = ground if donor is rgb else None
    away = place((donor.shape[0], donor.shape[1]), side, own_ground, False, rng)
    here, there = look(rgb, window), np.rot90(look(donor, away), int(rng.integers(4)))
    site = Site(here, there, object_matte(here, window, ground), scale)
    drawn = kind.draw(site, rng, float(np.hypot(contrast, grain(here))))
    if kind.on_surface:
        drawn = here + site.surface[..., None] * (drawn - here)
    return window, drawn


def _paste(rgb: NDArray[np.uint8], window: Window, drawn: Floats, kind: str) -> Damaged | None:
    """The window in its place and the mask of it; None where that cannot be seen, or is all."""
    size = rgb.shape[0], rgb.shape[1]
    within = window.within(size)
    before = rgb[within]
    after = np.rint(np.clip(drawn[window.own(size)], 0, 1) * 255).astype(np.uint8)
    change = np.abs(after.astype(np.int16) - before).max(axis=2)
    part = _tidy(change > VISIBLE, scale_of(size))
    share = part.sum() / (size[0] * size[1])
    if part.sum() < 4 or not SHARES[0] <= share <= SHARES[1]:
        return None
    if np.percentile(change[part], 90) < NOTICED:
        return None
    result, mask = rgb.copy(), np.zeros(size, dtype=bool)
    # Faint changes far from the mask would be damage nobody is told of.
    near = ndimage.maximum_filter(part, 3)
    result[within] = np.where(near[..., None], after, before)
    mask[within] = part
    return Damaged(result, mask, kind)


def _tidy(changed: NDArray[np.bool_], scale: float) -> NDArray[np.bool_]:
    """Close the pinholes where old and new happen to agree, and drop stray pixels."""
    # In a small image nothing is closed: there the holes between specks are pixels too.
    size = 2 * min(round(scale * 0.004), 4) + 1
    closed = ndimage.minimum_filter(ndimage.maximum_filter(changed, size), size) | changed
    labels, count = ndimage.label(closed, np.ones((3, 3)))
    if count < 2:
        return closed
    areas = np.bincount(labels.ravel())
    areas[0] = 0
    return np.asarray(areas >= max(2, areas.max() / 100))[labels]


def _check(rgb: NDArray[np.uint8], name: str) -> None:
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8:
        raise UsageError(f"the {name} has shape {rgb.shape} and type {rgb.dtype}; give uint8 H W 3")
    if min(rgb.shape[:2]) < MIN_SIDE:
        raise UsageError(
            f"the {name} is {rgb.shape[1]} x {rgb.shape[0]} pixels; "
            f"a defect needs at least {MIN_SIDE} a side"
        )
