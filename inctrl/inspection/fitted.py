"""An inspector with the normal shots of one product: what answers for queries."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from itertools import groupby, islice
from typing import TYPE_CHECKING, Any

from inctrl.errors import UnreadableImage
from inctrl.images import Image, Picture, Window
from inctrl.inspection.calibration import Calibration
from inctrl.inspection.inputs import Input, open_query, opened
from inctrl.inspection.likeness import kind_of, unlike_query
from inctrl.inspection.looks import Looks
from inctrl.maths.regions import components
from inctrl.protocols import Explains, WeighsText
from inctrl.types import (
    Box,
    Card,
    Evidence,
    Failure,
    Features,
    Match,
    Prediction,
    Region,
    Result,
    Verdict,
)
from inctrl.version import __version__

if TYPE_CHECKING:
    from inctrl.inspection.inspector import Inspector

WHOLE = "the detector judges the image as a whole: the map says nothing of where"


@dataclass(frozen=True, eq=False)
class FittedInspector:
    """An inspector with the normal shots of one product; `inspect` answers for queries.

    seen   what a copy with the same shots knows of them already
    """

    inspector: "Inspector"
    context: Any
    calibration: Calibration
    shots: tuple[Image, ...]
    item: str
    window: Window | None = None
    normal_set: str | None = None
    seen: Looks | None = None

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

    def score(self, features: Features) -> Prediction:
        """Raw scores and grid maps of encoded queries, for evaluation."""
        return self.inspector.detector.score(features, self.context)

    def open(self, query: Image | Picture | Failure) -> Image | Failure:
        """A query as it will be shown to the backbone."""
        if isinstance(query, Failure):
            return query
        return open_query(query, self.window, self.inspector.view, shots=bool(self.shots))

    def results(
        self, images: Sequence[Image], features: Features, seconds: Mapping[str, float]
    ) -> list[Result]:
        """Results of encoded queries; `seconds` are those spent on each so far."""
        started = time.perf_counter()
        prediction = self.score(features)
        spent = {**seconds, "score": (time.perf_counter() - started) / len(images)}
        return [
            self._result(image, features[row : row + 1], prediction, row, spent)
            for row, image in enumerate(images)
        ]

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
        features: Features,
        prediction: Prediction,
        row: int,
        seconds: Mapping[str, float],
    ) -> Result:
        started = time.perf_counter()
        calibration, compared = self.calibration, self._compared(image)
        score = float(prediction.score[row])
        grid = prediction.anomaly_map[row]
        pixels = self.inspector.view(image).to_source(grid).numpy()
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
            evidence=self._evidence(image, features, prediction, row),
            notes=(*image.notes, *compared, *([] if localises else [WHOLE])),
            compared=compared,
            timing={**seconds, "map": time.perf_counter() - started},
        )

    def verdict(self, score: float, doubts: Sequence[str]) -> Verdict:
        """Not "normal" where something of the image was not compared with the shots."""
        found = self.calibration.judge(score)
        return "undecided" if found == "normal" and doubts else found

    def _evidence(
        self, image: Image, features: Features, prediction: Prediction, row: int
    ) -> Evidence | None:
        detector = self.inspector.detector
        if not isinstance(detector, Explains) or not self.shots:
            return None
        values = prediction.anomaly_map[row]
        cell = divmod(int(values.argmax()), values.shape[1])
        match: Match = detector.nearest(features, self.context, cell)
        shot = self.shots[match.shot]
        return Evidence(
            query_box=Box(*self.inspector.view(image).cell_box(*match.query, match.grid)),
            shot=match.shot,
            shot_name=shot.name,
            shot_box=Box(*self.inspector.view(shot).cell_box(match.row, match.column, match.grid)),
            distance=float(values.max()),
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


def inspect_together(
    queries: Sequence[tuple[FittedInspector, Image | Picture | Failure]], reading: float = 0.0
) -> list[Result | Failure]:
    """Outcomes of queries whose inspectors see alike: encoded as one batch, scored set by set.

    reading   seconds that each took to be decoded
    """
    started = time.perf_counter()
    images = [fitted.open(query) for fitted, query in queries]
    usable = [
        (fitted, image)
        for (fitted, _), image in zip(queries, images, strict=True)
        if isinstance(image, Image)
    ]
    read = time.perf_counter()
    if not usable:
        return [failure for failure in images if isinstance(failure, Failure)]
    features = usable[0][0].inspector.encode([image for _, image in usable])
    seconds = {
        "read": reading + (read - started) / len(queries),
        "encode": (time.perf_counter() - read) / len(usable),
    }
    results: list[Result] = []
    for _, group in groupby(usable, key=lambda pair: id(pair[0])):
        part, at = list(group), len(results)
        own = features[at : at + len(part)]
        results += part[0][0].results([image for _, image in part], own, seconds)
    scored = iter(results)
    return [image if isinstance(image, Failure) else next(scored) for image in images]
