"""An inspector with the normal shots of one product: what answers for queries."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from itertools import groupby, islice
from typing import TYPE_CHECKING, Any

from torch import Tensor

from inctrl.errors import UnreadableImage
from inctrl.identity import Card
from inctrl.images import Image, Picture, Window
from inctrl.inspection.calibration import Calibration
from inctrl.inspection.inputs import Input, open_query, opened
from inctrl.inspection.likeness import kind_of, unlike_query
from inctrl.inspection.looks import Looks
from inctrl.inspection.seen import Layout, Origins, score_rows, tiles, tiling_for
from inctrl.maths.regions import components
from inctrl.protocols import Explains, WeighsText
from inctrl.types import (
    Box,
    Evidence,
    Failure,
    Features,
    Match,
    Region,
    Result,
    Verdict,
)
from inctrl.version import __version__
from inctrl.views import AS_THEY_ARE, Orientation, Tiles, Views

if TYPE_CHECKING:
    from inctrl.inspection.inspector import Inspector

ENCODED = 64
"""Tiles of several queries that are encoded before any is scored; one query may have more."""
WHOLE = "the detector judges the image as a whole: the map says nothing of where"


@dataclass(frozen=True, eq=False)
class FittedInspector:
    """An inspector with the normal shots of one product; `inspect` answers for queries.

    seen      what a copy with the same shots knows of them already
    views     how shots and queries are seen
    origins   where the patches of the shots are from; None: each from its place in a whole shot
    """

    inspector: "Inspector"
    context: Any
    calibration: Calibration
    shots: tuple[Image, ...]
    item: str
    window: Window | None = None
    normal_set: str | None = None
    seen: Looks | None = None
    views: Views = AS_THEY_ARE
    origins: Origins | None = None

    def inspect(self, queries: Iterable[Input]) -> list[Result]:
        """One result for each image, in order; the first unreadable one raises UnreadableImage.

        A file that holds several gives one for each, named FILE#1, FILE#2. All are kept, pictures
        and maps: for many images `stream` needs far less memory.
        """
        results = []
        for outcome in self.stream(queries):
            if isinstance(outcome, Failure):
                raise UnreadableImage(outcome.error)
            results.append(outcome)
        return results

    def stream(self, queries: Iterable[Input]) -> Iterator[Result | Failure]:
        """An outcome for each image in order, as soon as its batch is done.

        One that cannot be read becomes a Failure and the others go on.
        """
        waiting = opened(queries, self.inspector.frame)
        started = time.perf_counter()
        while chunk := list(islice(waiting, self.inspector.batch)):
            read = (time.perf_counter() - started) / len(chunk)
            yield from inspect_together([(self, query) for query in chunk], read)
            started = time.perf_counter()

    def with_alpha(self, alpha: float | None) -> "FittedInspector":
        """The same at another wanted share of false alarms, where one is asked for."""
        if alpha is None or alpha == self.calibration.alpha:
            return self
        return replace(self, calibration=replace(self.calibration, alpha=alpha), seen=self.looks)

    @cached_property
    def looks(self) -> Looks:
        """The shots as photographs, with which queries are compared as such."""
        inspector = self.inspector
        return self.seen or Looks(self.shots, inspector.backbone.preprocessing, inspector.view)

    @property
    def orientation(self) -> Orientation:
        """`any` where the shots are turned too."""
        return self.views.orientation

    @property
    def tiles(self) -> Tiles:
        """In how many an image is seen along its longer side, or `auto`."""
        return self.views.tiles

    def layout(self, image: Image) -> Layout:
        """The tiles in which a query is seen."""
        tiling = tiling_for(image.size, self.views, self.inspector.backbone.image_size)
        return Layout.of(image, tiling, self.inspector.view)

    def encode(self, images: Sequence[Image], layouts: Sequence[Layout]) -> Features:
        """Features of queries, a row a tile."""
        pairs = zip(images, layouts, strict=True)
        return self.inspector.encode([t for im, layout in pairs for t in tiles(im, layout.tiling)])

    def scored(
        self, features: Features, layouts: Sequence[Layout]
    ) -> tuple[list[float], list[Tensor]]:
        """Raw scores of encoded queries, and their maps t h w on the grids of their tiles."""
        counts = [len(layout.tiling) for layout in layouts]
        scores, rows = score_rows(self.inspector.detector, features, self.context, counts)
        return scores.tolist(), list(rows.anomaly_map.split(counts))

    def open(self, query: Image | Picture | Failure) -> Image | Failure:
        """A query as it will be shown to the backbone."""
        if isinstance(query, Failure):
            return query
        return open_query(query, self.window, self.inspector.view, shots=bool(self.shots))

    def results(
        self,
        images: Sequence[Image],
        layouts: Sequence[Layout],
        features: Features,
        seconds: Mapping[str, float],
    ) -> list[Result]:
        """Results of encoded queries; `seconds` are those spent on each so far."""
        started = time.perf_counter()
        scores, maps = self.scored(features, layouts)
        spent = {**seconds, "score": (time.perf_counter() - started) / len(images)}
        results, row = [], 0
        for image, layout, score, own in zip(images, layouts, scores, maps, strict=True):
            rows, row = features[row : row + len(own)], row + len(own)
            results.append(self._result(image, layout, rows, score, own, spent))
        return results

    @property
    def card(self) -> Card:
        """The identity of all that makes a result."""
        return Card(
            inctrl=__version__,
            **asdict(self.inspector.identity),
            item=self.item,
            shots=tuple(shot.sha256 for shot in self.shots),
            shot_names=tuple(shot.name for shot in self.shots),
            window=(self.window.low, self.window.high) if self.window else None,
            text_weight=self._text_weight,
            normal_set=self.normal_set,
            orientation=self.orientation,
            tiles=self.tiles,
        )

    @property
    def _text_weight(self) -> float | None:
        detector = self.inspector.detector
        if not (isinstance(detector, WeighsText) and detector.uses_text and self.context):
            return None
        return detector.text_weight(self.context) if self.inspector.backbone.has_text else None

    def _result(
        self,
        image: Image,
        layout: Layout,
        features: Features,
        score: float,
        maps: Tensor,
        seconds: Mapping[str, float],
    ) -> Result:
        started = time.perf_counter()
        calibration, compared = self.calibration, self._compared(image)
        joined = layout.to_source(maps)
        pixels = joined.numpy()
        localises = self.inspector.detector.localises
        regions = tuple(
            Region(Box(*part.box), part.peak, part.area / pixels.size)
            for part in components(pixels, calibration.pixel_limit)
            if localises
        )
        return Result(
            image=image,
            score=score,
            threshold=calibration.threshold,
            p_value=calibration.p_value(score),
            p_floor=calibration.p_floor,
            verdict=self.verdict(score, image.doubts),
            anomaly_map=pixels,
            pixel_limit=calibration.pixel_limit,
            regions=regions,
            evidence=self._evidence(layout, features, maps, joined),
            notes=(*image.notes, *compared, *([] if localises else [WHOLE])),
            compared=compared,
            timing={**seconds, "map": time.perf_counter() - started},
        )

    def verdict(self, score: float, doubts: Sequence[str]) -> Verdict:
        """Not "normal" where something of the image was not compared with the shots."""
        found = self.calibration.judge(score)
        return "undecided" if found == "normal" and doubts else found

    def _evidence(
        self, layout: Layout, features: Features, maps: Tensor, joined: Tensor
    ) -> Evidence | None:
        detector = self.inspector.detector
        if not isinstance(detector, Explains) or not self.shots:
            return None
        tile, cell = layout.worst(maps, joined)
        match: Match = detector.nearest(features[tile : tile + 1], self.context, cell)
        origins = self.origins or Origins.whole(len(self.shots))
        number, box = origins.place(match, self.shots, self.inspector.view)
        return Evidence(
            query_box=layout.cell_box(tile, *match.query, match.grid),
            shot=number,
            shot_name=self.shots[number].name,
            shot_box=box,
            distance=float(maps[tile][cell]),
            normal_distance=self.calibration.normal_peak,
        )

    def _compared(self, image: Image) -> tuple[str, ...]:
        """Notes on what an image has in common with the shots, or has not."""
        kind = kind_of(image, self.inspector.backbone.image_size)
        unlike = unlike_query(kind, self.looks.kinds, self.inspector.fit_mode)
        # What is marked beyond the window, or of another depth, would be called darker or blurred.
        looks = () if image.doubts else self.looks.note(image)
        return (*unlike, *self._same_as_shot(image), *looks)

    def _same_as_shot(self, image: Image) -> tuple[str, ...]:
        note = "this image is also the normal shot {!r}: its score says nothing"
        same = (shot.name for shot in self.shots if shot.sha256 == image.sha256)
        return tuple(note.format(name) for name in islice(same, 1))


Usable = tuple[FittedInspector, Image, Layout]


def inspect_together(
    queries: Sequence[tuple[FittedInspector, Image | Picture | Failure]], reading: float = 0.0
) -> list[Result | Failure]:
    """Outcomes of queries whose inspectors see alike: encoded as one batch, scored set by set.

    reading   seconds that each took to be decoded
    """
    started = time.perf_counter()
    images = [fitted.open(query) for fitted, query in queries]
    usable = [
        (fitted, image, fitted.layout(image))
        for (fitted, _), image in zip(queries, images, strict=True)
        if isinstance(image, Image)
    ]
    read = reading + (time.perf_counter() - started) / len(queries)
    results = (result for part in _parts(usable) for result in _encoded_together(part, read))
    return [image if isinstance(image, Failure) else next(results) for image in images]


def _parts(usable: Sequence[Usable]) -> Iterator[list[Usable]]:
    """In their order, so few together that their tiles' features fit in memory; all, if whole."""
    part: list[Usable] = []
    count = 0
    for one in usable:
        more = len(one[2].tiling)
        if part and count + more > ENCODED:
            yield part
            part, count = [], 0
        part.append(one)
        count += more
    if part:
        yield part


def _encoded_together(part: Sequence[Usable], read: float) -> Iterator[Result]:
    started = time.perf_counter()
    shown = [tile for _, image, layout in part for tile in tiles(image, layout.tiling)]
    features = part[0][0].inspector.encode(shown)
    seconds = {"read": read, "encode": (time.perf_counter() - started) / len(part)}
    row = 0
    for _, group in groupby(part, key=lambda one: id(one[0])):
        own = list(group)
        images, layouts = [image for _, image, _ in own], [layout for _, _, layout in own]
        rows = sum(len(layout.tiling) for layout in layouts)
        yield from own[0][0].results(images, layouts, features[row : row + rows], seconds)
        row += rows
