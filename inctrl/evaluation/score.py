"""One detector on one category with the k shots of one seed.

    draw -> fit on the shots alone -> score every test image -> p-values, figures of the maps

Test images are seen in `score_category` alone, when the detector is fitted and its limit set.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from inctrl.data.categories import Category
from inctrl.data.masks import read_mask
from inctrl.errors import InctrlError
from inctrl.evaluation.features import DecodedImages
from inctrl.evaluation.results import Cell, Example
from inctrl.inspection.fitted import FittedInspector
from inctrl.inspection.inputs import Shots, open_shots
from inctrl.inspection.inspector import Inspector
from inctrl.inspection.seen import Layout
from inctrl.machine import machine
from inctrl.maths.overlap import pixel_figures
from inctrl.types import Result
from inctrl.views import AS_THEY_ARE, Views

TOGETHER = 8
"""Test images that are scored in one call."""
EACH = 3
"""Examples of a role."""


@dataclass(frozen=True, eq=False)
class Scores:
    """Of each test image in its order: the score, and the maps t h w of its tiles.

    layouts   where its tiles lie
    doubted   what forbids that it is called normal
    seconds   spent in the detector
    """

    values: tuple[float, ...]
    maps: tuple[Tensor, ...]
    layouts: tuple[Layout, ...]
    doubted: tuple[tuple[str, ...], ...]
    seconds: float = 0.0


@dataclass(frozen=True, eq=False)
class Judged:
    """A detector fitted on k shots, and what it says of the test images.

    seconds   of preparing and calibrating, without those of the backbone
    """

    fitted: FittedInspector
    scores: Scores
    seconds: float


Draw: TypeAlias = Callable[[Result, FittedInspector], bytes]
"""A result as a picture, PNG."""
Scorer: TypeAlias = Callable[[FittedInspector, Category, DecodedImages, int], Scores]


def judge(
    inspector: Inspector,
    category: Category,
    k: int,
    seed: int,
    decoded: DecodedImages,
    score: "Scorer | None" = None,
    together: int = TOGETHER,
    views: Views = AS_THEY_ARE,
) -> Judged:
    """Fit on the k shots of a seed, then score the test images."""
    shots, item = draw_shots(inspector, category, k, seed, decoded, views), category.words
    described = inspector.describe(item)
    started, encoded = time.perf_counter(), _encoding(inspector)
    fitted = inspector.fit_features(shots, described, views)
    seconds = time.perf_counter() - started - (_encoding(inspector) - encoded)
    return Judged(fitted, (score or score_category)(fitted, category, decoded, together), seconds)


def draw_shots(
    inspector: Inspector,
    category: Category,
    k: int,
    seed: int,
    decoded: DecodedImages,
    views: Views = AS_THEY_ARE,
) -> Shots:
    """The k shots of a seed with their features, opened as `inctrl detect` opens them."""
    stored = [category.train[i] for i in category.draw(k, seed)]
    if not stored:
        return Shots((), (), None, ())
    window = decoded.window(stored)
    images = [decoded(shot, window) for shot in stored]
    for image in images:
        inspector.view(image)  # one that the fit cannot show is an error: k shots are wanted
    return open_shots(images, window, inspector.view, inspector.seeing(views))


def score_category(
    fitted: FittedInspector, category: Category, decoded: DecodedImages, together: int
) -> Scores:
    """Score the test images, some at a time; each is judged by itself."""
    values: list[float] = []
    maps: list[Tensor] = []
    layouts: list[Layout] = []
    doubted: list[tuple[str, ...]] = []
    seconds = 0.0
    for start in range(0, len(category.test), together):
        part = category.test[start : start + together]
        images = [decoded(sample.image, fitted.window) for sample in part]
        shown = [fitted.layout(image) for image in images]
        doubted += (image.doubts for image in images)
        features = fitted.encode(images, shown)
        started = time.perf_counter()
        scores, found = fitted.scored(features, shown)
        seconds += time.perf_counter() - started
        values, maps, layouts = values + scores, maps + found, layouts + shown
    return Scores(tuple(values), tuple(maps), tuple(layouts), tuple(doubted), seconds)


def cell_of(judged: Judged, contender: str, category: Category, k: int, seed: int) -> Cell:
    """What the evaluation keeps of it."""
    fitted, values = judged.fitted, judged.scores.values
    for sample, value in zip(category.test, values, strict=True):
        if not math.isfinite(value):
            raise InctrlError(
                f"the score of {category.short(sample.image)!r} is {value}, k={k}, seed {seed}: "
                "such scores rank nothing"
            )
    calibration = fitted.calibration
    packed = fitted.inspector.detector.pack(fitted.context)
    return Cell(
        contender=contender,
        dataset=category.dataset,
        category=category.name,
        k=k,
        seed=seed,
        shots=tuple(category.short(category.train[i]) for i in category.draw(k, seed)),
        scores=values,
        p_values=tuple(map(calibration.p_value, values)),
        verdicts=tuple(map(fitted.verdict, values, judged.scores.doubted)),
        threshold=calibration.threshold,
        pixels=_pixels(judged, category),
        bytes=sum(t.numel() * t.element_size() for t in packed.values()),
        machine=machine(),
    )


def examples_of(
    judged: Judged, cell: Cell, category: Category, decoded: DecodedImages, draw: Draw
) -> list[Example]:
    """The maps worth looking at: the surest finds, the worst misses and the worst false alarms."""

    def pictured(row: int) -> Result:
        [result] = judged.fitted.inspect([decoded(category.test[row].image, judged.fitted.window)])
        return result

    return [
        Example(
            contender=cell.contender,
            dataset=cell.dataset,
            category=cell.category,
            k=cell.k,
            seed=cell.seed,
            image=category.short(category.test[row].image),
            kind=category.test[row].kind,
            score=cell.scores[row],
            threshold=cell.threshold,
            role=role,
            png=draw(pictured(row), judged.fitted),
        )
        for role, row in _chosen(cell.scores, [sample.anomalous for sample in category.test])
    ]


def _chosen(scores: tuple[float, ...], anomalous: list[bool]) -> Iterator[tuple[str, int]]:
    """(role, row): none is both among the highest and among the lowest; ties go by the order."""
    falling = sorted(range(len(scores)), key=lambda row: (-scores[row], row))
    bad = [row for row in falling if anomalous[row]]
    good = [row for row in falling if not anomalous[row]]
    found = bad[:EACH]
    missed = [row for row in reversed(bad) if row not in found][:EACH]
    for role, rows in (("found", found), ("missed", missed), ("alarm", good[:EACH])):
        yield from ((role, row) for row in rows)


def _pixels(judged: Judged, category: Category) -> dict[str, float] | None:
    """Figures of the maps at the size of the images, where there are masks and a place to show."""
    if not (category.has_masks and judged.fitted.inspector.detector.localises):
        return None
    if not all(bool(values.isfinite().all()) for values in judged.scores.maps):
        raise InctrlError(
            f"a map of {category.name!r} is not finite; nothing can be measured on it"
        )
    figures = pixel_figures(_pairs(judged.scores, category))
    return {key: value for key, value in figures.items() if value is not None}


def _pairs(
    scores: Scores, category: Category
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.bool_]]]:
    """Each map with its mask, both at the size of the image."""
    for sample, values, layout in zip(category.test, scores.maps, scores.layouts, strict=True):
        full = layout.to_source(values).cpu().numpy()
        yield full, read_mask(sample, (full.shape[0], full.shape[1]))


def _encoding(inspector: Inspector) -> float:
    """Seconds that its backbone has worked so far."""
    return inspector.tally.seconds if inspector.tally else 0.0
