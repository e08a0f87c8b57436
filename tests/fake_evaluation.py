"""An evaluation made by hand: what two detectors might have found on two data sets."""

import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import PIL.Image

from inctrl.evaluation.results import Cell, Contender, Evaluation, Example, TestSet
from inctrl.types import Verdict

CATEGORIES = (
    ("mvtec", "bottle", True, 12, 26),
    ("mvtec", "cable", True, 15, 30),
    ("mvtec", "screw", True, 20, 32),
    ("visa", "candle", False, 40, 24),
    ("visa", "macaroni1", False, 30, 30),
    ("visa", "pcb4", False, 25, 40),
)
"""Data set, category, masks, number of normal and of anomalous test images."""
GOOD = {"bottle": 3.2, "cable": 2.0, "screw": 0.9, "candle": 2.4, "macaroni1": 1.1, "pcb4": 2.8}
"""How far, in standard deviations, anomalous scores lie above normal ones."""


def contender(label: str, **changes: Any) -> Contender:
    fields: dict[str, Any] = {
        "label": label,
        "detector": label.partition(" ")[0],
        "options": {"top_share": 0.03},
        "backbone": "tiny",
        "fingerprint": "cd" * 32,
        "image_size": 288,
        "layers": ("stage3", "stage4"),
        "fit": "squash",
        "text_prior": "bank 'inctrl'",
    }
    return Contender(**{**fields, **changes})


def test_set(dataset: str, category: str, masks: bool, normal: int, anomalous: int) -> TestSet:
    kinds = ("good",) * normal + tuple(("scratch", "dent")[i % 2] for i in range(anomalous))
    return TestSet(
        dataset=dataset,
        category=category,
        images=tuple(f"{category}/test/{kind}/{i:03d}.png" for i, kind in enumerate(kinds)),
        anomalous=tuple(kind != "good" for kind in kinds),
        kinds=kinds,
        masks=masks,
        normals=60,
    )


test_set.__test__ = False  # type: ignore[attr-defined]  # no test, for all its name


def _code(name: str) -> bytes:
    return name.encode("utf-8", "surrogatepass")


def cell(who: str, test: TestSet, k: int, seed: int, ahead: float = 0.0, **changes: Any) -> Cell:
    """The noise of the shots is the same for every contender, that of a detector is its own."""
    shots = tuple(f"{test.category}/train/good/{(7 * seed + i) % 60:03d}.png" for i in range(k))
    shared = np.random.default_rng([*_code(test.category), seed, k])
    own = np.random.default_rng([*_code(who), *_code(test.category), seed, k])
    far = GOOD.get(test.category, 1.5) + 0.15 * np.log2(max(k, 1)) + ahead
    far += 0.1 * shared.standard_normal()
    labels = np.array(test.anomalous)
    noise = shared.standard_normal(len(labels)) + 0.4 * own.standard_normal(len(labels))
    scores = 0.3 + 0.06 * (noise + far * labels)
    normal = scores[~labels]
    p_values = (1 + (normal >= scores[:, None]).sum(axis=1)) / (1 + len(normal))
    quality = float(0.86 + 0.03 * far - 0.02 * shared.random() + 0.02 * own.random())
    pixels = {"pixel_auroc": quality, "aupro_30": quality - 0.08, "aupro_05": quality - 0.3}
    fields: dict[str, Any] = {
        "contender": who,
        "dataset": test.dataset,
        "category": test.category,
        "k": k,
        "seed": seed,
        "shots": shots,
        "scores": tuple(scores.tolist()),
        "p_values": tuple(p_values.tolist()),
        "threshold": float(0.3 + 0.06 * (1.9 + 0.3 * shared.standard_normal())),
        "pixels": pixels if test.masks else None,
        "bytes": 18_432 * k * (1 if who.startswith("incontext") else 3),
    }
    fields |= changes
    return Cell(**{"verdicts": verdicts(fields["scores"], fields["threshold"]), **fields})


def verdicts(scores: Sequence[float], threshold: float) -> tuple[Verdict, ...]:
    """Of many shots: nothing is undecided, unless there is no limit."""
    kinds: tuple[Verdict, Verdict] = ("normal", "anomalous")
    decided = math.isfinite(threshold)
    return tuple(kinds[score > threshold] if decided else "undecided" for score in scores)


def picture(seed: int, width: int = 240, height: int = 180) -> bytes:
    """A PNG of a bright spot on gray."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    spot = np.exp(-((x - random.integers(width)) ** 2 + (y - random.integers(height)) ** 2) / 900)
    rgb = np.stack([90 + 150 * spot, 95 + 120 * spot, 110 - 60 * spot], axis=-1)
    stream = io.BytesIO()
    PIL.Image.fromarray(rgb.astype(np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def examples(cells: Sequence[Cell], tests: Sequence[TestSet]) -> tuple[Example, ...]:
    """The highest and lowest anomalous image and the highest normal one of each cell."""
    found = []
    for number, c in enumerate(cells):
        test = next(t for t in tests if (t.dataset, t.category) == (c.dataset, c.category))
        order = np.argsort(c.scores)
        bad = [int(i) for i in order if test.anomalous[i]]
        fine = [int(i) for i in order if not test.anomalous[i]]
        for role, i in (("found", bad[-1]), ("missed", bad[0]), ("alarm", fine[-1])):
            where = (c.contender, c.dataset, c.category, c.k, c.seed)
            what = (test.images[i], test.kinds[i], c.scores[i], c.threshold, role)
            found.append(Example(*where, *what, picture(number + 100 * i)))
    return tuple(found)


def evaluation(
    contenders: Sequence[Contender] = (
        contender("incontext"),
        contender("patchcore", detector="patchcore", text_prior="", options={}),
    ),
    categories: Sequence[tuple[str, str, bool, int, int]] = CATEGORIES,
    shots: Sequence[int] = (2, 4, 8),
    seeds: Sequence[int] = (0, 1, 2),
    ahead: Sequence[float] = (0.45, 0.0),
    **changes: Any,
) -> Evaluation:
    """Of contenders that are `ahead` by so many standard deviations."""
    tests = tuple(test_set(*category) for category in categories)
    cells = tuple(
        cell(who.label, test, k, seed, ahead[i % len(ahead)])
        for i, who in enumerate(contenders)
        for test in tests
        for k in shots
        for seed in seeds
    )
    shown = [c for c in cells if c.k == max(shots) and c.seed == seeds[0]]
    fields: dict[str, Any] = {
        "contenders": tuple(contenders),
        "tests": tests,
        "shots": tuple(shots),
        "seeds": tuple(seeds),
        "alpha": 0.05,
        "cells": cells,
        "examples": examples(shown, tests),
        "group_by": "",
        "protocol": "",
        "notes": ("The limit comes from the shots alone; no test image was used for it.",),
    }
    return Evaluation(**{**fields, **changes})
