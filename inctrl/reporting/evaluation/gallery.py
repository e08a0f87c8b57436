"""The maps worth looking at: failures first, few enough for the page to open."""

import base64
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from inctrl.evaluation.results import Example
from inctrl.maths.limits import exceeds
from inctrl.reporting.words import file_name, number, plural, printable, told_apart

MOST = 60
HEAVIEST = 8_000_000
"""Bytes of all pictures together."""
ROLES = ("missed", "alarm", "found")


@dataclass(frozen=True)
class Shown:
    """One picture; `good` tells whether the limit judged it right (None: no limit)."""

    uri: str
    alt: str
    verdict: str
    good: bool | None
    name: str
    path: str
    scores: str
    where: str


@dataclass(frozen=True)
class Gallery:
    """Of one contender."""

    label: str
    shown: tuple[Shown, ...]


def galleries(examples: Sequence[Example]) -> tuple[list[Gallery], int]:
    """By contender, and how many examples are left out."""
    chosen = _chosen(examples)
    labels = dict.fromkeys(example.contender for example in examples)
    found = [
        Gallery(printable(label), tuple(_shown(e) for e in chosen if e.contender == label))
        for label in labels
    ]
    return [gallery for gallery in found if gallery.shown], len(examples) - len(chosen)


def _chosen(examples: Sequence[Example]) -> list[Example]:
    """Of every contender and category one of each role, in turn, as long as there is room."""
    turns: Counter[tuple[str, str, str, str]] = Counter()
    ranked = []
    for example in examples:
        group = (example.contender, example.dataset, example.category, example.role)
        role = ROLES.index(example.role) if example.role in ROLES else len(ROLES)
        ranked.append((turns[group], role, example))
        turns[group] += 1
    ranked.sort(key=lambda item: item[:2])
    room, chosen = HEAVIEST, []
    for _, _, example in ranked[:MOST]:
        if len(example.png) <= room:
            room -= len(example.png)
            chosen.append(example)
    return sorted(chosen, key=lambda e: (e.dataset, e.category))


def _shown(example: Example) -> Shown:
    verdict, good = _verdict(example)
    name, kind = file_name(example.image), printable(example.kind)
    said = f" ({kind})" if kind and kind != "good" else ""
    if math.isfinite(example.threshold) and math.isfinite(example.score):
        scores = "score {}, limit {}".format(*told_apart(example.score, example.threshold))
    else:
        scores = f"score {number(example.score)}, limit {number(example.threshold)}"
    category = f"{printable(example.dataset)}/{printable(example.category)}"
    where = f"{category}{said}, {plural(example.k, 'shot')}, seed {example.seed}"
    return Shown(
        uri=f"data:image/png;base64,{base64.b64encode(example.png).decode('ascii')}",
        alt=f"Map of {name}, {category}{said}: {verdict}, {scores}",
        verdict=verdict,
        good=good,
        name=name,
        path=printable(example.image),
        scores=scores,
        where=where,
    )


def _verdict(example: Example) -> tuple[str, bool | None]:
    """What the limit makes of it, whatever place it has among the others."""
    normal = example.role == "alarm"
    kind = "normal" if normal else "anomalous"
    if not math.isfinite(example.threshold):
        end = "lowest" if example.role == "missed" else "highest"
        return f"{kind}, among the {end}", None
    above = exceeds(example.score, example.threshold)
    if normal:
        return ("false alarm", False) if above else ("highest normal, no alarm", True)
    if not above:
        return "missed", False
    return ("lowest anomalous, still found" if example.role == "missed" else "found"), True
