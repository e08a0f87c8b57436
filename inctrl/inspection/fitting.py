"""From the shots of a product, seen in all their views, to its context and its limit."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from inctrl.images import Image
from inctrl.inspection.calibration import calibrate
from inctrl.inspection.fitted import FittedInspector
from inctrl.inspection.gathered import joined
from inctrl.inspection.inputs import NO_FEATURES, Shots, small_views
from inctrl.inspection.likeness import kind_of, unlike_shots
from inctrl.inspection.orientation import hints
from inctrl.inspection.photographs import copies_told, photographs
from inctrl.inspection.seen import Origins, Seen, refuse_views, see, settled, tiles
from inctrl.maths.tiles import Tiling
from inctrl.protocols import AnyPlace, Detector, TakesLoose
from inctrl.types import Features, Item
from inctrl.views import AS_THEY_ARE, Views

if TYPE_CHECKING:
    from inctrl.inspection.inspector import Inspector


def seeing(inspector: "Inspector", views: Views) -> Callable[[Image], Seen]:
    """What a shot is seen with; UsageError where the detector cannot use such views."""
    detector = inspector.detector
    if views == AS_THEY_ARE:
        return lambda image: _as_it_is(inspector, image)
    refuse_views(detector.name, _any_place(detector), inspector.fit_mode, views)
    loose = isinstance(detector, TakesLoose) and detector.takes_loose
    side = inspector.backbone.image_size
    return lambda image: see(image, views, side, inspector.encode, loose=loose)


def fit_features(inspector: "Inspector", shots: Shots, item: Item, views: Views) -> FittedInspector:
    """The context of shots that are seen so, calibrated on them alone."""
    seen = settled(shots.seen, shots.images)
    bank = joined([shot.bank for shot in seen]) if seen else NO_FEATURES
    context = inspector.detector.prepare(bank, item)
    names = [shot.name for shot in shots.images]
    groups = photographs(shots.images)
    distinct = [group[0] for group in groups]
    calibration = calibrate(
        inspector.detector,
        [seen[i] for i in distinct],
        item,
        inspector.alpha,
        views=lambda: _changed(inspector, shots.images[0], seen[0].tiling),
        names=tuple(names[i] for i in distinct),
    )
    kinds = [kind_of(shot, inspector.backbone.image_size) for shot in shots.images]
    told = (*shots.warnings, *unlike_shots(kinds, inspector.fit_mode), *copies_told(groups, names))
    if views.orientation == "fixed" and _any_place(inspector.detector):
        told += hints([shots.images[i] for i in distinct])
    return FittedInspector(
        inspector=inspector,
        context=context,
        calibration=replace(calibration, warnings=(*told, *calibration.warnings)),
        shots=shots.images,
        item=item.name,
        window=shots.window,
        views=views,
        origins=None if views == AS_THEY_ARE else Origins.of(seen, views),
    )


def _any_place(detector: Detector[Any]) -> bool:
    return isinstance(detector, AnyPlace) and detector.any_place


def _as_it_is(inspector: "Inspector", image: Image) -> Seen:
    features = inspector.encode_shots([image])
    return Seen(features, features, Tiling(image.size))


def _changed(inspector: "Inspector", shot: Image, tiling: Tiling) -> tuple[Features, list[int]]:
    """Features of the tiles of small changes of a shot, and how many each change has."""
    tiling, changed = replace(tiling, size=shot.size), small_views(shot)
    features = inspector.encode([tile for image in changed for tile in tiles(image, tiling)])
    return features, [len(tiling)] * len(changed)
