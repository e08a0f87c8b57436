"""The one path: images -> features -> residuals -> score -> verdict.

    inspector = Inspector.load("tiny")            # weights
    fitted = inspector.fit(normal_images)         # a product: context and calibration
    for result in fitted.inspect(query_images):   # answers
        print(result.name, result.verdict, result.score)

The command line, the evaluation and every page walk this path, so that an image has the same
score by each of them.
"""

import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

from inctrl import __version__
from inctrl.adapters import file as adapter_file
from inctrl.backbones import load_backbone
from inctrl.backbones.features import FeatureCache, encode, open_cache
from inctrl.calibration import Calibration, calibrate, worst_cells
from inctrl.data.views import small_views
from inctrl.detectors import build_detector
from inctrl.errors import UnreadableImage, UsageError
from inctrl.images import Image, Picture, Source, Window, decode, develop, shared_window
from inctrl.maths.geometry import View
from inctrl.maths.regions import components
from inctrl.prompting import load_bank, prototypes
from inctrl.protocols import Backbone, Detector, Explains
from inctrl.registry import unknown
from inctrl.types import (
    Box,
    Card,
    Evidence,
    Failure,
    Features,
    Fit,
    Item,
    Match,
    Options,
    Prediction,
    Region,
    Result,
)

logger = logging.getLogger("inctrl")
FITS: tuple[Fit, ...] = ("squash", "crop", "pad")
Input: TypeAlias = Source | Image
"""What may be inspected: anything that can be read as an image, or an image already read."""


@dataclass(frozen=True, eq=False)
class Inspector:
    """A backbone, a detector and the way images are shown to them; it holds no product."""

    backbone: Backbone
    detector: Detector[Any]
    fit_mode: Fit = "squash"
    alpha: float = 0.05
    cache: FeatureCache | None = None
    batch: int = 8
    adapter: str | None = None
    bank: str = "inctrl"

    @classmethod
    def load(
        cls,
        backbone: str | None = None,
        *,
        detector: str | None = None,
        adapter: str | None = None,
        options: Options | None = None,
        fit: Fit | None = None,
        alpha: float = 0.05,
        image_size: int | None = None,
        layers: Sequence[str] | None = None,
        device: str = "auto",
        cache: str | Path | None = None,
        batch: int = 8,
        allow_network: bool = False,
    ) -> "Inspector":
        """Load everything by name.

        backbone   `tiny` (default), `openclip:...`, `hf:...` or `cnn:...`
        detector   default: `inctrl` where an adapter is given, else the training-free `incontext`
        fit        `squash` (the whole image), `crop` (CLIP's centre crop) or `pad`
        adapter    name or folder; what it records stands in for arguments not given
        alpha      wanted share of normal images called anomalous, in (0, 0.5]
        cache      folder of remembered features; None: the user's cache folder; "off": none
        """
        if not 0 < alpha <= 0.5:
            raise UsageError(f"alpha {alpha:g} is not in (0, 0.5]; 0.05 means 1 false alarm in 20")
        if batch < 1:
            raise UsageError(f"batch {batch} is not a positive number of images")
        path = adapter_file.find(adapter) if adapter else None
        trained = adapter_file.read_config(path) if path else None
        chosen: Fit = fit or (trained.fit if trained else "squash")
        if chosen not in FITS:
            raise unknown(chosen, FITS, "fit")
        loaded = load_backbone(
            backbone or (trained.backbone if trained else "tiny"),
            image_size=image_size or (trained.image_size if trained else None),
            layers=layers or (trained.layers if trained else None),
            device=device,
            allow_network=allow_network,
        )
        return cls(
            backbone=loaded,
            detector=build_detector(
                detector or ("inctrl" if path else "incontext"),
                {name: str(value) for name, value in (options or {}).items()},
                adapter_file.load(path, loaded) if path else None,
            ),
            fit_mode=chosen,
            alpha=alpha,
            cache=open_cache(cache),
            batch=batch,
            adapter=path.name if path else None,
        )

    def fit(
        self, normals: Iterable[Input], *, item: str = "object", window: Window | None = None
    ) -> "FittedInspector":
        """Prepare a context from k >= 1 normal images and calibrate it on them alone.

        An unreadable image is left out with a warning, an equal one counts once; UsageError
        where none is left. `window` is for images of more than 8 bits (default: from the shots).
        """
        shots, window, warnings = _open_shots(normals, window)
        features = self.encode(shots)
        about = self.describe(item)
        calibration = calibrate(
            self.detector,
            features,
            about,
            self.alpha,
            views=lambda: self.encode(small_views(shots[0])),
            names=tuple(shot.name for shot in shots),
        )
        calibration = replace(calibration, warnings=(*warnings, *calibration.warnings))
        for warning in calibration.warnings:
            logger.warning("%s", warning)
        return FittedInspector(
            inspector=self,
            context=self.detector.prepare(features, about),
            calibration=calibration,
            shots=tuple(shots),
            item=item,
            window=window,
        )

    def encode(self, images: Sequence[Image]) -> Features:
        """Features of images, remembered ones from the cache."""
        return encode(self.backbone, images, self.fit_mode, self.cache, self.batch)

    def describe(self, item: str) -> Item:
        """The item, with its text prototypes if detector and backbone use text."""
        if not (self.detector.uses_text and self.backbone.has_text):
            return Item(item)
        return Item(item, prototypes(self.backbone, load_bank(self.bank), item).cpu())

    @property
    def text_prior(self) -> str:
        """Whether a text prior takes part, in words."""
        if not self.backbone.has_text:
            return f"off: backbone {self.backbone.name!r} has no text tower"
        return f"bank {self.bank!r}" if self.detector.uses_text else "off: not used by the detector"


