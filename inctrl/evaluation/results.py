"""What an evaluation found: one cell for each detector, category, number of shots and seed.

The same data, detectors and seeds give the same values on one machine with as many threads, and the
same to 1e-6 on others: each cell tells where it was computed. Times are kept apart (timings.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from inctrl.types import Fit, Options, Verdict
from inctrl.views import Orientation, Tiles, Views


@dataclass(frozen=True)
class Contender:
    """A detector as it took part.

    label        how tables call it; no two are equal
    fingerprint  of its backbone
    text_sha256  of the sentences of its text prior; None without one
    adapter      name of the adapter's folder, and the sha256 of its weights
    """

    label: str
    detector: str
    options: Options
    backbone: str
    fingerprint: str
    image_size: int
    layers: tuple[str, ...]
    fit: Fit
    text_prior: str
    adapter: str | None = None
    adapter_sha256: str | None = None
    text_sha256: str | None = None
    orientation: Orientation = "fixed"
    tiles: Tiles = 1

    @property
    def views(self) -> Views:
        """How it saw shots and queries."""
        return Views(self.orientation, self.tiles)


@dataclass(frozen=True)
class TestSet:
    """The test images of a category, in the order that the scores of its cells are in.

    images     names, told from the data set's folder
    anomalous  their labels
    kinds      kind of defect where the set names it, "good" or empty for normal images
    masks      whether pixels are evaluated
    normals    normal training images that shots are drawn from
    """

    __test__ = False  # pytest would take it for a test

    dataset: str
    category: str
    images: tuple[str, ...]
    anomalous: tuple[bool, ...]
    kinds: tuple[str, ...]
    masks: bool
    normals: int


@dataclass(frozen=True)
class Cell:
    """One detector on one category with the k shots of one seed.

    shots      names of the shots
    scores     one an image of the test set, higher is more anomalous
    p_values   one an image
    verdicts   one an image
    threshold  the calibrated limit of scores; infinite where there is none
    pixels     figures of the maps by key (maths/metrics.py), None where pixels are not evaluated
    bytes      size of what is kept of the shots (the packed context)
    machine    processor, threads and library that computed it
    """

    contender: str
    dataset: str
    category: str
    k: int
    seed: int
    shots: tuple[str, ...]
    scores: tuple[float, ...]
    p_values: tuple[float, ...]
    verdicts: tuple[Verdict, ...]
    threshold: float
    pixels: Mapping[str, float] | None
    bytes: int
    machine: str = ""


@dataclass(frozen=True, eq=False)
class Example:
    """A map worth looking at, of the largest k and first seed of a contender on a category.

    role   "found" (anomalous, among the highest), "missed" (anomalous, among the lowest), "alarm"
           (normal, among the highest)
    png    the overlay, at most 240 px a side
    """

    contender: str
    dataset: str
    category: str
    k: int
    seed: int
    image: str
    kind: str
    score: float
    threshold: float
    role: str
    png: bytes


@dataclass(frozen=True, eq=False)
class Evaluation:
    """All of it.

    alpha      wanted share of false alarms
    group_by   what shots and test images were not allowed to share, in words; empty: nothing
    protocol   name of a published protocol that this follows, or empty
    """

    contenders: tuple[Contender, ...]
    tests: tuple[TestSet, ...]
    shots: tuple[int, ...]
    seeds: tuple[int, ...]
    alpha: float
    cells: tuple[Cell, ...]
    examples: tuple[Example, ...] = ()
    group_by: str = ""
    protocol: str = ""
    notes: tuple[str, ...] = ()

    @property
    def machines(self) -> tuple[str, ...]:
        """Where its cells were computed, in order; several where it went on elsewhere."""
        return tuple(sorted({cell.machine for cell in self.cells if cell.machine}))
