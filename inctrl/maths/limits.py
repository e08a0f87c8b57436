"""Limits and p-values from a few calibration scores of normal images.

One image has one score only up to rounding: sums in another order (a batch, another number of
threads, another processor) and stored floats move its last digits. So two scores, or two shares,
that differ by no more than that are equal here.
"""

import math
from collections.abc import Sequence

import numpy as np
from scipy import special

ROUNDING = 1e-6
"""What scores of one image may differ by: absolutely, or as a share of those beyond 1."""
SMALLEST = 1e-9
"""Scores are compared on a log scale; this stands for zero."""
EQUAL = 1e-3
"""Two logarithms closer than this are one number: d(a, b) = d(b, a) is scored twice."""
USUAL_SPREAD = 0.2
"""Standard deviation of the logarithms assumed then, of which two equal scores say nothing."""


def exceeds(score: float, limit: float) -> bool:
    """Whether a score lies above a limit by more than rounding; NaN does not."""
    return score > _rounded_up(limit)


def at_most(share: float, alpha: float) -> bool:
    """Whether a share (a p-value) is at most alpha, whatever arithmetic alpha came from.

    1 - 0.9 is a hair below 0.1: nine shots, whose least p-value is 1 / 10, are enough for it.
    """
    return share <= alpha * (1 + ROUNDING)


def rank_p_value(score: float, normal: Sequence[float]) -> float:
    """Conformal p-value: (1 + number of normal scores >= score) / (n + 1) (Vovk et al., 2005).

    Valid for exchangeable scores of any distribution; never below 1 / (n + 1). A score that
    equals a normal one but for rounding is a tie, which counts.
    """
    return (1 + sum(_rounded_up(other) >= score for other in normal)) / (len(normal) + 1)


def rank_limit(normal: Sequence[float], alpha: float) -> float:
    """The normal score which those exceed whose conformal p-value is at most alpha.

    Infinite where n is too small, that is where 1 / (n + 1) > alpha.
    """
    n = len(normal)
    rank = next((r for r in range(1, n + 1) if at_most((1 + n - r) / (n + 1), alpha)), None)
    return math.inf if rank is None else sorted(normal)[rank - 1]


def prediction_limit(normal: Sequence[float], alpha: float, *, bounded: bool = False) -> float:
    """Upper prediction limit of one more normal score, log-normal scores assumed.

    exp(mean + t_{n-1, 1-alpha} * sd * sqrt(1 + 1/n)) over the logarithms: the classical limit
    for one future observation. It exists from n = 2 on and widens as n falls, where a rank can
    say nothing yet. Infinite for n < 2.

    bounded    scores lie in [0, 1], as probabilities do: Gaussian are their log-odds
    """
    n = len(normal)
    if n < 2:
        return math.inf
    scores = np.maximum(np.asarray(normal, dtype=np.float64), SMALLEST)
    logs = special.logit(np.minimum(scores, 1 - SMALLEST)) if bounded else np.log(scores)
    spread = float(logs.std(ddof=1))
    if n == 2 and spread < EQUAL:
        spread = USUAL_SPREAD
    margin = special.stdtrit(n - 1, 1 - alpha) * spread * math.sqrt(1 + 1 / n)
    # A margin of hundreds (two scores of which one is 0) means that no limit can be given.
    limit = min(float(logs.mean() + margin), 700.0)
    return float(special.expit(limit)) if bounded else math.exp(limit)


def limit_below(limit: float, normal: Sequence[float], anomalous: Sequence[float]) -> float:
    """A limit lowered so that known anomalies lie above it, as far as no normal score is lost.

    Half way between the highest normal score and the lowest anomalous one between it and the
    limit; the limit itself where there is none. Anomalies that score like a normal image cannot
    be told by a limit and count for nothing.
    """
    highest = max(normal, default=math.inf)
    between = [
        score
        for score in anomalous
        if exceeds(score, (highest + score) / 2) and not exceeds(score, limit)
    ]
    return (highest + min(between)) / 2 if between else limit


def outliers(scores: Sequence[float], spread: float = 5.0, floor: float = 0.1) -> list[int]:
    """Indices of scores far above the rest: more than `spread` robust deviations over the median.

    The deviation is 1.4826 x the median absolute one (Gaussian-consistent), `floor` x the median
    at least, so that near-equal scores do not make an outlier of a small difference.
    Fewer than 4 scores have none: there is no majority to differ from.
    """
    if len(scores) < 4:
        return []
    values = np.asarray(scores, dtype=np.float64)
    median = float(np.median(values))
    deviation = max(1.4826 * float(np.median(np.abs(values - median))), floor * median)
    return [i for i, value in enumerate(values) if value > median + spread * deviation]


def _rounded_up(score: float) -> float:
    """The highest score that equals it."""
    return score + ROUNDING * max(1.0, abs(score))
