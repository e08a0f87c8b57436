"""Results made by hand: no model, no calibration."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from inctrl.identity import Card
from inctrl.images import Image
from inctrl.reporting import RunInfo, Scale
from inctrl.types import Box, Evidence, Region, Result

SCALE = Scale(low=0.1, limit=0.4, high=0.9)


def _image(name: str = "query.png", height: int = 96, width: int = 128, tone: int = 90) -> Image:
    return Image(np.full((height, width, 3), tone, np.uint8), name, "ab" * 32)


def _result(name: str = "query.png", **changes: Any) -> Result:
    """A gray image whose rows 24..48 and columns 32..64 lie at 0.7, the rest at 0.2."""
    image = changes.pop("image", None) or _image(name)
    height, width = image.size
    box = Box(width // 4, height // 4, width // 2, height // 2)
    anomaly_map = np.full((height, width), 0.2, np.float32)
    anomaly_map[box.top : box.bottom, box.left : box.right] = 0.7
    fields: dict[str, Any] = {
        "image": image,
        "score": 0.213,
        "threshold": 0.18,
        "p_value": 0.2,
        "p_floor": 0.2,
        "verdict": "anomalous",
        "anomaly_map": anomaly_map,
        "pixel_limit": SCALE.limit,
        "regions": (Region(box, 0.7, 0.0625),),
        "evidence": Evidence(box, 1, "shot1.png", Box(4, 4, 20, 20), 0.7, 0.3),
        "notes": ("frame 1 of 4 used",),
        "timing": {"encode": 0.01},
    }
    return Result(**{**fields, **changes})


def _info(**changes: Any) -> RunInfo:
    shots = tuple(_image(f"shot{i}.png", tone=60 + 40 * i) for i in range(4))
    card = Card(
        inctrl="0.1.0",
        backbone="tiny",
        fingerprint="cd" * 32,
        image_size=288,
        layers=("stage3", "stage4"),
        detector="incontext",
        options={"top_share": 0.03},
        adapter=None,
        adapter_sha256=None,
        item="cap",
        fit="squash",
        shots=tuple(shot.sha256 for shot in shots),
        shot_names=tuple(shot.name for shot in shots),
        window=None,
        text_prior="",
    )
    fields: dict[str, Any] = {
        "card": card,
        "alpha": 0.05,
        "method": "prediction",
        "limit_words": "Set from the shots.",
        "calibration_scores": (0.1, 0.11, 0.12, 0.13),
        "threshold": 0.18,
        "p_floor": 0.2,
        "scale": SCALE,
        "shot_images": shots,
        "warnings": (),
        "seconds": 1.5,
        "started": "2026-11-21T12:00:00",
    }
    return RunInfo(**{**fields, **changes})


@pytest.fixture
def image() -> Callable[..., Image]:
    return _image


@pytest.fixture
def result() -> Callable[..., Result]:
    return _result


@pytest.fixture
def info() -> Callable[..., RunInfo]:
    return _info
