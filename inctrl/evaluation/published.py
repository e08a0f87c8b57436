"""What the paper of InCTRL reports, to stand beside our own figures.

Only what could be sourced is here: image AUROC of four data sets and AP of one. All of it belongs
to the backbone ViT-B-16-plus-240 with adapters that the authors trained, and to their own shots.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

SETTING = "ViT-B-16-plus-240, trained adapters, the authors' own shots"
PAPER = "InCTRL (CVPR 2024), as transcribed in GitHub xinye1017/InCTRL-Adapt"
ISSUE = "InCTRL (CVPR 2024), as quoted in GitHub mala-lab/InCTRL, issue 26"


@dataclass(frozen=True)
class Published:
    """Mean over runs, and its standard deviation where it is known."""

    dataset: str
    metric: str
    k: int
    mean: float
    sd: float | None
    source: str


_FIGURES: Mapping[tuple[str, str, str], Mapping[int, tuple[float, float | None]]] = {
    ("elpv", "image_auroc", PAPER): {2: (0.839, 0.003), 4: (0.846, 0.011), 8: (0.872, 0.013)},
    ("aitex", "image_auroc", PAPER): {2: (0.761, 0.029), 4: (0.790, 0.018), 8: (0.806, 0.036)},
    ("visa", "image_auroc", PAPER): {2: (0.858, 0.022), 4: (0.877, 0.019), 8: (0.887, 0.021)},
    ("mvtec", "image_auroc", PAPER): {2: (0.940, 0.015), 4: (0.945, 0.018), 8: (0.953, 0.013)},
    ("visa", "image_ap", ISSUE): {2: (0.877, None), 4: (0.902, None), 8: (0.904, None)},
}
PUBLISHED = tuple(
    Published(dataset, metric, k, mean, sd, source)
    for (dataset, metric, source), by_k in _FIGURES.items()
    for k, (mean, sd) in by_k.items()
)

CATEGORIES: Mapping[str, int] = {"elpv": 1, "aitex": 1, "visa": 12, "mvtec": 15}
"""How many categories the published figures of a data set are means over."""
NAMES: Mapping[str, str] = {
    "elpv": "elpv",
    "elpvdataset": "elpv",
    "aitex": "aitex",
    "visa": "visa",
    "mvtec": "mvtec",
    "mvtecad": "mvtec",
    "mvtecanomalydetection": "mvtec",
}
"""Folder names of the data sets, in small letters and digits only."""


def published(dataset: str, metric: str) -> dict[int, Published]:
    """The published figures of a data set by number of shots; empty where none are known.

    dataset  name of its folder; case, spaces, hyphens and underscores do not matter
    """
    name = NAMES.get(re.sub(r"[^a-z0-9]", "", dataset.lower()))
    return {row.k: row for row in PUBLISHED if row.dataset == name and row.metric == metric}
