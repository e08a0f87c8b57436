"""The limit, the p-value and the verdict, from the k normal shots alone.

Every shot is scored against the other k - 1 (leave one shot out): never against a bank that
holds it, which would make its residuals vanish and the limit far too low.

- Where k is large enough that a rank can answer (1 / (k + 1) <= alpha), the limit is the
  conformal one: it holds for exchangeable normals of any distribution.
- Below that, from k = 2 on, it is the upper prediction limit of one more log-normal score, and
  never below the highest shot. Its false-alarm rate was measured on held-out normals
  (docs/accuracy.md); augmented views of the shots, the usual substitute, vary less than parts do,
  or more where resampling itself shows.
- One shot says nothing of how normals vary: there is no limit, and everything is undecided. Views
  of it give the limit of its maps, above which places are drawn, and claim nothing.
- No shot, with a detector that needs none: there is no limit, and everything is undecided.

Confirmed defects, where there are any, may lower the limit, and do nothing else: they are never
compared with, and no shot is given up for them.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from inctrl.inspection.seen import Seen, highest, score_rows
from inctrl.maths.grids import top_mean
from inctrl.maths.limits import (
    at_most,
    exceeds,
    limit_below,
    outliers,
    prediction_limit,
    rank_limit,
    rank_p_value,
)
from inctrl.protocols import Detector, WorksAlone
from inctrl.types import Features, Item, Verdict, concatenate

Method = Literal["rank", "prediction", "views", "none"]
MAP_SHARE = 0.03
"""Share of a map whose mean sets the pixel limit; `incontext` scores images the same way."""
MOST_SHOTS = 32
"""Shots left out in turn: more would cost time (it grows with k squared) and add little."""
ALIKE = 0.002
"""Leave-one-out scores under this mean that the shots are copies of one image."""
LEAST_LIMIT = 1e-6
"""Scores below this are rounding: copies of one image must not alarm each other."""
MOST_LIMIT = float(np.finfo(np.float32).max)
"""Scores and maps are single precision: a limit beyond it is none."""
NO_LIMIT = (
    "no normal image was given: scores rank the images, but nothing is called anomalous; "
    "give normal images, two or more, for a limit"
)
ONE_SHOT = (
    "No limit: one shot does not show how normal images vary, so nothing is called normal or "
    "anomalous; scores rank the images. Places are drawn where a map exceeds those of small "
    "changes of light and position of the shot, as most maps of normal images do too."
)
LOWERED = (
    " Lowered to lie half way between the highest of them and the lowest confirmed defect above "
    "it: more than the wanted share of normal images may exceed it."
)


@dataclass(frozen=True)
class Calibration:
    """What the shots say of normal scores.

    shots            number of distinct shots
    scores           leave-one-shot-out scores; none where there is one shot
    tops             the same for maps: mean of the highest MAP_SHARE of each (one shot: of views)
    map_low          median of the shots' own maps, where the colour scale begins
    normal_peak      median of the highest value of the shots' own maps
    bounded          scores and maps lie in [0, 1]
    map_high_alone   without shots: where the colour scale ends, `map_low` being where it begins
    meaning          without shots: what score and map say, in words
    defects          scores of images that somebody has confirmed to be anomalous
    """

    alpha: float
    shots: int
    scores: tuple[float, ...]
    tops: tuple[float, ...]
    map_low: float
    normal_peak: float
    warnings: tuple[str, ...] = ()
    bounded: bool = False
    map_high_alone: float = 1.0
    meaning: str = ""
    defects: tuple[float, ...] = ()

    @property
    def method(self) -> Method:
        """How the limits follow from the scores."""
        if self.shots == 0:
            return "none"
        if self.shots == 1:
            return "views"
        return "rank" if at_most(1 / (len(self.scores) + 1), self.alpha) else "prediction"

    @property
    def threshold(self) -> float:
        """Scores above it are not called normal; infinite where there is none."""
        return limit_below(self.calibrated, self._compared, self.defects)

    @property
    def calibrated(self) -> float:
        """The limit that follows from the shots alone."""
        return self._limit(self.scores) if self.shots > 1 else math.inf

    @property
    def pixel_limit(self) -> float:
        """Map values above it count as an anomalous place."""
        return self._limit(self.tops)

    @property
    def map_high(self) -> float:
        """Where the colour scale ends: the limit, if there is one, lies half of the way up."""
        if self.method == "none":
            return self.map_high_alone
        limit = self.pixel_limit if math.isfinite(self.pixel_limit) else max(self.tops)
        return 2 * limit - self.map_low

    @property
    def limit_words(self) -> str:
        """How the limit was set, and how far to trust it, in a sentence."""
        if self.method == "none":
            return f"No normal image was given. {self.meaning}"
        if self.method == "views":
            return ONE_SHOT
        lowered = LOWERED if self.threshold < self.calibrated else ""
        return self._words_of_shots() + lowered

    def _words_of_shots(self) -> str:
        n, share = len(self.scores), f"{100 * self.alpha:g} %"
        if self.method == "rank":
            return (
                f"Conformal: exceeded by {share} of normal images at the most, if they are like "
                f"the {n} shots scored here, each left out in turn."
            )
        if not math.isfinite(self.calibrated):
            return f"No limit: the {n} shots score too differently; give more of them."
        scale = "log-odds" if self.bounded else "logarithm"
        return (
            f"Prediction limit: from {n} shots, each left out in turn, for {share} false "
            f"alarms if the {scale} of normal scores is Gaussian. Scores above every shot but "
            "below the limit are undecided."
        )

    @property
    def p_floor(self) -> float:
        """The least p-value that so few shots can show."""
        return 1 / (1 + len(self._compared))

    def p_value(self, score: float) -> float:
        """Share of normal images expected to score as high (conformal)."""
        return rank_p_value(score, self._compared)

    def judge(self, score: float) -> Verdict:
        """Above the limit: anomalous. Above every shot, but k too small to say so: undecided."""
        if not math.isfinite(score) or not self._compared:
            return "undecided"
        if exceeds(score, self.threshold):
            return "anomalous"
        if self.method == "prediction" and exceeds(score, max(self._compared)):
            return "undecided"
        return "normal"

    @property
    def _compared(self) -> tuple[float, ...]:
        """The normal scores that others are compared with: views of one shot are no images."""
        return tuple(max(score, LEAST_LIMIT) for score in self.scores if self.shots > 1)

    def _limit(self, normal: tuple[float, ...]) -> float:
        if self.method == "none":
            return math.inf
        if self.method == "rank":
            return max(rank_limit(normal, self.alpha), LEAST_LIMIT)
        if self.method == "views":
            return max(*normal, LEAST_LIMIT)
        limit = prediction_limit(normal, self.alpha, bounded=self.bounded)
        # Two shots that differ greatly set a limit that no score reaches: there is none.
        return math.inf if limit > MOST_LIMIT else max(limit, *normal, LEAST_LIMIT)


def calibrate(
    detector: Detector[Any],
    shots: Sequence[Seen],
    item: Item,
    alpha: float,
    views: Callable[[], tuple[Features, Sequence[int]]],
    names: tuple[str, ...],
) -> Calibration:
    """Calibrate a detector on k shots, each of which is left out with all its views.

    views   encodes small changes of the first and only shot: the tiles, and how many each has
    """
    if not shots:
        low, high, meaning = 0.0, 1.0, ""
        if isinstance(detector, WorksAlone):
            (low, high), meaning = detector.map_scale, detector.meaning
        return Calibration(alpha, 0, (), (), low, 0.0, (NO_LIMIT,), detector.bounded, high, meaning)
    scores: list[float] = []
    tops: list[float] = []
    lows: list[float] = []
    peaks: list[float] = []
    for bank, queries, counts in _left_out(shots, views):
        found, rows = score_rows(detector, queries, detector.prepare(bank, item), counts)
        maps = rows.anomaly_map.flatten(1)
        scores += found.tolist()
        tops += highest(top_mean(maps, MAP_SHARE), counts).tolist()
        lows.append(float(maps.median()))
        peaks += highest(maps.amax(dim=1), counts).tolist()
    left_out = [names[i] for i in _chosen(len(shots))]
    return Calibration(
        alpha=alpha,
        shots=len(shots),
        scores=tuple(scores) if len(shots) > 1 else (),
        tops=tuple(tops),
        map_low=float(np.median(lows)),
        normal_peak=float(np.median(peaks)),
        warnings=_warnings(scores, left_out, compared=detector.needs_shots),
        bounded=detector.bounded,
    )


def _left_out(
    shots: Sequence[Seen], views: Callable[[], tuple[Features, Sequence[int]]]
) -> Iterator[tuple[Features, Features, Sequence[int]]]:
    """(bank, normal images that are not in it, their tiles), one at a time: banks may be large."""
    if len(shots) == 1:
        yield shots[0].bank, *views()
        return
    for i in _chosen(len(shots)):
        bank = concatenate([shot.bank for j, shot in enumerate(shots) if j != i])
        yield bank, shots[i].query, [len(shots[i].query)]


def _chosen(k: int) -> list[int]:
    """Which shots are left out in turn: all, or MOST_SHOTS drawn once for all with a fixed seed."""
    if k <= MOST_SHOTS:
        return list(range(k))
    drawn = torch.randperm(k, generator=torch.Generator().manual_seed(0))[:MOST_SHOTS]
    return sorted(drawn.tolist())


def _warnings(scores: Sequence[float], names: Sequence[str], *, compared: bool) -> tuple[str, ...]:
    """`compared`: scores come of comparing images with the shots, so that copies score 0."""
    if len(names) == 1:
        return (
            "one shot does not show how normal images vary: there is no limit, and nothing is "
            "called normal or anomalous; give two or more",
        )
    found = [
        f"shot {names[i]!r} is unlike the other shots (score {scores[i]:.3f}, their median "
        f"{float(np.median(scores)):.3f}): check that it is normal"
        for i in outliers(scores)
    ]
    if compared and float(np.median(scores)) < ALIKE:
        found.append(
            "the shots are nearly copies of each other: the limit does not know "
            "how normal images vary; give shots of different parts"
        )
    return tuple(found)
