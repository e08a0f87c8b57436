"""How well scores tell anomalous images from normal ones, and what each figure is called.

A figure that the data do not define is None, never 0: without images of both kinds nothing is
ranked, a NaN score has no rank, and where every verdict is "undecided" there is nothing to judge.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score


@dataclass(frozen=True)
class Metric:
    """A figure, in shares of 1.

    title    in words
    column   the same, short
    better   which way is good: higher, or towards zero
    about    what it judges: the ranking of images, maps, or the verdicts at the calibrated limit
    oracle   made with a threshold that is chosen on the test labels
    signed   may be negative
    """

    title: str
    column: str
    better: Literal["higher", "lower", "zero"]
    about: Literal["images", "pixels", "limit"]
    oracle: bool = False
    signed: bool = False


METRICS: Mapping[str, Metric] = {
    "image_auroc": Metric("image AUROC", "AUROC", "higher", "images"),
    "image_ap": Metric("image AP (area under precision-recall)", "AP", "higher", "images"),
    "image_f1_max": Metric("image F1-max", "F1-max", "higher", "images", oracle=True),
    "pixel_auroc": Metric("pixel AUROC", "pixel AUROC", "higher", "pixels"),
    "aupro_30": Metric("AUPRO up to 30 % false positives", "AUPRO 0.3", "higher", "pixels"),
    "aupro_05": Metric("AUPRO up to 5 % false positives", "AUPRO 0.05", "higher", "pixels"),
    "false_alarms": Metric("false alarms at the limit", "false alarms", "lower", "limit"),
    "undecided": Metric("normal images left undecided", "undecided", "lower", "limit"),
    "recall": Metric("recall at the limit", "recall", "higher", "limit"),
    "calibration_error": Metric(
        "false alarms minus wanted ones", "calibration error", "zero", "limit", signed=True
    ),
}
"""All figures, in the order of the tables."""


def image_figures(
    anomalous: Sequence[bool] | NDArray[np.bool_],
    scores: Sequence[float] | NDArray[np.floating],
) -> dict[str, float | None]:
    """AUROC, average precision and the best F1 of any threshold.

    anomalous  n
    scores     n   higher is more anomalous; infinite ones have a rank like any other
    """
    labels = np.asarray(anomalous, dtype=np.bool_)
    values = np.asarray(scores, dtype=np.float64)
    if labels.shape != values.shape or labels.ndim != 1:
        raise ValueError(f"{labels.shape} labels for {values.shape} scores; give one for each")
    if labels.all() or not labels.any() or np.isnan(values).any():
        return dict.fromkeys(("image_auroc", "image_ap", "image_f1_max"))
    # Only the order counts, and scikit-learn refuses infinite scores.
    ranks = rankdata(values, method="dense")
    precision, recall, _ = precision_recall_curve(labels, ranks)
    both = np.maximum(precision + recall, np.finfo(np.float64).tiny)
    return {
        "image_auroc": float(roc_auc_score(labels, ranks)),
        "image_ap": float(average_precision_score(labels, ranks)),
        "image_f1_max": float((2 * precision * recall / both).max()),
    }


def verdict_figures(
    anomalous: Sequence[bool] | NDArray[np.bool_], verdicts: Sequence[str], alpha: float
) -> dict[str, float | None]:
    """What the calibrated limit does on images that it was not made from, counted in verdicts.

    anomalous  n
    verdicts   n   "normal", "anomalous" or "undecided"
    alpha      the wanted share of false alarms

    A false alarm is a normal image that is called anomalous; one left undecided is none.
    """
    labels = np.asarray(anomalous, dtype=np.bool_)
    if labels.shape != (len(verdicts),):
        raise ValueError(f"{labels.shape} labels for {len(verdicts)} verdicts; give one for each")
    alarms = np.array([verdict == "anomalous" for verdict in verdicts], dtype=np.bool_)
    unsure = np.array([verdict == "undecided" for verdict in verdicts], dtype=np.bool_)
    decided = not unsure.all()
    false_alarms = _share(alarms[~labels]) if decided else None
    return {
        "false_alarms": false_alarms,
        "undecided": _share(unsure[~labels]),
        "recall": _share(alarms[labels]) if decided else None,
        "calibration_error": None if false_alarms is None else false_alarms - alpha,
    }


def _share(which: NDArray[np.bool_]) -> float | None:
    return float(which.mean()) if which.size else None
