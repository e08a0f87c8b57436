"""The normal sets of a store, prepared by an inspector: each version once, and then reused.

registered = Registered(open_store(None), Inspector.load())
fitted = registered.fitted("bottle-cap")        # its latest version, or "bottle-cap@2"
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from inctrl.backbones.cache import FeatureCache
from inctrl.images import Image, Window, develop, digest
from inctrl.inspection.fitted import FittedInspector
from inctrl.inspection.inputs import SHOWN
from inctrl.inspection.inspector import Inspector
from inctrl.inspection.saved import Packed, pack, unpack
from inctrl.store import SetVersion, Store, parse_reference
from inctrl.types import Failure
from inctrl.version import __version__


def prune_features(store: Store) -> None:
    """Forget the features unused for longest, where they take more space than they may."""
    FeatureCache(store.features_folder).prune()


@dataclass(frozen=True, eq=False)
class Registered:
    """Sets of a store as seen by one inspector.

    Shots are encoded when a version is prepared for the first time; of a version that is known no
    shot is encoded. Queries leave nothing in the store.
    """

    store: Store
    inspector: Inspector

    def fitted(self, reference: str, *, alpha: float | None = None) -> FittedInspector:
        """A set by name, or a version of it by NAME@N; NotStored where there is none."""
        name, number = parse_reference(reference)
        return self.prepared(self.store.sets.get(name, number), alpha=alpha)

    def prepared(self, version: SetVersion, *, alpha: float | None = None) -> FittedInspector:
        """A version with its context, and the limit that confirmed defects leave it."""
        key = self.key(version)
        kept = self.store.contexts.get(key)
        if kept is None:
            inspector, pictures = self._caching, self.store.sets.pictures(version)
            item = inspector.describe(version.item)
            fitted = inspector.prepare(pictures, item, views=version.views)
            prune_features(self.store)
            packed = pack(fitted)
            index, tensors = packed.index, packed.tensors
            self.store.contexts.put(key, version.name, version.version, index, tensors)
        else:
            fitted = self._restore(version, Packed(*kept))
        defects = self._defects(version.name, key, fitted)
        calibration = replace(
            fitted.calibration, alpha=alpha or self.inspector.alpha, defects=defects
        )
        return replace(
            fitted, inspector=self.inspector, normal_set=version.reference, calibration=calibration
        )

    def key(self, version: SetVersion) -> str:
        """A hash of all that a context depends on."""
        about = (__version__, version.name, version.version, version.digest)
        return self.inspector.identity.key(*about)

    def _restore(self, version: SetVersion, packed: Packed) -> FittedInspector:
        def shots(window: Window | None) -> Sequence[Image]:
            pictures = self.store.sets.pictures(version)
            found = {image.sha256: image for image in (develop(p, window) for p in pictures)}
            kept = [found[sha256].bounded(SHOWN) for sha256 in packed.index["card"]["shots"]]
            return [replace(image, sha256=digest(image.rgb)) for image in kept]

        return unpack(self.inspector, packed, shots, version.reference)

    def _defects(self, name: str, key: str, fitted: FittedInspector) -> tuple[float, ...]:
        """Scores of the set's confirmed defects under a context, each computed once."""
        known = self.store.defect_scores.known(key)
        rows = [row for row in self.store.feedback.list(name) if row.shot and not row.undone]
        for row in rows:
            if row.sha256 in known:
                continue
            image = fitted.open(self.store.feedback.picture(row))
            if isinstance(image, Failure):
                continue  # this backbone cannot be shown the image
            layouts = [fitted.layout(image)]
            features = replace(fitted, inspector=self._caching).encode([image], layouts)
            [score], _ = fitted.scored(features, layouts)
            self.store.defect_scores.remember(key, row.sha256, score)
            known[row.sha256] = score
        return tuple(known[row.sha256] for row in rows if row.sha256 in known)

    @property
    def _caching(self) -> Inspector:
        """The inspector with the store's own cache of features."""
        return replace(self.inspector, cache=FeatureCache(self.store.features_folder))
