"""The limit, the p-value and the verdict, from the k normal shots alone.

Every shot is scored against the other k - 1 (leave one shot out): never against a bank that
holds it, which would make its residuals vanish and the limit far too low.

- Where k is large enough that a rank can answer (1 / (k + 1) <= alpha), the limit is the
  conformal one: valid for exchangeable normals of any distribution.
- Below that, from k = 2 on, it is the upper prediction limit of one more log-normal score. Its
  false-alarm rate was measured on held-out normals (docs/accuracy.md); augmented views of the
  shots, the usual substitute, vary less than parts do, or more where resampling itself shows.
- One shot says nothing of how normals vary: views of it give a provisional limit, and nothing
  is ever called anomalous.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from inctrl.maths.aggregate import top_mean
from inctrl.maths.limits import outliers, prediction_limit, rank_limit, rank_p_value
from inctrl.protocols import Detector, Explains
from inctrl.types import Features, Item, Prediction, Verdict

Method = Literal["rank", "prediction", "views"]
MAP_SHARE = 0.03
"""Share of a map whose mean sets the pixel limit; `incontext` scores images the same way."""
MOST_SHOTS = 64
"""Shots left out in turn: more would cost time (it grows with k squared) and add little."""
ALIKE = 0.002
"""Leave-one-out scores under this mean that the shots are copies of one image."""


@dataclass(frozen=True)
class Calibration:
    """What the shots say of normal scores.

    scores           leave-one-shot-out scores (method "views": scores of views of the one shot)
    threshold        scores above it are not called normal; infinite where none can be given
    pixel_limit      the same for places of the map
    map_low          median of the shots' own maps, where the colour scale begins
    normal_distance  median distance of the shots' worst patch to its nearest normal patch
    """

    alpha: float
    method: Method
    scores: tuple[float, ...]
    threshold: float
    pixel_limit: float
    map_low: float
    normal_distance: float
    warnings: tuple[str, ...] = ()

    @property
    def map_high(self) -> float:
        """Where the colour scale ends: the limit lies half of the way up (1 if infinite)."""
        high = 2 * self.pixel_limit - self.map_low
        return high if math.isfinite(high) else 1.0

    @property
    def limit_words(self) -> str:
        """How the limit was set, and how far to trust it, in a sentence."""
        n, share = len(self.scores), f"{100 * self.alpha:g} %"
        if self.method == "views":
            return (
                "Provisional: set from small changes of light and position of the one shot, which "
                "do not show how normal parts vary; nothing is called anomalous."
            )
        if self.method == "rank":
            return (
                f"Conformal: exceeded by {share} of normal images at the most, if they are like "
                f"the {n} shots scored here, each against the others."
            )
        return (
            f"Prediction limit: from {n} shots, each scored against the others, for {share} false "
            "alarms if the logarithm of normal scores is Gaussian. Scores above every shot but "
            "below the limit are undecided."
        )

    @property
    def p_floor(self) -> float:
        """The least p-value that so few scores can show."""
        return 1 / (len(self.scores) + 1)

    def p_value(self, score: float) -> float:
        """Share of normal images expected to score as high (conformal)."""
        return rank_p_value(score, self.scores)

    def judge(self, score: float) -> Verdict:
        """Above the limit: anomalous. Above every shot, but k too small to say so: undecided."""
        if self.method == "views":
            return "undecided" if score > self.threshold else "normal"
        if score > self.threshold:
            return "anomalous"
        if self.method == "prediction" and score > max(self.scores):
            return "undecided"
        return "normal"


def calibrate(
    detector: Detector[Any],
    shots: Features,
    item: Item,
    alpha: float,
    views: Callable[[], Features],
    names: tuple[str, ...],
) -> Calibration:
    """Calibrate a detector on k shots; `views` encodes views of the first and only one."""
    if len(shots) == 1:
        left_out = [(shots, views())]
    else:
        left_out = [
            (shots[[j for j in range(len(shots)) if j != i]], shots[i : i + 1])
            for i in _chosen(len(shots))
        ]
    parts = [_held_out(detector, bank, item, queries) for bank, queries in left_out]
    scores = tuple(score for part in parts for score in part.scores)
    tops = [top for part in parts for top in part.tops]
    method: Method = "views"
    limit = prediction_limit
    if len(shots) > 1:
        ranked = 1 / (len(scores) + 1) <= alpha
        method, limit = ("rank", rank_limit) if ranked else ("prediction", prediction_limit)
    return Calibration(
        alpha=alpha,
        method=method,
        scores=scores,
        threshold=limit(scores, alpha),
        pixel_limit=limit(tops, alpha),
        map_low=float(np.median([part.low for part in parts])),
        normal_distance=float(np.median([d for part in parts for d in part.distances] or [0.0])),
        warnings=_warnings(scores, method, [names[i] for i in _chosen(len(shots))]),
    )


@dataclass(frozen=True)
class _HeldOut:
    scores: list[float]
    tops: list[float]
    low: float
    distances: list[float]


def _held_out(detector: Detector[Any], bank: Features, item: Item, queries: Features) -> _HeldOut:
    """Normal queries against a bank that none of them is in."""
    context = detector.prepare(bank, item)
    prediction = detector.score(queries, context)
    distances = []
    if isinstance(detector, Explains):
        for i, cell in enumerate(worst_cells(prediction)):
            distances.append(detector.nearest(queries[i : i + 1], context, cell).distance)
    maps = prediction.anomaly_map.flatten(1)
    return _HeldOut(
        prediction.score.tolist(),
        top_mean(maps, MAP_SHARE).tolist(),
        float(maps.median()),
        distances,
    )


def worst_cells(prediction: Prediction) -> list[tuple[int, int]]:
    """(row, column) of the highest cell of each map."""
    columns = prediction.anomaly_map.shape[-1]
    best = prediction.anomaly_map.flatten(1).argmax(dim=1)
    return [divmod(int(cell), columns) for cell in best]


def _chosen(k: int) -> list[int]:
    """Which shots are left out in turn: all, or MOST_SHOTS drawn once for all with a fixed seed."""
    if k <= MOST_SHOTS:
        return list(range(k))
    drawn = torch.randperm(k, generator=torch.Generator().manual_seed(0))[:MOST_SHOTS]
    return sorted(drawn.tolist())


def _warnings(scores: tuple[float, ...], method: Method, names: list[str]) -> tuple[str, ...]:
    if method == "views":
        return (
            "one shot does not show how normal images vary: nothing is called anomalous; "
            "give two or more",
        )
    found = [
        f"shot {names[i]!r} is unlike the other shots (score {scores[i]:.3f}, their median "
        f"{float(np.median(scores)):.3f}): check that it is normal"
        for i in outliers(scores)
    ]
    if float(np.median(scores)) < ALIKE:
        found.append(
            "the shots are nearly copies of each other: the limit does not know "
            "how normal images vary; give shots of different parts"
        )
    return tuple(found)