@dataclass(frozen=True, eq=False)
class FittedInspector:
    """An inspector with the normal shots of one product; `inspect` answers for queries."""

    inspector: Inspector
    context: Any
    calibration: Calibration
    shots: tuple[Image, ...]
    item: str
    window: Window | None = None

    def inspect(self, queries: Iterable[Input]) -> list[Result]:
        """One result for each query; the first unreadable one raises UnreadableImage."""
        results = []
        for outcome in self.stream(queries):
            if isinstance(outcome, Failure):
                raise UnreadableImage(outcome.error)
            results.append(outcome)
        return results

    def stream(self, queries: Iterable[Input]) -> Iterator[Result | Failure]:
        """An outcome for each query in order, as soon as its batch is done.

        A query that cannot be read becomes a Failure and the others go on.
        """
        waiting = iter(queries)
        while chunk := list(islice(waiting, self.inspector.batch)):
            yield from self._inspect_chunk(chunk)

    def score(self, features: Features) -> Prediction:
        """Raw scores and grid maps of encoded queries, for evaluation."""
        return self.inspector.detector.score(features, self.context)

    @property
    def card(self) -> Card:
        """The identity of all that makes a result."""
        inspector = self.inspector
        return Card(
            inctrl=__version__,
            backbone=inspector.backbone.name,
            fingerprint=inspector.backbone.fingerprint,
            detector=inspector.detector.name,
            options=inspector.detector.options,
            image_size=inspector.backbone.image_size,
            layers=inspector.backbone.layers,
            adapter=inspector.adapter,
            item=self.item,
            fit=inspector.fit_mode,
            shots=tuple(shot.sha256 for shot in self.shots),
            shot_names=tuple(shot.name for shot in self.shots),
            window=(self.window.low, self.window.high) if self.window else None,
            text_prior=inspector.text_prior,
        )

    def _inspect_chunk(self, chunk: Sequence[Input]) -> Iterator[Result | Failure]:
        started = time.perf_counter()
        opened = [self._open(query) for query in chunk]
        images = [image for image in opened if isinstance(image, Image)]
        read = time.perf_counter()
        if not images:
            yield from (failure for failure in opened if isinstance(failure, Failure))
            return
        features = self.inspector.encode(images)
        encoded = time.perf_counter()
        prediction = self.score(features)
        scored = time.perf_counter()
        seconds = {
            "read": (read - started) / len(chunk),
            "encode": (encoded - read) / len(images),
            "score": (scored - encoded) / len(images),
        }
        row = 0
        for image in opened:
            if isinstance(image, Failure):
                yield image
            else:
                yield self._result(image, features[row : row + 1], prediction, row, seconds)
                row += 1

    def _open(self, query: Input) -> Image | Failure:
        try:
            image = query if isinstance(query, Image) else develop(decode(query), self.window)
            self._view(image)
        except UnreadableImage as error:
            name = str(query) if isinstance(query, str | Path) else "query"
            return Failure(name=name, error=str(error))
        return image

    def _result(
        self,
        image: Image,
        features: Features,
        prediction: Prediction,
        row: int,
        seconds: dict[str, float],
    ) -> Result:
        started = time.perf_counter()
        calibration = self.calibration
        score = float(prediction.score[row])
        grid = prediction.anomaly_map[row]
        pixels = self._view(image).to_source(grid).numpy()
        regions = tuple(
            Region(Box(*part.box), part.peak, part.area / pixels.size)
            for part in components(pixels, calibration.pixel_limit)
        )
        return Result(
            image=image,
            score=score,
            threshold=calibration.threshold,
            p_value=calibration.p_value(score),
            p_floor=calibration.p_floor,
            verdict=calibration.judge(score),
            anomaly_map=pixels,
            pixel_limit=calibration.pixel_limit,
            regions=regions,
            evidence=self._evidence(image, features, prediction, row),
            notes=(*image.notes, *self._same_as_shot(image)),
            timing={**seconds, "map": time.perf_counter() - started},
        )

    def _evidence(
        self, image: Image, features: Features, prediction: Prediction, row: int
    ) -> Evidence | None:
        detector = self.inspector.detector
        if not isinstance(detector, Explains):
            return None
        cell = worst_cells(prediction)[row]
        grid = (prediction.anomaly_map.shape[1], prediction.anomaly_map.shape[2])
        match: Match = detector.nearest(features, self.context, cell)
        shot = self.shots[match.shot]
        return Evidence(
            query_box=Box(*self._view(image).cell_box(*cell, grid)),
            shot=match.shot,
            shot_name=shot.name,
            shot_box=Box(*self._view(shot).cell_box(match.row, match.column, grid)),
            distance=match.distance,
            normal_distance=self.calibration.normal_distance,
        )

    def _view(self, image: Image) -> View:
        return self.inspector.backbone.view(image, self.inspector.fit_mode)

    def _same_as_shot(self, image: Image) -> tuple[str, ...]:
        for shot in self.shots:
            if shot.sha256 == image.sha256:
                return (
                    f"this image is also the normal shot {shot.name!r}: its score says nothing",
                )
        return ()


def _open_shots(
    normals: Iterable[Input], window: Window | None
) -> tuple[list[Image], Window | None, list[str]]:
    """The distinct readable shots, the brightness window they share, and what was left out."""
    warnings: list[str] = []
    opened: list[Image | Picture] = []
    for normal in normals:
        try:
            opened.append(normal if isinstance(normal, Image) else decode(normal))
        except UnreadableImage as error:
            warnings.append(f"normal image left out: {error}")
    if not opened:
        reason = f" ({warnings[0]})" if warnings else ""
        raise UsageError(f"no normal image can be used; give at least one{reason}")
    window = window or shared_window([p for p in opened if isinstance(p, Picture)])
    distinct: dict[str, Image] = {}
    for entry in opened:
        image = entry if isinstance(entry, Image) else develop(entry, window)
        first = distinct.setdefault(image.sha256, image)
        if first is not image:
            warnings.append(
                f"shot {image.name!r} is the same image as {first.name!r}: counted once"
            )
    return list(distinct.values()), window, warnings
