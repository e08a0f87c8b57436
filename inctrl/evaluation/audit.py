"""Leak detector: score again with something changed that no score may depend on.

A score may depend on the shots and on the query, and on nothing else: not on labels or masks, not
on which queries come before it or with it. Each check changes one of these and goes the way of
the evaluation again, from the drawing of the shots on; scores, maps and limit must not move.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from torch import Tensor

from inctrl.data.categories import Category, Sample
from inctrl.errors import InctrlError
from inctrl.evaluation.contenders import Entrant
from inctrl.evaluation.content import Content
from inctrl.evaluation.features import DecodedImages, SharedFeatures
from inctrl.evaluation.plan import Plan
from inctrl.evaluation.score import TOGETHER, Judged, Scorer, judge, score_category
from inctrl.inspection.inspector import Inspector
from inctrl.views import AS_THEY_ARE, Views

TOLERANCE = 1e-5
"""How far a score (map, limit) may move, as a share of the largest: rounding moves it less."""
IMAGES = 40
"""Test images of a category that are looked at, evenly chosen."""
OTHER_BATCHES = (1, 5)
"""Sizes that the evaluation does not use."""


@dataclass(frozen=True)
class Finding:
    """How far a check moved the scores of a contender on a category.

    moved   the largest movement, as a share of the largest score (map value, limit)
    where   the image that it is of
    fault   why the check could not be made, or empty
    """

    contender: str
    category: str
    check: str
    moved: float
    where: str
    fault: str = ""

    @property
    def passed(self) -> bool:
        return not self.fault and self.moved <= TOLERANCE


@dataclass(frozen=True, eq=False)
class _Way:
    """The way of the evaluation, and the parts of it that checks exchange."""

    inspector: Inspector
    category: Category
    k: int
    seed: int
    decoded: DecodedImages
    score: Scorer
    together: int = TOGETHER
    views: Views = AS_THEY_ARE

    def go(self) -> Judged:
        return judge(
            self.inspector,
            self.category,
            self.k,
            self.seed,
            self.decoded,
            self.score,
            self.together,
            self.views,
        )


Seen: TypeAlias = dict[str, tuple[float, Tensor]]
"""By image: its score and its map."""


def audit(
    plan: Plan,
    contents: tuple[Content, ...],
    features: SharedFeatures,
    score: Scorer = score_category,
) -> Iterator[Finding]:
    """Every check for every contender and category, with the fewest shots of the first seed.

    features   what all contenders remember with
    score      what is under suspicion, besides the detectors: the evaluation's own
    """
    for category, content in zip(plan.categories, contents, strict=True):
        features.clear()
        for entrant in plan.entrants:
            yield from _audit_one(plan, entrant, category, content, score)


def _audit_one(
    plan: Plan, entrant: Entrant, category: Category, content: Content, score: Scorer
) -> Iterator[Finding]:
    rows = np.unique(np.linspace(0, len(category.test) - 1, IMAGES).round().astype(int))
    chosen = replace(category, test=tuple(category.test[i] for i in rows))
    decoded = DecodedImages(content.deep)
    k, seed, views = min(plan.shots), plan.seeds[0], entrant.views
    way = _Way(entrant.inspector, chosen, k, seed, decoded, score, views=views)
    label, name = entrant.contender.label, f"{category.dataset}/{category.name}"
    try:
        first = way.go()
        for check, vary in CHECKS.items():
            moved, where = max(_moved(way, first, other) for other in vary(way, first))
            yield Finding(label, name, check, moved, where)
    except InctrlError as error:
        yield Finding(label, name, "all", math.inf, "", str(error))


def _again(way: _Way, _: Judged) -> Iterator[tuple[Category, Judged]]:
    yield way.category, way.go()


def _labels(way: _Way, _: Judged) -> Iterator[tuple[Category, Judged]]:
    """Dealt out anew, then each turned round: one of the two changes whatever labels could do."""
    test = way.category.test
    dealt = [test[i] for i in np.random.default_rng(0).permutation(len(test))]
    turned = [replace(sample, anomalous=not sample.anomalous) for sample in test]
    for others in (dealt, turned):
        pairs = zip(test, others, strict=True)
        yield from _with_test(
            way, [replace(s, anomalous=o.anomalous, kind=o.kind) for s, o in pairs]
        )


def _order(way: _Way, _: Judged) -> Iterator[tuple[Category, Judged]]:
    test = way.category.test
    yield from _with_test(way, [test[i] for i in np.random.default_rng(1).permutation(len(test))])


def _masks(way: _Way, _: Judged) -> Iterator[tuple[Category, Judged]]:
    yield from _with_test(way, [replace(sample, mask=None) for sample in way.category.test])


def _batches(way: _Way, _: Judged) -> Iterator[tuple[Category, Judged]]:
    for together in OTHER_BATCHES:
        yield way.category, replace(way, together=together).go()


def _encoding(way: _Way, _: Judged) -> Iterator[tuple[Category, Judged]]:
    """Nothing is remembered, so that other batches go through the backbone."""
    for batch in OTHER_BATCHES:
        inspector = replace(way.inspector, cache=None, batch=batch)
        yield way.category, replace(way, inspector=inspector).go()


def _alone(way: _Way, first: Judged) -> Iterator[tuple[Category, Judged]]:
    """Each query in a test set of its own."""
    for sample in way.category.test:
        lone = replace(way.category, test=(sample,))
        scores = way.score(first.fitted, lone, way.decoded, way.together)
        yield lone, replace(first, scores=scores)


def _with_test(way: _Way, test: list[Sample]) -> Iterator[tuple[Category, Judged]]:
    category = replace(way.category, test=tuple(test))
    yield category, replace(way, category=category).go()


CHECKS: Mapping[str, Callable[[_Way, Judged], Iterator[tuple[Category, Judged]]]] = {
    "again": _again,
    "labels": _labels,
    "order": _order,
    "masks": _masks,
    "batches": _batches,
    "encoding": _encoding,
    "alone": _alone,
}
"""What is changed: nothing; labels and kinds; the order of the queries; the masks; how many are
scored together, and encoded together; the other queries, which are taken away."""


def _moved(way: _Way, first: Judged, other: tuple[Category, Judged]) -> tuple[float, str]:
    """The largest movement as a share of the largest value, and the image that it is of."""
    category, judged = other
    before, after = _seen(way.category, first), _seen(category, judged)
    scale = max(abs(score) for score, _ in before.values())
    map_scale = max(float(values.abs().max()) for _, values in before.values())
    limits = first.fitted.calibration.threshold, judged.fitted.calibration.threshold
    found = [(_share(*limits, abs(limits[0])), "the limit")]
    for name, (score, values) in after.items():
        was, map_was = before[name]
        map_moved = float((values - map_was).abs().max()) if map_was.shape == values.shape else 1e9
        found += [(_share(was, score, scale), name), (_share(0, map_moved, map_scale), name)]
    return max(found)


def _seen(category: Category, judged: Judged) -> Seen:
    rows = zip(category.test, judged.scores.values, judged.scores.maps, strict=True)
    return {category.short(s.image): (value, values) for s, value, values in rows}


def _share(before: float, after: float, scale: float) -> float:
    if before == after:
        return 0.0
    moved = abs(after - before)
    return moved / scale if math.isfinite(moved) and scale > 0 else math.inf
