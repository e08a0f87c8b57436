"""What is read and encoded once for all detectors, shots and seeds: in memory, before the disk."""

from collections.abc import Callable, Iterable, Sequence

from inctrl.backbones.cache import Remembers
from inctrl.data.categories import Category
from inctrl.data.stored import Stored
from inctrl.evaluation.contenders import Entrant
from inctrl.images import Image, Window, shared_window
from inctrl.inspection.seen import tiling_for, turns_of
from inctrl.protocols import ComparesVersions
from inctrl.types import Features

HELD = 4 * 1024**3
"""Bytes of features held in memory; of more the rest is read from the disk each time."""
SHOWN = 1024**3
"""Bytes of pixels held in memory."""


class SharedFeatures:
    """A cache in memory before one on disk: the features of a category, for all that ask."""

    def __init__(self, disk: Remembers | None = None, limit: int = HELD) -> None:
        self._disk = disk
        self._limit = limit
        self._held: dict[str, Features] = {}
        self._bytes = 0

    @property
    def on_disk(self) -> bool:
        """Whether anything is remembered for the next run."""
        return self._disk is not None

    def read(self, key: str) -> Features | None:
        if key in self._held:
            return self._held[key]
        found = self._disk.read(key) if self._disk else None
        if found is not None:
            self._hold(key, found)
        return found

    def write(self, key: str, features: Features) -> None:
        self._hold(key, features)
        if self._disk:
            self._disk.write(key, features)

    def prune(self) -> None:
        if self._disk:
            self._disk.prune()

    def clear(self) -> None:
        """Let go of what is in memory: another category or another backbone comes."""
        self._held.clear()
        self._bytes = 0

    def _hold(self, key: str, features: Features) -> None:
        more = size_of(features)
        if key not in self._held and self._bytes + more <= self._limit:
            self._held[key] = features
            self._bytes += more


class DecodedImages:
    """Images of a category, decoded once while they fit in memory.

    deep   some have more than 8 bits: shots decide how all are shown, so that none is held
    """

    def __init__(self, deep: bool = False, limit: int = SHOWN) -> None:
        self._deep = deep
        self._limit = limit
        self._held: dict[Stored, Image] = {}
        self._bytes = 0

    def window(self, shots: Sequence[Stored]) -> Window | None:
        """The brightness window that the shots ask for, as `inctrl detect` finds it."""
        return shared_window([shot.decode() for shot in shots]) if self._deep else None

    def __call__(self, stored: Stored, window: Window | None) -> Image:
        if self._deep:
            return stored.open(window)
        if stored in self._held:
            return self._held[stored]
        image = stored.open()
        if self._bytes + image.rgb.nbytes <= self._limit:
            self._held[stored] = image
            self._bytes += image.rgb.nbytes
        return image


def size_of(features: Features) -> int:
    """Bytes of features, in memory and, but for a little, on disk."""
    tensors = (*features.patches, features.image, *features.windows, *features.versions)
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def groups(entrants: Iterable[Entrant]) -> list[list[Entrant]]:
    """The contenders by what they see: those of one group share all features."""
    found: dict[tuple[str, str], list[Entrant]] = {}
    for entrant in entrants:
        seen = (entrant.contender.fingerprint, entrant.contender.fit)
        found.setdefault(seen, []).append(entrant)
    return list(found.values())


def bytes_needed(
    entrants: Iterable[Entrant],
    categories: Sequence[Category],
    drawn: Callable[[Category], int],
) -> int:
    """About what a cache must hold for a second run to encode nothing.

    Told from one image of the first category, which each backbone encodes for it.

    drawn    how many different shots of a category the seeds draw
    """
    image = categories[0].test[0].image.open()
    total = 0
    for group in groups(entrants):
        first, views = group[0].inspector, group[0].views
        tiles = len(tiling_for(image.size, views, first.backbone.image_size))
        each = tiles * size_of(first.encode([image]))
        detectors = [entrant.inspector.detector for entrant in group]
        versions = max(
            (len(d.versions(image)) for d in detectors if isinstance(d, ComparesVersions)),
            default=0,
        )
        shown = turns_of(views) + versions
        total += sum(each * (len(c.test) + drawn(c) * shown) for c in categories)
    return total
